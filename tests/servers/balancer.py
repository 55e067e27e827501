"""HAProxy as a balancer: on loopback, before the servers of its configuration."""

from pathlib import Path

from tests.servers.ports import LOOPBACK
from tests.servers.process import accepts_tcp, program
from tests.servers.server import Server

PACKAGE = "haproxy"


class Balancer(Server):
    """One haproxy that listens at `port`. *stanza*: a `listen` with the *placeholder* of that port in it."""

    def __init__(self, folder: Path, stanza: str, placeholder: str) -> None:
        super().__init__(folder)
        self.port = self._own_port()
        self._conf = folder / "haproxy.cfg"
        self._text = stanza.replace(placeholder, f"{LOOPBACK}:{self.port}")

    def _configure(self) -> None:
        self._conf.write_text(self._text, encoding="utf-8")

    def _command(self) -> list[str]:
        return [program("haproxy", PACKAGE), "-db", "-f", str(self._conf)]

    def _ready(self) -> bool:
        return accepts_tcp(LOOPBACK, self.port)
