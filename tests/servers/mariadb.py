"""MariaDB on loopback, with TLS from a throw-away authority and a fresh database and user for whoever asks.

mariadbd keeps out of the machine's own way by `--no-defaults`; its administrator comes in by the socket only.
"""

import secrets
import shutil
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pymysql

from tests.servers import mariadb_folder
from tests.servers.authority import Authority
from tests.servers.database import Row
from tests.servers.mariadb_folder import PACKAGE
from tests.servers.ports import LOOPBACK
from tests.servers.process import program
from tests.servers.server import Server

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

QUERY_SECONDS = 60
SMALL = (
    "--performance-schema=OFF",
    "--innodb-buffer-pool-size=16M",
    "--innodb-buffer-pool-dump-at-shutdown=OFF",
    "--innodb-buffer-pool-load-at-startup=OFF",
    "--key-buffer-size=64K",
    "--aria-pagecache-buffer-size=1M",
    "--innodb-flush-log-at-trx-commit=1",
    "--character-set-server=utf8mb4",
)


@dataclass(frozen=True, slots=True)
class MariaDatabase:
    """A database with one user who may do everything in it, over verified TLS only."""

    server: "MariaDB"
    name: str
    user: str
    password: str
    password_file: Path

    @property
    def url(self) -> str:
        """As it stands in issuer.toml, without the password."""
        return f"mysql+pymysql://{self.user}@{self.server.host}:{self.server.port}/{self.name}"

    @property
    def tls_ca(self) -> Path:
        """The authority of the server's certificate."""
        return self.server.ca_file

    @property
    def ca_file(self) -> Path:
        """The same under the name the server has for it."""
        return self.server.ca_file

    def query(self, sql: str) -> list[Row]:
        """The rows of one statement, as the server's administrator."""
        return self.server.sql(sql, self.name)

    def execute(self, sql: str) -> None:
        """Run and commit one statement as the server's administrator."""
        self.server.sql(sql, self.name)


class MariaDB(Server):
    """One mariadbd in a temporary folder of its own, removed by `close`.

    `options` come last on the command line, so that they override what stands there by default.
    """

    host = "localhost"

    def __init__(self, *, options: Sequence[str] = ()) -> None:
        template = mariadb_folder.template()
        super().__init__(mariadb_folder.make_folder("server"), user=mariadb_folder.server_user())
        self.options = tuple(options)
        self.port = self._own_port()
        self.socket = self.folder / "socket"
        authority = Authority("MariaDB CA")
        self.ca_file = authority.write(self.folder)
        self._tls = authority.issue([self.host, LOOPBACK]).write(self.folder)
        shutil.copytree(template, self.folder / "data")
        mariadb_folder.give_away(self.folder)

    def start(self) -> None:
        """Start and return once the administrator can log in."""
        super().start()
        # The installation lets root in by TCP as well, without a password: not on a machine others may use.
        self.sql("DELETE FROM mysql.global_priv WHERE User = 'root' AND Host <> 'localhost'")
        self.sql("FLUSH PRIVILEGES")

    def kill(self) -> None:
        """Let it crash; the next start recovers what was committed."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """End it, remove its folder, and give its port back."""
        self.kill()
        super().close()
        mariadb_folder.remove_folder(self.folder)

    def create_database(self, name: str | None = None) -> MariaDatabase:
        """An empty database, and a new user with a new password who has all rights on it and on nothing else."""
        name = name or f"certfleet_{secrets.token_hex(4)}"
        user, password = f"issuer_{secrets.token_hex(4)}", secrets.token_urlsafe(16)
        self.sql(f"CREATE DATABASE `{name}`")
        self.sql(f"CREATE USER `{user}`@`%` IDENTIFIED BY '{password}' REQUIRE SSL")
        self.sql(f"GRANT ALL ON `{name}`.* TO `{user}`@`%`")
        password_file = self.folder / f"{user}.password"
        password_file.touch(mode=0o600)
        password_file.write_text(password + "\n", encoding="utf-8")
        return MariaDatabase(self, name, user, password, password_file)

    def sql(self, statement: str, database: str | None = None) -> list[Row]:
        """Run one statement as the administrator, commit it, and return its rows."""
        connection: Connection[Cursor] = pymysql.connect(
            user="root",
            database=database,
            read_timeout=QUERY_SECONDS,
            autocommit=True,
            ssl_disabled=True,
            defer_connect=True,
        )
        # PyMySQL forgets to close the Unix socket of a server that is down, so it is handed an open one.
        with socket.socket(socket.AF_UNIX) as plain:
            plain.connect(str(self.socket))
            connection.connect(plain)
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall())

    def read_only(self, on: bool) -> None:
        """Refuse every write, except by accounts with SUPER or READ ONLY ADMIN: the administrator still may."""
        self.sql(f"SET GLOBAL read_only = {int(on)}")

    def _command(self) -> list[str]:
        return [
            program("mariadbd", PACKAGE),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            mariadb_folder.temporary_option(self.folder),
            f"--socket={self.socket}",
            f"--pid-file={self.folder / 'pid'}",
            f"--port={self.port}",
            f"--bind-address={LOOPBACK}",
            "--skip-name-resolve",
            f"--ssl-ca={self.ca_file}",
            f"--ssl-cert={self._tls.fullchain}",
            f"--ssl-key={self._tls.key}",
            mariadb_folder.LOG_FILE_SIZE,
            *SMALL,
            *self.options,
        ]

    def _ready(self) -> bool:
        try:
            self.sql("SELECT 1")
        except (OSError, pymysql.err.OperationalError):
            return False
        return True
