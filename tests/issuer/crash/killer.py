"""Runs certfleet-issuer in this process and kills it with SIGKILL right before or right after one call.

The product knows nothing of this: the method is wrapped from outside.
"""

import functools
import importlib
import itertools
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from issuer.cli import build
from tests.issuer.box import ROOT, Box
from tests.servers.forks import forks


def killed_run(box: Box, place: str, when: str, nth: int, words: Sequence[str] = ("run",)) -> int:
    """The exit code of a `run`, or of another command, in a process of its own, armed so."""
    program = f"from tests.issuer.crash.killer import run_armed; run_armed({place!r}, {when!r}, {nth})"
    words = ("--config", str(box.config), *words)
    return forks("issuer").run(program, words, folder=ROOT, environment=os.environ, seconds=180).code


def run_armed(place: str, when: str, nth: int) -> NoReturn:
    """The command line of this process, so armed."""
    arm(place, when, nth)
    sys.exit(build().run(sys.argv[1:]))


def arm(place: str, when: str, nth: int) -> None:
    """Wrap the method so that its *nth* call is this process's last."""
    module, _, path = place.partition(":")
    *class_name, method = path.split(".")
    owner = functools.reduce(getattr, class_name, importlib.import_module(module))
    original: Callable[..., Any] = getattr(owner, method)
    calls = itertools.count(1)  # of threads too: each call gets a number of its own

    @functools.wraps(original)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        number = next(calls)
        if number == nth and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **named)
        if number == nth and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, method, wrapped)
