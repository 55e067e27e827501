"""OpenLDAP's slapd on loopback: ldap with StartTLS, ldaps. Debian's is built with GnuTLS. No signal makes it read its
certificate again: an ldapmodify of the same paths does."""

import subprocess
from collections.abc import Sequence
from urllib.parse import quote

from tests.servers.authority import Issued
from tests.servers.ports import LOOPBACK
from tests.servers.process import ServerFailed, program
from tests.servers.service import SECONDS, Service

PACKAGE = "slapd"
AGAIN = """dn: cn=config
changetype: modify
replace: olcTLSCertificateFile
olcTLSCertificateFile: {cert}
-
replace: olcTLSCertificateKeyFile
olcTLSCertificateKeyFile: {key}
"""


class Slapd(Service):
    """One slapd with its configuration in cn=config. *options* are more lines of slapd.conf's global part."""

    schemes: Sequence[str] = ("ldap", "ldaps")
    user = "openldap"

    def __init__(self, issued: Issued, *options: str) -> None:
        super().__init__(issued)
        self._options = options
        self._socket = f"ldapi://{quote(str(self.folder / 'ldapi'), safe='')}"
        self._own = self.folder / "config"
        self.check = [program("slaptest", PACKAGE), "-u", "-F", str(self._own)]
        again = self._write("again.ldif", AGAIN.format(cert=self.files.fullchain, key=self.files.key))
        login = ["-x", "-D", "cn=admin,cn=config", "-w", "x"]
        self.activate = [program("ldapmodify", "ldap-utils"), *login, "-H", self._socket, "-f", str(again)]

    def _configure(self) -> None:
        if self._own.exists():
            return
        for name in ("config", "db"):
            self._folder(name)
        more = "".join(f"{line}\n" for line in self._options)
        conf = self._write(
            "slapd.conf",
            f"""include /etc/ldap/schema/core.schema
pidfile {self.folder}/pid
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile {self.files.fullchain}
TLSCertificateKeyFile {self.files.key}
{more}database config
rootdn cn=admin,cn=config
rootpw x
database mdb
maxsize 10485760
suffix dc=lab
directory {self.folder}/db
""",
        )
        command = [program("slaptest", PACKAGE), "-f", str(conf), "-F", str(self._own)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS)
        if not (self._own / "cn=config.ldif").exists():  # its exit code is 1 for a database that is empty yet
            raise ServerFailed(done.stderr)
        self.give_away(self.folder)

    def _command(self) -> list[str]:
        urls = [f"{scheme}://{LOOPBACK}:{port}/" for scheme, port in self.ports.items()]
        account = ["-u", self.user, "-g", self.user]
        return [
            program("slapd", PACKAGE),
            "-d",
            "0",
            "-h",
            " ".join([*urls, self._socket]),
            "-F",
            str(self._own),
            *account,
        ]
