"""What every server here has in common: started, asked until it answers, stopped, started again, its ports given back.

A make of server says in a class of its own what it reads, what is run, and how to ask whether it is ready.
"""

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from tests.servers import questions
from tests.servers.ports import LOOPBACK, free_port, release_port
from tests.servers.process import Process, ServerFailed, accepts_tcp


class Server(ABC):
    """One program in the foreground, in a folder of its own; its log is there as PROGRAM.log."""

    def __init__(self, folder: Path, *, env: Mapping[str, str] | None = None, user: str | None = None) -> None:
        self.folder = folder
        self._env = env
        self._user = user
        self._ports: list[int] = []
        self._process: Process | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def start(self) -> None:
        """Start, and return once it is ready."""
        self._configure()
        command = self._command()
        log = self.folder / f"{Path(command[0]).name}.log"
        self._process = Process(command, log, env=self._env, user=self._user)
        self._process.start()
        self._wait_ready("it is ready")

    def stop(self) -> None:
        """Stop it; what it keeps on disk, and its ports, are there for another start."""
        self._end(signal.SIGTERM)

    def close(self) -> None:
        """Stop for good and give the ports back."""
        self.stop()
        while self._ports:
            release_port(self._ports.pop())

    def freeze(self) -> None:
        """Make it silent: calls come through to it, and until `thaw` it answers none."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer again, also what came in meanwhile."""
        self._send(signal.SIGCONT)

    def alive(self) -> bool:
        """Whether the process that was started still runs."""
        return self._process is not None and self._process.alive()

    def wait_until(self, ready: Callable[[], bool], what: str) -> None:
        """Wait for something of this server; fail at once, with its log, when it has ended."""
        if self._process is None:
            raise ServerFailed(f"{type(self).__name__} has not been started")
        self._process.wait_until(ready, what)

    def _wait_ready(self, what: str) -> None:
        """Wait until it answers as it should. Whatever goes wrong with a question to a server that starts means "not
        yet": whether its process is alive is looked at beside it."""
        trouble: list[Exception] = []

        def ready() -> bool:
            try:
                return self._ready()
            except Exception as error:  # noqa: BLE001 - it may close, refuse or garble whatever it likes
                trouble[:] = [error]
                return False

        try:
            self.wait_until(ready, what)
        except ServerFailed as failure:
            for error in trouble:
                failure.add_note(f"what it answered last: {error!r}")
            raise

    def _own_port(self, given: int | None = None) -> int:
        """The port *given*, which stays its giver's; or else a free one, which `close` gives back."""
        if given is not None:
            return given
        self._ports.append(free_port())
        return self._ports[-1]

    def _send(self, number: signal.Signals) -> None:
        """Send a signal, if it has been started."""
        if self._process is not None:
            self._process.send(number)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.stop(how)

    def _configure(self) -> None:  # noqa: B027 - some have nothing to write
        """Write what the program reads when it starts."""

    @abstractmethod
    def _command(self) -> list[str]:
        """What is run: the full path of the program, and its words."""

    @abstractmethod
    def _ready(self) -> bool:
        """Whether it answers now; asked again and again while it starts, and an error is a no."""


class DnsServer(Server):
    """A server that is asked for names, at one address."""

    def __init__(self, folder: Path, *, address: str = LOOPBACK, port: int | None = None) -> None:
        super().__init__(folder)
        self.address = address
        self.port = self._own_port(port)

    @property
    def endpoint(self) -> str:
        """Where it answers, as "address:port"."""
        return f"{self.address}:{self.port}"

    def txt(self, owner: str) -> set[str]:
        """The TXT values this server itself has for a name now; nothing when the name does not exist."""
        return questions.txt_values(self.address, self.port, owner)

    def _serial(self, zone: str) -> int | None:
        return questions.soa_serial(self.address, self.port, zone)

    def _ready(self) -> bool:
        return accepts_tcp(self.address, self.port)
