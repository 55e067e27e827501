"""Knot DNS on loopback: takes configuration as a sysadmin would paste it, and listens on any loopback addresses.

Unlike named it binds every address of 127.0.0.0/8, so one process can play several name servers on one port.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.servers import questions
from tests.servers.ports import free_port, release_port
from tests.servers.process import Process, program

PACKAGE = "knot"
LOOPBACK = "127.0.0.1"


class Knot:
    """One knotd. Hand it pieces of knot.conf and zone files with `paste` and `zone_file`, then `start`."""

    def __init__(self, folder: Path, *, addresses: Sequence[str] = (LOOPBACK,), port: int | None = None) -> None:
        self.folder = folder
        self.addresses = tuple(addresses)
        self._own_port = free_port() if port is None else None
        self.port = port if port is not None else self._own_port or 0
        self._pieces: list[str] = []
        self._zones: list[str] = []
        self._process: Process | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def endpoint(self) -> str:
        """Where it answers, as "address:port": its first address."""
        return f"{self.addresses[0]}:{self.port}"

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

    def start(self) -> None:
        """Start and return once every zone answers."""
        conf = self.folder / "knot.conf"
        listen = ", ".join(f"{address}@{self.port}" for address in self.addresses)
        conf.write_text(
            f'server:\n    rundir: "{self.folder}"\n    listen: [ {listen} ]\n'
            "    udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n"
            f'database:\n    storage: "{self.folder}"\n'
            "log:\n  - target: stderr\n    any: info\n" + "\n".join(self._pieces),
            encoding="utf-8",
        )
        self._process = Process([program("knotd", PACKAGE), "-c", str(conf)], self.folder / "knotd.log")
        self._process.start()
        self._process.wait_tcp(self.addresses[0], self.port)
        self._process.wait_until(self._loaded, "the zones of knotd are loaded")

    def stop(self) -> None:
        """Stop the server; its zones and port are kept for another start."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def close(self) -> None:
        """Stop for good and give the port back."""
        self.stop()
        if self._own_port is not None:
            release_port(self._own_port)

    def txt(self, owner: str) -> set[str]:
        """The TXT values the server has for a name now."""
        return questions.txt_values(self.addresses[0], self.port, owner)

    def _loaded(self) -> bool:
        return all(questions.soa_serial(self.addresses[0], self.port, zone) is not None for zone in self._zones)
