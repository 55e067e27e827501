"""Runs the demo and tidies up, however it ends: well, by a proof that fails, or by Ctrl-C. Exit code 0 only if well."""

import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from common.command_line import say
from deploy.demo.machine import DemoFailed
from deploy.demo.story import Story
from tests.servers.process import MissingProgram, ServerFailed

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """The first signal ends the story; while it tidies up, further ones wait."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """The exit code."""
    for number in SIGNALS:
        signal.signal(number, interrupt)
    started = time.monotonic()
    try:
        with TemporaryDirectory(prefix="certfleet-demo-") as folder, ExitStack() as running:
            story = Story(Path(folder).resolve(), running)
            story.tell()
    except (DemoFailed, MissingProgram, ServerFailed, subprocess.TimeoutExpired) as error:
        say("", f"demo: failed: {error}. Servers and files of the demo are gone again.")
        return 1
    except KeyboardInterrupt:
        say("", "demo: interrupted. Servers and files of the demo are gone again.")
        return 130
    proofs = story.proofs
    if proofs.failed:
        say("", f"demo: not well: {len(proofs.failed)} of {proofs.count} proofs failed: {'; '.join(proofs.failed)}")
        return 1
    seconds = time.monotonic() - started
    say("", f"demo: all well: {proofs.count} proofs in {seconds:.0f} s; servers and files are gone again")
    return 0


if __name__ == "__main__":
    sys.exit(main())
