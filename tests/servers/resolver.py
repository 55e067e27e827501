"""A recursive resolver: named that forwards, or begins at a root, and remembers for a good minute what is not there."""

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

    `forwards` may be changed before the start. Without `everything` it begins at the server of the root zone at `root`,
    and follows delegations from there, which lead to port 53.
    """

    def __init__(
        self,
        folder: Path,
        everything: str = "",
        but: Mapping[str, str] | None = None,
        *,
        root: str = "",
        address: str = LOOPBACK,
        port: int | None = None,
    ) -> None:
        self.folder = folder
        self.address = address
        self.port = port or free_port()
        self.root = root
        self.forwards = ({".": everything} if everything else {}) | dict(but or {})
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
        return f"{self.address}:{self.port}"

    def start(self) -> None:
        """Start and return once it answers."""
        conf = self.folder / "named.conf"
        conf.write_text(self._conf(), encoding="utf-8")
        family = [] if self.root else ["-4"]
        command = [program("named", PACKAGE), "-g", *family, "-c", str(conf)]
        self._process = Process(command, self.folder / "named.log")
        self._process.start()
        self._process.wait_tcp(self.address, self.port)

    def close(self) -> None:
        """Stop for good and give the port back."""
        if self._process is not None:
            self._process.stop()
            self._process = None
        release_port(self.port)

    def txt(self, owner: str) -> set[str]:
        """What it says of a name, from memory if it has been asked before."""
        query = dns.message.make_query(f"{owner}.", "TXT")
        answer = dns.query.udp(query, self.address, port=self.port, timeout=SECONDS)
        records = [record for rrset in answer.answer for record in rrset if isinstance(record, TXT)]
        return {b"".join(record.strings).decode() for record in records}

    def _conf(self) -> str:
        options = [
            f'directory "{self.folder}"; pid-file none; session-keyfile none; lock-file none;',
            f"listen-on port {self.port} {{ {self.address}; }}; listen-on-v6 {{ none; }};",
            "recursion yes; allow-recursion { any; }; allow-query { any; }; allow-query-cache { any; };",
            "dnssec-validation no; empty-zones-enable no; qname-minimization off; min-ncache-ttl 90;",
        ]
        zones = []
        if self.root:
            hints = self.folder / "root.hints"
            hints.write_text(f". 1 NS ns.root.\nns.root. 1 A {self.root}\n", encoding="ascii")
            zones.append(f'zone "." {{ type hint; file "{hints}"; }};')
        for zone, server in self.forwards.items():
            address, _, port = server.rpartition(":")
            forward = f"type forward; forward only; forwarders {{ {address} port {port}; }};"
            zones.append(f'zone "{zone}" {{ {forward} }};')
        return "\n".join(["controls { };", "options {", *options, "};", *zones, ""])
