"""Two machines played by two folders: commands run there as they would be typed, and are shown with what they say."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.command_line import say

COMMAND_SECONDS = 300
LINE_LENGTH = 116


class DemoFailed(Exception):
    """A step did not do what it should; the message is the sentence for the reader."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One computer of the story. *config* is what stands in /etc/certfleet on a real one."""

    name: str
    folder: Path
    config: Path

    def run(self, *words: str) -> str:
        """Run one command, shown with its output; DemoFailed unless it ends well."""
        return self._run(words, shlex.join(words))

    def shell(self, line: str) -> str:
        """Run a line with pipes in it, as typed."""
        return self._run(["bash", "-o", "pipefail", "-c", line], line)

    def quietly(self, *words: str) -> str:
        """Run one command, shown without its output: for what a person would not read."""
        return self._run(words, shlex.join(words), shown=False)

    def _run(self, command: Sequence[str], typed: str, *, shown: bool = True) -> str:
        say(f"{self.name}$ {typed}")
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if shown else subprocess.PIPE,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        said = done.stdout + (done.stderr or "")
        if done.returncode != 0:
            say(said)  # whole: the reader has to find out why
            raise DemoFailed(f"`{typed}` on the {self.name} ended with exit code {done.returncode}")
        if shown:
            show(said)
        return done.stdout

    def _environment(self) -> dict[str, str]:
        """As at login, our own console scripts first; locale C, so that other programs say the same everywhere."""
        path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
        return {**os.environ, "PATH": path, "CERTFLEET_CONFIG": str(self.config), "LC_ALL": "C"}

    def write(self, file: Path, text: str) -> None:
        """Write a file as with an editor, and show it."""
        say(f"{self.name}$ editor {file.relative_to(self.folder)}")
        file.write_text(text, encoding="utf-8")
        show(text)


def step(title: str, *explanation: str) -> None:
    """A new chapter."""
    say("", f"=== {title}")
    for line in explanation:
        say(f"    {line}")


def show(text: str) -> None:
    """Show the output of a command, set off from the story; very long lines are cut, for the eye only."""
    for line in text.rstrip().splitlines():
        say(f"  | {line if len(line) <= LINE_LENGTH else line[: LINE_LENGTH - 1] + '…'}")
