"""Dovecot on loopback: imap, pop3, lmtp and sieve with STARTTLS, imaps and pop3s. Its own check says nothing about a
wrong key: then TLS is dead."""

from collections.abc import Sequence

from tests.servers.authority import Issued
from tests.servers.ports import LOOPBACK
from tests.servers.process import program
from tests.servers.service import Service

PACKAGE = "dovecot-core"


class Dovecot(Service):
    """One dovecot in the foreground."""

    schemes: Sequence[str] = ("imap", "imaps", "pop3", "pop3s", "lmtp", "sieve")

    def __init__(self, issued: Issued) -> None:
        super().__init__(issued)
        self._conf = self.folder / "dovecot.conf"
        self.check = [program("doveconf", PACKAGE), "-c", str(self._conf), "-n"]
        self.activate = [program("doveadm", PACKAGE), "-c", str(self._conf), "reload"]

    def _configure(self) -> None:
        def listener(scheme: str, name: str) -> str:
            ssl = "\n    ssl = yes" if scheme.endswith("s") else ""
            return f"  inet_listener {name} {{\n    address = {LOOPBACK}\n    port = {self.ports[scheme]}{ssl}\n  }}\n"

        logins = {
            "imap-login": listener("imap", "imap") + listener("imaps", "imaps"),
            "pop3-login": listener("pop3", "pop3") + listener("pop3s", "pop3s"),
            "managesieve-login": listener("sieve", "sieve"),
            "lmtp": listener("lmtp", "lmtp"),
        }
        services = "".join(f"service {name} {{\n  chroot =\n{listeners}}}\n" for name, listeners in logins.items())
        text = f"""base_dir = {self.folder}/run
state_dir = {self.folder}/state
log_path = {self.folder}/log
protocols = imap pop3 lmtp sieve
listen = {LOOPBACK}
ssl = yes
ssl_cert = <{self.files.fullchain}
ssl_key = <{self.files.key}
mail_location = maildir:{self.folder}/mail/%u
passdb {{
  driver = static
  args = password=x
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={self.folder}/mail/%u
}}
{services}"""
        self._write("dovecot.conf", text)

    def _command(self) -> list[str]:
        return [program("dovecot", PACKAGE), "-F", "-c", str(self._conf)]
