"""Postfix on loopback: smtp and submission with STARTTLS, smtps. Its own check says nothing about a wrong key: then
STARTTLS is gone."""

import subprocess
from collections.abc import Sequence

from tests.servers.authority import Issued
from tests.servers.ports import LOOPBACK
from tests.servers.process import program
from tests.servers.service import SECONDS, Service

PACKAGE = "postfix"


class Postfix(Service):
    """One postfix, whose master stays in the foreground. *options* are more lines of main.cf."""

    schemes: Sequence[str] = ("smtp", "submission", "smtps")

    def __init__(self, issued: Issued, *options: str) -> None:
        super().__init__(issued)
        self._options = options
        self._etc = self.folder / "etc"
        self.check = [program("postfix", PACKAGE), "-c", str(self._etc), "check"]
        self.activate = [program("postfix", PACKAGE), "-c", str(self._etc), "reload"]

    def _configure(self) -> None:
        self._folder("spool")
        self._folder("data", "postfix")
        main = f"""compatibility_level = 3.6
queue_directory = {self.folder}/spool
data_directory = {self.folder}/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = localhost
inet_interfaces = {LOOPBACK}
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
smtpd_tls_chain_files = {self.tls}/combined.pem
smtpd_tls_security_level = may
maillog_file = {self.folder}/maillog
maillog_file_prefixes = {self.folder}
"""
        self._write("etc/main.cf", main + "".join(f"{line}\n" for line in self._options))
        wrapped = "\n  -o smtpd_tls_wrappermode=yes -o smtpd_tls_security_level=encrypt"
        listeners = "".join(
            f"{LOOPBACK}:{port} inet n - n - - smtpd{wrapped if scheme == 'smtps' else ''}\n"
            for scheme, port in self.ports.items()
        )
        master = f"""{listeners}pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
error unix - - n - - error
local unix - n n - - local
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""
        self._write("etc/master.cf", master)
        subprocess.run(self.check, check=True, capture_output=True, timeout=SECONDS)  # it makes the queue's folders

    def _command(self) -> list[str]:
        return [program("postfix", PACKAGE), "-c", str(self._etc), "start-fg"]
