"""InterNetNews' nnrpd on loopback: nntp with STARTTLS, without the rest of a news server. Each connection reads the
certificate anew.

Installed, inn2 would bring jobs for cron and a spool. `.ci/packages drill` only fetches it, and it is unpacked here.
"""

import getpass
import grp
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers.authority import Issued
from tests.servers.ports import LOOPBACK
from tests.servers.process import MissingProgram
from tests.servers.service import SECONDS, Service

FETCHED = Path("/var/cache/certfleet")
PACKAGES = ("inn2", "inn2-inews", "libcanlock3")
INN_CONF = """\
mta: "/bin/true %s"
domain: localhost
fromhost: localhost
pathhost: localhost
ovmethod: tradindexed
hismethod: hisv6
runasuser: {user}
runasgroup: {group}
pathnews: {folder}
pathdb: {folder}/db
pathetc: {folder}
pathrun: {folder}/run
pathlog: {folder}/run
pathtmp: {folder}/run
pathspool: {folder}/spool
pathoverview: {folder}/spool
nnrpdloadlimit: 0
patharticles: {folder}/spool
tlscertfile: {cert}
tlskeyfile: {key}
"""


class Nnrpd(Service):
    """One nnrpd in the foreground."""

    schemes: Sequence[str] = ("nntp",)

    def __init__(self, issued: Issued) -> None:
        super().__init__(issued)
        root = self.folder / "unpacked"
        for package in PACKAGES:
            file = next(FETCHED.glob(f"{package}_*.deb"), None)
            if file is None:
                raise MissingProgram(f"{package} is not in {FETCHED}: `.ci/packages drill` fetches it")
            subprocess.run(["dpkg-deb", "-x", str(file), str(root)], check=True, timeout=SECONDS)
        self._programs = root / "usr/lib/news/bin"
        libraries = [str(self._programs.parent), *map(str, (root / "usr/lib").glob("*-linux-gnu"))]
        conf = self.folder / "inn.conf"
        self._env = {**os.environ, "INNCONF": str(conf), "LD_LIBRARY_PATH": ":".join(libraries)}

    def _configure(self) -> None:
        for name in ("db", "run", "spool"):
            self._folder(name)
        user, group = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name
        files = {"cert": self.files.fullchain, "key": self.files.key}
        self._write("inn.conf", INN_CONF.format(user=user, group=group, folder=self.folder, **files))
        self._write("readers.conf", 'auth all { hosts: "*" default: "x" }\naccess all { users: "*" newsgroups: "*" }\n')
        self._write("storage.conf", "method tradspool {\n newsgroups: *\n class: 0\n}\n")
        self._write("db/active", "junk 0000000000 0000000001 y\n")
        for name in ("db/newsgroups", "spool/tradspool.map"):
            self._write(name, "")
        command = [str(self._programs / "makehistory"), "-O", "-x"]
        subprocess.run(command, env=self._env, check=True, timeout=SECONDS)

    def _command(self) -> list[str]:
        return [str(self._programs / "nnrpd"), "-D", "-f", "-b", LOOPBACK, "-p", str(self.ports["nntp"])]
