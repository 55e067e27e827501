"""Start one server as a child of this process, wait until it answers, and end exactly that one.

Each server runs in a session of its own, so that a Ctrl-C meant for the tests does not reach it before they have
tidied up, and the kernel ends it when this process is gone, however it went. That kernel promise is tied to the
*thread* which started the server: start servers from a thread that lives as long as they do.
"""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

START_SECONDS = 120.0  # on a machine that is busy with everything else; who ends before fails at once
STOP_SECONDS = 15.0
TAIL_LINES = 20


class MissingProgram(RuntimeError):
    """A server these tests need is not installed: a reason to fail, never to skip."""


class ServerFailed(RuntimeError):
    """A server did not start, did not become ready in time, or ended by itself; the message ends with its log."""


def program(name: str, package: str) -> str:
    """The full path of a program, also where the PATH of an ordinary user does not look."""
    path = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    if path is None:
        raise MissingProgram(
            f"The program {name} is not installed, and this test needs the real one: "
            f"install the Debian package {package}."
        )
    return path


def wait_until(ready: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Ask again and again, at first every few milliseconds, until `ready` says yes or the time is over."""
    deadline = time.monotonic() + seconds
    pause = 0.002
    while not ready():
        if time.monotonic() > deadline:
            raise ServerFailed(f"{what}: not within {seconds:g} seconds")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def accepts_tcp(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


class _Running:
    """A started process, and the thread that sees it end.

    It is reaped at once, as a real server would be. A dead process that is still listed takes signals without
    complaint, and programs like `apachectl graceful` then believe in a server that is gone.
    """

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self.child = child
        self.ended = threading.Event()
        self._descriptor = os.pidfd_open(child.pid)
        self._thread = threading.Thread(target=self._see_it_end, name=f"reaper-{child.pid}", daemon=True)
        self._thread.start()

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, number)

    def stop(self, number: signal.Signals) -> None:
        self.send(number)
        if not self.ended.wait(STOP_SECONDS):
            self.send(signal.SIGKILL)
        self._thread.join()
        os.close(self._descriptor)

    def _see_it_end(self) -> None:
        os.waitid(os.P_PID, self.child.pid, os.WEXITED | os.WNOWAIT)
        # What is left of its group goes before it is reaped: until then that number cannot be anybody else's.
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()
        self.ended.set()


class Process:
    """One server process in the foreground, its log, and its end."""

    def __init__(
        self, command: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None, user: str | None = None
    ) -> None:
        self.command = list(command)
        self.log = log
        self.name = Path(self.command[0]).name
        self._env = dict(os.environ if env is None else env)
        self._user = user
        self._running: _Running | None = None

    @property
    def pid(self) -> int:
        """The process id while it has been started."""
        if self._running is None:
            raise ServerFailed(f"{self.name} has not been started")
        return self._running.child.pid

    def start(self) -> None:
        """Start the program; it has to stay in the foreground."""
        if self._running is not None:
            raise ServerFailed(f"{self.name} has been started already")
        # setpriv and not preexec_fn: Python code between fork and exec is unsafe beside threads. A change of user
        # would make the kernel forget the death signal, so both are left to setpriv, which has the right order.
        become = ["--reuid", self._user, "--regid", self._user, "--init-groups"] if self._user else []
        setpriv = [program("setpriv", "util-linux"), "--pdeathsig", "TERM", *become, "--"]
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                [*setpriv, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=self._env,
                start_new_session=True,
            )
        self._running = _Running(child)

    def alive(self) -> bool:
        """Whether the process that was started still runs."""
        return self._running is not None and not self._running.ended.is_set()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, not to its group."""
        if self._running is not None:
            self._running.send(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, wait, end it by force if it must be. Does nothing when it has not been started."""
        running, self._running = self._running, None
        if running is not None:
            running.stop(number)

    def wait_until(self, ready: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
        """Wait until this server is ready; fail at once when it has ended. A failure stops it and shows its log."""

        def ready_or_ended() -> bool:
            if not self.alive():
                raise ServerFailed(f"{self.name} ended by itself while waiting: {what}")
            return ready()

        try:
            wait_until(ready_or_ended, what, seconds)
        except ServerFailed as error:
            self.stop()
            raise ServerFailed(f"{error}\ncommand: {' '.join(self.command)}\n{self.tail()}") from None

    def wait_tcp(self, host: str, port: int, seconds: float = START_SECONDS) -> None:
        """Wait until the server accepts connections."""
        self.wait_until(lambda: accepts_tcp(host, port), f"{self.name} on {host} port {port}", seconds)

    def tail(self) -> str:
        """The last lines of the log, for error messages."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
        return f"the end of {self.log}:\n" + "\n".join(lines[-TAIL_LINES:])
