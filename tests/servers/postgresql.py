"""PostgreSQL on loopback: TLS after SSLRequest. A reload with a bad pair keeps the old one; only the log tells."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers.authority import Issued
from tests.servers.ports import LOOPBACK
from tests.servers.process import MissingProgram, program
from tests.servers.service import Service

PACKAGE = "postgresql"
HERE = Path("/usr/lib/postgresql")
INSTALL_SECONDS = 120


class Postgresql(Service):
    """One postgres in the foreground, with an empty cluster."""

    schemes: Sequence[str] = ("postgres",)
    user = "postgres"

    def __init__(self, issued: Issued) -> None:
        super().__init__(issued)
        self._data = self._folder("data", self.user)
        self._user = self.user
        self.activate = self._as_user([_program("pg_ctl"), "-D", str(self._data), "reload"])

    def _configure(self) -> None:
        if not (self._data / "PG_VERSION").exists():
            self._data.chmod(0o700)
            make = [_program("initdb"), "-D", str(self._data), "-A", "trust", "--no-sync", "-E", "UTF8", "--no-locale"]
            subprocess.run(self._as_user(make), check=True, capture_output=True, timeout=INSTALL_SECONDS)
        settings = f"""listen_addresses = '{LOOPBACK}'
port = {self.ports["postgres"]}
unix_socket_directories = '{self._data}'
fsync = off
ssl = on
ssl_cert_file = '{self.files.fullchain}'
ssl_key_file = '{self.files.key}'
"""
        (self._data / "postgresql.auto.conf").write_text(settings, encoding="utf-8")

    def _as_user(self, command: list[str]) -> list[str]:
        setpriv = program("setpriv", "util-linux")
        return [setpriv, "--reuid", self.user, "--regid", self.user, "--init-groups", "--", *command]

    def _command(self) -> list[str]:
        return [_program("postgres"), "-D", str(self._data)]


def _program(name: str) -> str:
    """The newest version's; Debian has none of them in the path."""
    found = sorted(HERE.glob(f"*/bin/{name}"))
    if not found:
        raise MissingProgram(f"The program {name} is not installed: install the Debian package {PACKAGE}.")
    return str(found[-1])
