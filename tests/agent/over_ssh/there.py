"""A host without an agent as a shell of this machine plays it, for what is a matter of its programs alone."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from agent.remote.access import Access, Ended
from agent.remote.session import Session
from agent.remote.shell import ShellAccess
from tests.servers.process import program

T = TypeVar("T")


class There(Session):
    """Its login shell is *shell*. *user* is logged in, by the number *uid*; *programs*: a folder with some that come
    before the machine's own."""

    name, user = "there.example.test", "root"

    def __init__(self, shell: str = "sh", *, user: str = "root", uid: int | None = None, programs: Path | None = None):
        self.user = user
        self._shell, self._uid = program(shell, shell), uid
        self._environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"} if programs else None

    def execute(self, script: str, seconds: float = 0.0, stdin: bytes = b"") -> Ended:
        return self._run(script, stdin)

    def files(self, action: Callable[[Access], T]) -> T:
        return action(ShellAccess(self._run))

    def _run(self, script: str, stdin: bytes = b"") -> Ended:
        words = [self._shell, "-c", script]
        done = subprocess.run(
            words, input=stdin, capture_output=True, timeout=60, check=False, user=self._uid, env=self._environment
        )
        return Ended(done.returncode, done.stdout, done.stderr)
