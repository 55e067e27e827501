"""Knot DNS on loopback: takes configuration as a sysadmin would paste it, and listens on any loopback addresses.

Unlike named it binds every address of 127.0.0.0/8, so one process can play several name servers on one port.
"""

from collections.abc import Sequence
from pathlib import Path

from tests.servers.ports import LOOPBACK
from tests.servers.process import program
from tests.servers.server import DnsServer

PACKAGE = "knot"


class Knot(DnsServer):
    """One knotd. Hand it pieces of knot.conf and zone files with `paste` and `zone_file`, then `start`."""

    def __init__(self, folder: Path, *, addresses: Sequence[str] = (LOOPBACK,), port: int | None = None) -> None:
        super().__init__(folder, address=addresses[0], port=port)
        self._addresses = tuple(addresses)
        self._conf = folder / "knot.conf"
        self._pieces: list[str] = []
        self._zones: list[str] = []

    def paste(self, piece: str) -> None:
        """More of knot.conf, word for word."""
        self._pieces.append(piece)

    def zone_file(self, zone: str, text: str) -> Path:
        """The file of a zone, which the configuration has to name; `start` waits until the zone answers."""
        file = self.folder / f"{zone}.zone"
        file.write_text(text, encoding="utf-8")
        self._zones.append(zone)
        return file

    def static_zone(self, zone: str, records: Sequence[str]) -> None:
        """A hand-written zone: its records without the SOA."""
        soa = f"@ SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 1"
        file = self.zone_file(zone, "\n".join([f"$ORIGIN {zone}.", "$TTL 1", soa, *records, ""]))
        self.paste(f'zone:\n  - domain: "{zone}"\n    file: "{file}"\n')

    def _configure(self) -> None:
        listen = ", ".join(f"{address}@{self.port}" for address in self._addresses)
        self._conf.write_text(
            f'server:\n    rundir: "{self.folder}"\n    listen: [ {listen} ]\n'
            "    udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n"
            "    tcp-remote-io-timeout: 1000\n"  # for each server that it notifies and that is away
            f'database:\n    storage: "{self.folder}"\n'
            "log:\n  - target: stderr\n    any: info\n" + "\n".join(self._pieces),
            encoding="utf-8",
        )

    def _command(self) -> list[str]:
        return [program("knotd", PACKAGE), "-c", str(self._conf)]

    def _ready(self) -> bool:
        return super()._ready() and all(self._serial(zone) is not None for zone in self._zones)
