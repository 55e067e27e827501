"""Runs certfleet-issuer in this process and kills it with SIGKILL right before or right after one call.

Usage: python -m tests.issuer.crash.killer MODULE:[CLASS.]METHOD before|after NTH COMMAND...
The product knows nothing of this: the method is wrapped from outside.
"""

import functools
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from issuer.cli import build
from tests.issuer.box import ROOT, Box


def killed_run(box: Box, place: str, when: str, nth: int, words: Sequence[str] = ("run",)) -> int:
    """The exit code of a `run`, or of another command, in a process of its own, armed so."""
    command = [sys.executable, "-m", "tests.issuer.crash.killer", place, when, str(nth)]
    done = subprocess.run(
        [*command, "--config", str(box.config), *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=180,
        check=False,
    )
    return done.returncode


def arm(place: str, when: str, nth: int) -> None:
    """Wrap the method so that its *nth* call is this process's last."""
    module, _, path = place.partition(":")
    *class_name, method = path.split(".")
    owner = functools.reduce(getattr, class_name, importlib.import_module(module))
    original: Callable[..., Any] = getattr(owner, method)
    calls = [0]

    @functools.wraps(original)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == nth and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **named)
        if calls[0] == nth and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, method, wrapped)


if __name__ == "__main__":
    arm(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    sys.exit(build().run(sys.argv[4:]))
