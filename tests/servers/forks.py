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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import wait  # by poll: select() ends at descriptor 1024
from pathlib import Path
from typing import BinaryIO, NoReturn, Self, TextIO

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

    def start(
        self,
        program: str,
        words: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        files: Sequence[BinaryIO] = (),
    ) -> "Forked":
        """Run *program*, Python source text, as `python -c` does, and do not wait. It ends with this process at the
        latest. *files*: for what it says and what it complains of, instead of pipes."""
        request = json.dumps([program, list(words), str(folder), dict(environment)]).encode()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, contextlib.ExitStack() as given:
            pipes = [] if files else [os.pipe(), os.pipe()]
            for _, writing in pipes:
                given.callback(os.close, writing)
            outputs = [file.fileno() for file in files] or [writing for _, writing in pipes]
            socket.send_fds(self._ours, [request], [theirs.fileno(), *outputs])
        return Forked(ours, [open(reading, encoding="utf-8", errors="replace") for reading, _ in pipes])

    def run(
        self, program: str, words: Sequence[str], *, folder: Path, environment: Mapping[str, str], seconds: float = 120
    ) -> Ended:
        """The same to its end; processes that it leaves behind are not waited for. It is killed and TimeoutExpired
        raised after *seconds*."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            started = self.start(program, words, folder=folder, environment=environment, files=[out, err])
            code = started.wait_or_kill(seconds)
            return Ended(code, *(_text(os.pread(file.fileno(), 10_000_000, 0)) for file in (out, err)))

    def close(self) -> None:
        """End the server, which ends by itself when this process does."""
        self._ours.close()
        self._server.wait()


class Forked:
    """A program that runs, or has ended: what tests use of `subprocess.Popen`."""

    def __init__(self, answer: socket.socket, streams: Sequence[TextIO]) -> None:
        self._answer = answer  # it says the number of the process first, and then the exit code
        self._streams = streams
        self.pid = int(answer.recv(16))
        self.returncode: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._close_streams()
        self.wait()

    @property
    def stdout(self) -> TextIO:
        """What it says."""
        return self._streams[0]

    @property
    def stderr(self) -> TextIO:
        """What it complains of."""
        return self._streams[1]

    def poll(self) -> int | None:
        """Its exit code, or minus the signal that killed it; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The same at its end. Raises TimeoutExpired. Until then the process is listed, also when it has ended."""
        if self.returncode is None:
            if not wait([self._answer], timeout):
                raise subprocess.TimeoutExpired("a forked program", timeout or 0)
            self.returncode = int(self._answer.recv(16))
            self._answer.close()
        return self.returncode

    def wait_or_kill(self, timeout: float | None) -> int:
        """As `wait`, but it is killed before TimeoutExpired is raised."""
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            self.wait()
            raise

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that it says and complains of. It is killed and TimeoutExpired raised after *timeout*."""
        with ThreadPoolExecutor(2) as readers:
            said = [readers.submit(stream.read) for stream in self._streams]
            self.wait_or_kill(timeout)
        self._close_streams()
        out, err = (text.result() for text in said)
        return out, err

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as the kernel does."""
        self.send_signal(signal.SIGKILL)

    def _close_streams(self) -> None:
        for stream in self._streams:
            stream.close()


@functools.cache
def forks(package: str) -> Forks:
    """The one of this process."""
    made = Forks(package)
    atexit.register(made.close)
    return made


def _text(content: bytes) -> str:
    return content.decode(errors="replace")


@dataclass(slots=True)
class _Running:
    """A program that was forked. *answer*: the way to who waits for it; *ended*: readable once it has come to its end,
    -1 when that has been told."""

    number: int
    answer: int
    ended: int

    def tell(self) -> None:
        """Tell the exit code. The process stays listed, as one of a parent that has not waited for it."""
        end = os.waitid(os.P_PID, self.number, os.WEXITED | os.WNOWAIT)
        assert end is not None
        code = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
        with contextlib.suppress(OSError):
            os.write(self.answer, str(code).encode())
        os.close(self.ended)
        self.ended = -1

    def end(self) -> None:
        """Nobody waits for it any more."""
        os.kill(self.number, signal.SIGKILL)
        os.waitpid(self.number, 0)
        self.close()

    def close(self) -> None:
        """Only our descriptors."""
        os.close(self.answer)
        if self.ended != -1:
            os.close(self.ended)


def _request(requests: socket.socket) -> bytes:
    """Fork for each request until the other side is gone. Only a forked program returns, with what was asked for."""
    running: list[_Running] = []
    while True:
        ready = wait([requests, *(one.answer for one in running), *(one.ended for one in running if one.ended != -1)])
        for one in running:
            if one.ended in ready:
                one.tell()
        for one in [one for one in running if one.answer in ready]:
            running.remove(one)
            one.end()
        if requests not in ready:
            continue
        message, descriptors, _, _ = socket.recv_fds(requests, _LONGEST_REQUEST, 3)
        if not message:
            for one in running:
                one.end()
            sys.exit()
        answer, *outputs = descriptors
        program = os.fork()
        if program == 0:
            for one in running:
                one.close()
            requests.close()
            os.close(answer)
            for number, descriptor in enumerate(outputs, 1):
                os.dup2(descriptor, number)
                os.close(descriptor)
            return message
        running.append(_Running(program, answer, os.pidfd_open(program)))
        with contextlib.suppress(BrokenPipeError):
            os.write(answer, str(program).encode())
        for descriptor in outputs:
            os.close(descriptor)


def _main(package: str, descriptor: int) -> None:
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    words = importlib.import_module(f"{package}.cli")
    vars(words)["build"] = functools.cache(words.build)
    words.build()  # a tenth of a short command, and no command changes it
    gc.collect()
    gc.freeze()  # a collection in a program would copy every page that holds a module
    program, given, folder, environment = json.loads(_request(socket.socket(fileno=descriptor)))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c", *given]
    sys.stdout, sys.stderr = _anew(sys.stdout), _anew(sys.stderr)
    warnings.simplefilter("error")
    _end(_code(program))


def _anew(stream: TextIO) -> TextIO:
    """The stream as one of the file that it leads to now, which may be of another kind."""
    return open(stream.fileno(), "w", encoding=stream.encoding, errors=stream.errors, closefd=False)


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
