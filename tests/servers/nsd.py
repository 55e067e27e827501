"""NSD on loopback: an authoritative server that takes no updates, so that it is a secondary only."""

from pathlib import Path

from tests.servers.process import program
from tests.servers.server import DnsServer

PACKAGE = "nsd"


class Nsd(DnsServer):
    """One nsd. Hand it pieces of nsd.conf with `paste`, then `start`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._conf = folder / "nsd.conf"
        self._pieces: list[str] = []

    def paste(self, piece: str) -> None:
        """More of nsd.conf, word for word."""
        self._pieces.append(piece)

    def _configure(self) -> None:
        files = {"pidfile": "nsd.pid", "xfrdfile": "xfrd.state", "zonelistfile": "zone.list", "database": ""}
        places = "".join(f'    {key}: "{self.folder / name if name else name}"\n' for key, name in files.items())
        self._conf.write_text(
            f'server:\n    ip-address: {self.address}@{self.port}\n    username: ""\n    server-count: 1\n'
            f'    zonesdir: "{self.folder}"\n    xfrdir: "{self.folder}"\n{places}'
            "remote-control:\n    control-enable: no\n" + "".join(self._pieces),
            encoding="utf-8",
        )

    def _command(self) -> list[str]:
        return [program("nsd", PACKAGE), "-d", "-c", str(self._conf)]
