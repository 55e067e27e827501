"""The first import of both console scripts: from here on Ctrl-C ends the process, also while Python still imports.

So it imports next to nothing itself.
"""

import os
import signal
from importlib import import_module
from types import FrameType
from typing import NoReturn

_EXIT_CODE = 130  # 128 + SIGINT, as a shell reports it


def start(module: str) -> int | None:
    """Import *module* and return the result of its `main`, which handles Ctrl-C itself once a command has begun."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where it is ignored, as under nohup
        signal.signal(signal.SIGINT, _interrupt)
    try:
        code: int | None = import_module(module).main()
        return code
    except KeyboardInterrupt:
        _end()


def _interrupt(number: int, frame: FrameType | None) -> None:
    """KeyboardInterrupt. In the middle of an import the process ends at once: Python may swallow or print the exception
    there."""
    each = frame
    while each is not None:
        if each.f_code.co_filename.startswith("<frozen importlib"):
            _end()
        each = each.f_back
    signal.default_int_handler(number, frame)


def _end() -> NoReturn:
    try:
        os.write(2, b"interrupted\n")
    finally:  # also where nothing can be written
        os._exit(_EXIT_CODE)
