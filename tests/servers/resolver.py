"""A recursive resolver: named that forwards, or begins at a root, and remembers for a good minute what is not there."""

from collections.abc import Mapping
from pathlib import Path

import dns.flags

from tests.servers import questions
from tests.servers.ports import LOOPBACK
from tests.servers.process import program
from tests.servers.server import DnsServer
from tests.servers.zone_folder import PACKAGE


class Resolver(DnsServer):
    """Asks `everything` ("address:port") for all names, except those below the zones that `but` maps to others.

    `forwards` may be changed before the start. Without `everything` it begins at the server of the root zone at `root`,
    and follows delegations from there, which lead to port 53. With *signer*, the file of a TSIG key, it signs what it
    asks at this machine, as a client of a view that is chosen by the key.
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
        signer: Path | None = None,
    ) -> None:
        super().__init__(folder, address=address, port=port)
        self._signer = signer
        self.root = root
        self.forwards = ({".": everything} if everything else {}) | dict(but or {})
        self._conf = folder / "named.conf"

    def txt(self, owner: str) -> set[str]:
        """What it says of a name, from memory if it has been asked before."""
        return questions.txt_values(self.address, self.port, owner, dns.flags.RD)

    def _configure(self) -> None:
        self._conf.write_text(self._configuration(), encoding="utf-8")

    def _command(self) -> list[str]:
        family = [] if self.root else ["-4"]
        return [program("named", PACKAGE), "-g", *family, "-c", str(self._conf)]

    def _configuration(self) -> str:
        options = [
            f'directory "{self.folder}"; pid-file none; session-keyfile none; lock-file none;',
            f"listen-on port {self.port} {{ {self.address}; }}; listen-on-v6 {{ none; }};",
            "recursion yes; allow-recursion { any; }; allow-query { any; }; allow-query-cache { any; };",
            "dnssec-validation no; empty-zones-enable no; qname-minimization off; min-ncache-ttl 90;",
        ]
        zones = []
        if self._signer is not None:
            zones.append(f'include "{self._signer}"; server {LOOPBACK} {{ keys {{ "{self._signer.stem}"; }}; }};')
        if self.root:
            hints = self.folder / "root.hints"
            hints.write_text(f". 1 NS ns.root.\nns.root. 1 A {self.root}\n", encoding="ascii")
            zones.append(f'zone "." {{ type hint; file "{hints}"; }};')
        for zone, server in self.forwards.items():
            address, _, port = server.rpartition(":")
            forward = f"type forward; forward only; forwarders {{ {address} port {port}; }};"
            zones.append(f'zone "{zone}" {{ {forward} }};')
        return "\n".join(["controls { };", "options {", *options, "};", *zones, ""])
