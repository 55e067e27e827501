"""A command of ours in this process: a program of its own, forked or started, takes three times as long or more."""

import contextlib
import functools
import gc
import io
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from unittest.mock import patch

from common.command_line import CommandLine
from tests.servers.forks import Ended


def run_here(build: Callable[[], CommandLine], words: Sequence[str], *, stdin: bytes = b"") -> Ended:
    """How the command of *words* ends, and what it says. What it sets for a process of its own is put back. Only in the
    main thread: the others may set no handlers of signals."""
    out, err = io.StringIO(), io.StringIO()
    given = io.TextIOWrapper(io.BytesIO(stdin))
    with (
        _garbage_collected(),
        _signals_kept(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        patch.object(sys, "stdin", given),
    ):
        code = _built(build).run(words)
    return Ended(code, out.getvalue(), err.getvalue())


@functools.cache
def _built(build: Callable[[], CommandLine]) -> CommandLine:
    """Nothing in it changes by a command, and argparse takes a fifth of a short one to make it."""
    return build()


@contextlib.contextmanager
def _garbage_collected() -> Iterator[None]:
    """Commands that end soon switch it off."""
    with patch.object(gc, "freeze", lambda: None), patch.object(gc, "disable", lambda: None):
        yield


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
