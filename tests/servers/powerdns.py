"""PowerDNS on loopback over its SQLite backend, set up with pdnsutil as a sysadmin would."""

import subprocess
from pathlib import Path
from typing import Self

from tests.servers import questions
from tests.servers.ports import free_port, release_port
from tests.servers.process import Process, program

PACKAGE = "pdns-server"
LOOPBACK = "127.0.0.1"
SCHEMA = Path("/usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql")
TOOL_SECONDS = 20


class PowerDns:
    """One pdns_server. Hand it pieces of pdns.conf with `paste`, run shell lines with `run`, then `start`.

    A zone made while it runs is seen within a second.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = LOOPBACK
        self.port = free_port()
        self.conf = folder / "pdns.conf"
        self._process: Process | None = None
        folder.mkdir(parents=True, exist_ok=True)
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

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def endpoint(self) -> str:
        """Where it answers, as "address:port"."""
        return f"{self.address}:{self.port}"

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

    def start(self) -> None:
        """Start and return once it listens."""
        self._process = Process(
            [program("pdns_server", PACKAGE), f"--config-dir={self.folder}"], self.folder / "pdns.log"
        )
        self._process.start()
        self._process.wait_tcp(self.address, self.port)

    def wait_for(self, zone: str) -> None:
        """Wait until the zone answers."""
        if self._process is None:
            raise ValueError("start the server first")
        self._process.wait_until(
            lambda: questions.soa_serial(self.address, self.port, zone) is not None, f"pdns_server serves {zone}"
        )

    def stop(self) -> None:
        """Stop the server; its zones and port are kept for another start."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def close(self) -> None:
        """Stop for good and give the port back."""
        self.stop()
        release_port(self.port)

    def txt(self, owner: str) -> set[str]:
        """The TXT values the server has for a name now."""
        return questions.txt_values(self.address, self.port, owner)

    def _create_database(self) -> None:
        import sqlite3  # noqa: PLC0415

        if not SCHEMA.exists():
            raise RuntimeError(f"{SCHEMA} is missing: install the Debian package pdns-backend-sqlite3")
        with sqlite3.connect(self.folder / "pdns.sqlite3") as database:
            database.executescript(SCHEMA.read_text(encoding="utf-8"))
