"""Prosody on loopback: xmpp with STARTTLS for clients, and xmpps."""

from collections.abc import Sequence

from tests.servers.authority import Issued
from tests.servers.ports import LOOPBACK
from tests.servers.process import program
from tests.servers.service import Service

PACKAGE = "prosody"


class Prosody(Service):
    """One prosody in the foreground."""

    schemes: Sequence[str] = ("xmpp", "xmpps")
    user = "prosody"

    def __init__(self, issued: Issued) -> None:
        super().__init__(issued)
        self._user = self.user
        self._conf = self.folder / "prosody.cfg.lua"
        self.activate = self._signal("HUP")

    def _configure(self) -> None:
        self._folder("data", self.user)
        pair = f'certificate = "{self.files.fullchain}"; key = "{self.files.key}"'
        text = f"""pidfile = "{self.folder}/pid"
data_path = "{self.folder}/data"
modules_enabled = {{ "tls"; "saslauth"; "roster"; "posix" }}
modules_disabled = {{ "s2s"; "offline" }}
interfaces = {{ "{LOOPBACK}" }}
c2s_ports = {{ {self.ports["xmpp"]} }}
c2s_direct_tls_ports = {{ {self.ports["xmpps"]} }}
ssl = {{ {pair} }}
c2s_direct_tls_ssl = {{ {pair} }}
log = {{ info = "{self.folder}/log" }}
VirtualHost "localhost"
"""
        self._write("prosody.cfg.lua", text)
        self.give_away(self.folder)

    def _command(self) -> list[str]:
        return [program("prosody", PACKAGE), "--config", str(self._conf), "-F"]
