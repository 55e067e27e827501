"""A web site that the issuer validates and a real CA looks at."""

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from common.certificate import certified_names
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority
from tests.servers.lab import Lab
from tests.servers.nginx import Nginx

ZONE = "example.test"


@dataclass(frozen=True, slots=True)
class Site:
    """A web site with its root, the issuer that validates it, and the CA."""

    box: Box
    lab: Lab
    root: Path

    def dns(self, *records: str) -> None:
        self.lab.bind.static_zone(ZONE, records)
        self.lab.bind.reconfigure()

    def populate(self, *names: str, webroot: str = "") -> None:
        words = ["populate", names[0], "--csr", "-", "--webroot", webroot or str(self.root)]
        self.box.ok(*words, stdin=csr(names))
        self.box.ok("enable", names[0])

    def clean(self) -> bool:
        """Nothing is left in the webroot or in the journal."""
        return not list(self.root.rglob("*")) and not self.box.database.query("SELECT * FROM challenges")

    def files(self) -> list[Path]:
        """The challenges that are out."""
        return sorted(self.root.glob(".well-known/acme-challenge/[!.]*"))

    def ca_log(self) -> str:
        return self.lab.pebble.log_text()

    def ca_has_orders(self) -> bool:
        """Has the CA ever been asked for anything?"""
        return "order-plz" in self.ca_log() or "orders in the db" in self.ca_log()

    def ca_looked(self) -> bool:
        """Has the CA been told that it may validate anything?"""
        return "Attempting to validate" in self.ca_log()

    def names(self, name: str) -> set[str]:
        """What the certificate stored for *name* is for."""
        [crt] = self.box.row(name, "crt")
        return set(certified_names(x509.load_pem_x509_certificate(crt)))


def web_server(site: Site, root: Path) -> Nginx:
    """nginx serving *root* where the CA looks."""
    folder = site.box.folder / f"nginx-{root.name}"
    files = Authority("Web").issue(["localhost"]).write(folder / "tls")
    return Nginx(folder, files.fullchain, files.key, http_webroot=root, http_port=site.lab.pebble.http_port)
