"""A recursive resolver on loopback: named that forwards, and remembers answers, the negative ones for a good minute."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import dns.message
import dns.query
from dns.rdtypes.ANY.TXT import TXT

from tests.servers.ports import free_port, release_port
from tests.servers.process import Process, program

PACKAGE = "bind9"
LOOPBACK = "127.0.0.1"
SECONDS = 5.0


class Resolver:
    """Asks `everything` ("address:port") for all names, except those below the zones that `but` maps to others.

    `forwards` may be changed before the start.
    """

    def __init__(self, folder: Path, everything: str, but: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.forwards = {".": everything, **(but or {})}
        self._process: Process | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def endpoint(self) -> str:
        """Where it answers, as "address:port"."""
        return f"{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Start and return once it answers."""
        conf = self.folder / "named.conf"
        conf.write_text(self._conf(), encoding="utf-8")
        self._process = Process([program("named", PACKAGE), "-g", "-4", "-c", str(conf)], self.folder / "named.log")
        self._process.start()
        self._process.wait_tcp(LOOPBACK, self.port)

    def close(self) -> None:
        """Stop for good and give the port back."""
        if self._process is not None:
            self._process.stop()
            self._process = None
        release_port(self.port)

    def txt(self, owner: str) -> set[str]:
        """What it says of a name, from memory if it has been asked before."""
        query = dns.message.make_query(f"{owner}.", "TXT")
        answer = dns.query.udp(query, LOOPBACK, port=self.port, timeout=SECONDS)
        records = [record for rrset in answer.answer for record in rrset if isinstance(record, TXT)]
        return {b"".join(record.strings).decode() for record in records}

    def _conf(self) -> str:
        options = [
            f'directory "{self.folder}"; pid-file none; session-keyfile none; lock-file none;',
            f"listen-on port {self.port} {{ {LOOPBACK}; }}; listen-on-v6 {{ none; }};",
            "recursion yes; allow-recursion { any; }; allow-query { any; }; allow-query-cache { any; };",
            "dnssec-validation no; empty-zones-enable no; qname-minimization off; min-ncache-ttl 90;",
        ]
        zones = []
        for zone, server in self.forwards.items():
            address, _, port = server.rpartition(":")
            forward = f"type forward; forward only; forwarders {{ {address} port {port}; }};"
            zones.append(f'zone "{zone}" {{ {forward} }};')
        return "\n".join(["controls { };", "options {", *options, "};", *zones, ""])
