"""ProFTPD on loopback: ftp with AUTH TLS. After a HUP with a bad configuration it ends, so its check comes first."""

from collections.abc import Sequence

from tests.servers.authority import Issued
from tests.servers.ports import LOOPBACK
from tests.servers.process import program
from tests.servers.service import Service

PACKAGE = "proftpd-core"


class Proftpd(Service):
    """One proftpd in the foreground. Its key is ECDSA, as all of the tests' authority are unless a test says so."""

    schemes: Sequence[str] = ("ftp",)

    def __init__(self, issued: Issued) -> None:
        super().__init__(issued)
        self._conf = self.folder / "proftpd.conf"
        self.check = [program("proftpd", PACKAGE), "-t", "-c", str(self._conf)]
        self.activate = self._signal("HUP")

    def _configure(self) -> None:
        text = f"""ServerType standalone
ServerName lab
DefaultAddress {LOOPBACK}
UseIPv6 off
UseReverseDNS off
WtmpLog off
Port {self.ports["ftp"]}
User nobody
Group nogroup
PidFile {self.folder}/pid
ScoreboardFile {self.folder}/scoreboard
DelayEngine off
SystemLog {self.folder}/log
LoadModule mod_tls.c
TLSEngine on
TLSLog {self.folder}/tls.log
TLSProtocol TLSv1.2 TLSv1.3
TLSECCertificateFile {self.files.cert}
TLSECCertificateKeyFile {self.files.key}
TLSCertificateChainFile {self.files.chain}
"""
        self._write("proftpd.conf", text)

    def _command(self) -> list[str]:
        return [program("proftpd", PACKAGE), "-n", "-c", str(self._conf)]
