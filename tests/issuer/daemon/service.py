"""The daemon as systemd would run it: a process of its own, its log in a file, a socket that hears what it says."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from multiprocessing.connection import wait  # by poll: select() ends at descriptor 1024
from pathlib import Path
from typing import Any, Self

from tests.issuer.box import ROOT, Box
from tests.servers.forks import Forked, forks
from tests.servers.ports import free_port, release_port
from tests.servers.process import START_SECONDS, wait_until
from tests.servers.stopwatch import Stopwatch, wait_ended

# It looks, mails and repeats a step sooner than shipped
_QUICK = "from issuer.loops import daemon; daemon._LOOK = daemon._MAIL = 0.5"
_QUICK += "; from issuer.rules import retry; retry._FIRST_PAUSE = 0.02"
_EVERY_WARNING = "import sys; sys.warnoptions = ['error']"  # as with -W error
_START = "from issuer.cli import main; main()"
END_SECONDS = 10.0
QUICK_SECONDS = 5.0  # as promised; less than any server is waited for


class Service:
    """`certfleet-issuer daemon` with a Box's configuration, as a fork; *anew*: in an interpreter of its own, with all
    that a process shows of itself. *prelude* is Python that runs in one before the product is imported."""

    def __init__(
        self,
        box: Box,
        *,
        watchdog_seconds: float = 0,
        abstract: bool = False,
        prelude: str = "",
        anew: bool = False,
        listen: str | None = None,
    ) -> None:
        self.box = box
        self.port = free_port()
        box.document["daemon"] = {"listen": f"127.0.0.1:{self.port}" if listen is None else listen}
        box.write()
        self.log_file = box.folder / f"daemon-{self.port}.log"
        self._prelude = prelude
        self._anew = anew or bool(prelude)
        self._watchdog = watchdog_seconds
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        name = f"certfleet-test-{os.getpid()}-{self.port}"
        address = f"\0{name}" if abstract else str(box.folder / "notify")
        if not abstract:
            Path(address).unlink(missing_ok=True)
        self._notify.bind(address)
        self._address = f"@{name}" if abstract else address
        self.heard: list[tuple[float, str]] = []  # (moment, message) from the notification socket
        self.process: Forked | subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._notify.close()
        release_port(self.port)

    def start(self) -> None:
        """Start and return when it says that it is ready."""
        self.launch()
        self.wait_heard("READY=1")

    def launch(self) -> None:
        """Start it, and do not wait."""
        environment = os.environ | {"NOTIFY_SOCKET": self._address}
        if self._watchdog:
            environment["WATCHDOG_USEC"] = str(int(self._watchdog * 1e6))
        code = "\n".join([_EVERY_WARNING, self._prelude, _QUICK, _START])
        words = ["--config", str(self.box.config), "daemon"]
        with self.log_file.open("ab") as log:
            if not self._anew:
                self.process = forks("issuer").start(
                    code, words, folder=ROOT, environment=environment, files=[log, log]
                )
                return
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-W", "error", "-c", code, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=environment | {"PYTHONPATH": str(ROOT)},
            )

    def send(self, number: signal.Signals) -> None:
        """A signal to the daemon."""
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Ask it to end; the seconds that took. It has to end with exit code 0."""
        assert self.process is not None
        watch = Stopwatch(self.process.pid)
        self.process.send_signal(number)
        assert wait_ended(self.process.pid, START_SECONDS), self.log_file.read_text(encoding="utf-8")
        took = watch.seconds()
        assert self.process.wait() == 0, self.log_file.read_text(encoding="utf-8")
        return took

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of one kind. Every line has to be JSON: a journal reads them."""
        whole, _, _ = self.log_file.read_text(encoding="utf-8").rpartition("\n")  # it may just be writing the last one
        lines = whole.splitlines()
        return [entry for entry in map(json.loads, lines) if entry["event"] == event]

    def wait_logged(self, event: str, count: int = 1, seconds: float = START_SECONDS) -> list[dict[str, Any]]:
        """Wait until it has logged this so many times."""
        wait_until(lambda: len(self.logged(event)) >= count, f"the daemon logs {event} {count} times", seconds)
        return self.logged(event)

    def listen(self, seconds: float = 0.0) -> list[str]:
        """What it has told systemd so far, after waiting that long."""
        deadline = time.monotonic() + seconds
        while wait([self._notify], max(0.0, deadline - time.monotonic())):
            self.heard.append((time.monotonic(), self._notify.recv(4096).decode()))
        return [message for _, message in self.heard]

    def wait_heard(self, message: str, count: int = 1, seconds: float = START_SECONDS) -> None:
        """Wait until it has told systemd this."""

        def all_there() -> bool:
            assert self.process is not None
            assert self.process.poll() is None or self.listen(), self.log_file.read_text(encoding="utf-8")
            return sum(message in heard for heard in self.listen()) >= count

        wait_until(all_there, f"the daemon says {message} {count} times", seconds)

    def get(self, page: str) -> tuple[int, str]:
        """(status, body) of one of its pages."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self.port}{page}", timeout=30) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def stored(self, name: str) -> bool:
        """Is there a certificate now?"""
        return bool(self.box.row(name, "crt")[0])

    def wait_stored(self, *names: str) -> None:
        """Wait until each of these has a certificate."""
        wait_until(lambda: all(map(self.stored, names)), f"{', '.join(names)} issued")
