"""Programs of ours without the start of an interpreter: a process that has imported the product forks one for each.

A command of the product lives for a tenth of a second, and its imports take longer. What a program does to itself stays
its own: environment, folder, signals, an end by kill -9. What a start itself does (imports, Ctrl-C meanwhile) needs an
interpreter of its own.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait  # by poll: select() ends at descriptor 1024
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[2]
_LONGEST_REQUEST = 1_000_000  # bytes; the environment is most of it


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: its exit code, or minus the signal that killed it."""

    code: int
    out: str
    err: str


class Forks:
    """Forks programs that find every module of *package* imported; warnings are errors in them."""

    def __init__(self, package: str) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "tests.servers.forks", package, str(theirs.fileno())]
            self._server = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True
            )

    def run(
        self, program: str, words: Sequence[str], *, folder: Path, environment: Mapping[str, str], seconds: float = 120
    ) -> Ended:
        """Run *program*, Python source text, as `python -c` does. It is killed and TimeoutError raised after *seconds*;
        it ends with this process at the latest."""
        request = json.dumps([program, list(words), str(folder), dict(environment)]).encode()
        ours, theirs = socket.socketpair()
        with ours, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            with theirs:
                descriptors = [theirs.fileno(), out.fileno(), err.fileno()]
                socket.send_fds(self._ours, [request], descriptors)
            ours.settimeout(seconds)
            code = ours.recv(16)
            return Ended(int(code), *(_text(os.pread(file.fileno(), 10_000_000, 0)) for file in (out, err)))

    def close(self) -> None:
        """End the server, which ends by itself when this process does."""
        self._ours.close()
        self._server.wait()


@functools.cache
def forks(package: str) -> Forks:
    """The one of this process."""
    made = Forks(package)
    atexit.register(made.close)
    return made


def _text(content: bytes) -> str:
    return content.decode(errors="replace")


def _request(requests: socket.socket) -> bytes:
    """Fork for each request until the other side is gone. Only a forked program returns, with what was asked for."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the keepers
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, _LONGEST_REQUEST, 3)
        if not message:
            sys.exit()
        if os.fork() == 0:
            requests.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            answer, out, err = descriptors
            program = os.fork()
            if program == 0:
                os.close(answer)
                for number, descriptor in enumerate((out, err), 1):
                    os.dup2(descriptor, number)
                    os.close(descriptor)
                return message
            _keep(program, answer)
        for descriptor in descriptors:
            os.close(descriptor)


def _keep(program: int, answer: int) -> NoReturn:
    """Wait for the end of the program, and tell its exit code; end it when nobody waits for that any more."""
    ended = os.pidfd_open(program)
    if ended not in wait([ended, answer]):
        os.kill(program, signal.SIGKILL)
    _, status = os.waitpid(program, 0)
    with contextlib.suppress(BrokenPipeError):
        os.write(answer, str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _main(package: str, descriptor: int) -> None:
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    gc.collect()
    gc.freeze()  # a collection in a program would copy every page that holds a module
    program, words, folder, environment = json.loads(_request(socket.socket(fileno=descriptor)))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c", *words]
    warnings.simplefilter("error")
    _end(_code(program))


def _code(program: str) -> int:
    """Run *program* to its end, as an interpreter does. Returns its exit code."""
    try:
        exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})  # noqa: S102
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        sys.stderr.write(f"{stop.code}\n")
        return 1
    except BaseException:  # noqa: BLE001 - what an interpreter shows at its end
        traceback.print_exc()
        return 1
    return 0


def _end(code: int) -> NoReturn:
    """End as an interpreter does, but let the kernel free the memory. An interpreter takes each module apart: 0.1 s for
    the agent and 0.3 s for the issuer, nine tenths of the time of a short command."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
