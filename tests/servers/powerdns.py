"""PowerDNS on loopback over its SQLite backend, set up with pdnsutil as a sysadmin would."""

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from tests.servers.process import MissingProgram, program
from tests.servers.server import DnsServer

PACKAGE = "pdns-server"
SCHEMA = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")
TOOL_SECONDS = 20


class PowerDns(DnsServer):
    """One pdns_server. Hand it pieces of pdns.conf with `paste`, run shell lines with `run`, then `start`.

    A zone made while it runs is seen within a second.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.conf = folder / "pdns.conf"
        self._create_database()
        self.conf.write_text(
            "\n".join(
                [
                    "launch=gsqlite3",
                    f"gsqlite3-database={folder / 'pdns.sqlite3'}",
                    f"local-address={self.address}",
                    f"local-port={self.port}",
                    f"socket-dir={folder}",
                    "guardian=no",
                    "daemon=no",
                    "disable-syslog=yes",
                    "write-pid=no",
                    "webserver=no",
                    "zone-cache-refresh-interval=1",
                    "security-poll-suffix=",
                    "",
                ]
            ),
            encoding="utf-8",
        )

    def paste(self, piece: str) -> None:
        """More of pdns.conf, word for word."""
        with self.conf.open("a", encoding="utf-8") as conf:
            conf.write(piece)

    def run(self, lines: str) -> str:
        """Shell lines, word for word, in which `pdnsutil` means this server's; what they print."""
        tool = f'pdnsutil() {{ {program("pdnsutil", PACKAGE)} --config-dir="{self.folder}" "$@"; }}\n'
        done = subprocess.run(
            ["/bin/sh", "-ec", tool + lines], capture_output=True, text=True, timeout=TOOL_SECONDS, check=False
        )
        if done.returncode:
            raise RuntimeError(f"pdnsutil failed: {done.stderr or done.stdout}")
        return done.stdout

    def wait_for(self, zone: str) -> None:
        """Wait until the zone answers."""
        self.wait_until(lambda: self._serial(zone) is not None, f"pdns_server serves {zone}")

    def _command(self) -> list[str]:
        return [program("pdns_server", PACKAGE), f"--config-dir={self.folder}"]

    def _create_database(self) -> None:
        # Debian has the schema in /usr/share/doc as well, which machines made slim do not unpack.
        if not SCHEMA.exists():
            raise MissingProgram(f"{SCHEMA} is missing: install the Debian package pdns-backend-sqlite3")
        with closing(sqlite3.connect(self.folder / "pdns.sqlite3")) as database:
            database.executescript(SCHEMA.read_text(encoding="utf-8"))
