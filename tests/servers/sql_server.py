"""What MariaDB and MySQL have in common: on loopback, with TLS from a throw-away authority, and a fresh database and
user for whoever asks.

A server keeps out of the machine's own way by `--no-defaults`; its administrator comes in by the socket only.
"""

import json
import re
import secrets
import shutil
import signal
import socket
import ssl
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pymysql
from pymysql.converters import escape_item

from tests.servers import sql_folder
from tests.servers.authority import Authority
from tests.servers.database import Row
from tests.servers.ports import LOOPBACK
from tests.servers.server import Server

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

QUERY_SECONDS = 60
_DEFINER = re.compile(r" DEFINER=`[^`]+`@`[^`]+`")
SMALL = (
    "--performance-schema=OFF",
    "--innodb-buffer-pool-size=16M",
    "--innodb-buffer-pool-dump-at-shutdown=OFF",
    "--innodb-buffer-pool-load-at-startup=OFF",
    "--key-buffer-size=64K",
    "--innodb-flush-log-at-trx-commit=1",
    "--character-set-server=utf8mb4",
)


@dataclass(frozen=True, slots=True)
class SqlDatabase:
    """A database with one user who may do everything in it, over verified TLS only."""

    server: "SqlServer"
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

    @property
    def make(self) -> str:
        """Its make, and how its server was started: some options leave a database without triggers."""
        return " ".join([type(self.server).__name__, *self.server.options])

    def empty(self) -> bool:
        """Whether it has no table yet."""
        return not self.query("SHOW TABLES")

    def content(self) -> bytes:
        """The statements that make its tables, rows, views and triggers."""
        made, views = [], []
        for name, kind in self.query("SHOW FULL TABLES"):
            [(_, definition, *_)] = self.query(f"SHOW CREATE TABLE `{name}`")
            if kind == "VIEW":
                views.append(definition)
                continue
            made.append(definition)
            for row in self.query(f"SELECT * FROM `{name}`"):  # noqa: S608
                values = ", ".join(str(escape_item(value, "utf8mb4")) for value in row)
                made.append(f"INSERT INTO `{name}` VALUES ({values})")  # noqa: S608
        triggers = [self.query(f"SHOW CREATE TRIGGER `{name}`")[0][2] for name, *_ in self.query("SHOW TRIGGERS")]
        return json.dumps([*made, *(_DEFINER.sub("", text, count=1) for text in (*views, *triggers))]).encode()

    def fill(self, content: bytes) -> None:
        """Run the statements of another one's `content`, as the user whose own views and triggers are to be."""
        any_certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # a test may give the server another authority's
        any_certificate.check_hostname, any_certificate.verify_mode = False, ssl.CERT_NONE
        with self.connect(any_certificate) as connection, connection.cursor() as cursor:
            for statement in json.loads(content):
                cursor.execute(statement)
            connection.commit()

    def connect(self, context: ssl.SSLContext | None) -> "pymysql.Connection[pymysql.cursors.Cursor]":
        """Log in as the database's own user, with this trust or without TLS."""
        return pymysql.connect(
            host=self.server.host,
            port=self.server.port,
            user=self.user,
            password=self.password_file.read_text(encoding="utf-8").strip().encode(),
            database=self.name,
            ssl=context,
            ssl_disabled=context is None,
        )

    def query(self, sql: str) -> list[Row]:
        """The rows of one statement, as the server's administrator."""
        return self.server.sql(sql, self.name)

    def execute(self, sql: str) -> None:
        """Run and commit one statement as the server's administrator."""
        self.server.sql(sql, self.name)


class SqlServer(Server):
    """One server in a temporary folder of its own, removed by `close`.

    `options` come last on the command line, so that they override what stands there by default.
    """

    host = "localhost"
    _own_options: tuple[str, ...]  # what only this make knows

    def __init__(self, *, options: Sequence[str] = ()) -> None:
        template = sql_folder.template(self._installer)
        super().__init__(sql_folder.make_folder("server"), user=sql_folder.server_user())
        self.options = tuple(options)
        self.port = self._own_port()
        self.socket = self.folder / "socket"
        authority = Authority("Database CA")
        self.ca_file = authority.write(self.folder)
        self._tls = authority.issue([self.host, LOOPBACK]).write(self.folder)
        shutil.copytree(template, self.folder / "data")
        sql_folder.give_away(self.folder)

    def kill(self) -> None:
        """Let it crash; the next start recovers what was committed."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """End it, remove its folder, and give its port back."""
        self.kill()
        super().close()
        sql_folder.remove_folder(self.folder)

    def create_database(self, name: str | None = None) -> SqlDatabase:
        """An empty database, and a new user with a new password who has all rights on it and on nothing else."""
        name = name or f"certfleet_{secrets.token_hex(4)}"
        user, password = f"issuer_{secrets.token_hex(4)}", secrets.token_urlsafe(16) + "ü€"
        quoted = f"`{name.replace('`', '``')}`"
        self.sql(f"CREATE DATABASE {quoted}")
        self.sql(f"CREATE USER `{user}`@`%` IDENTIFIED BY '{password}' REQUIRE SSL")
        self.sql(f"GRANT ALL ON {quoted}.* TO `{user}`@`%`")
        password_file = self.folder / f"{user}.password"
        password_file.touch(mode=0o600)
        password_file.write_text(password + "\n", encoding="utf-8")
        return SqlDatabase(self, name, user, password, password_file)

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

    @abstractmethod
    def _program(self) -> str:
        """The full path of the server's program."""

    @staticmethod
    @abstractmethod
    def _installer(data: Path) -> list[str]:
        """The command that makes an empty installation in which root needs no password.

        What spares fsync takes a third of the time, and nobody misses it after a power failure.
        """

    def _command(self) -> list[str]:
        return [
            self._program(),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            sql_folder.temporary_option(self.folder),
            f"--socket={self.socket}",
            f"--pid-file={self.folder / 'pid'}",
            f"--port={self.port}",
            f"--bind-address={LOOPBACK}",
            "--skip-name-resolve",
            f"--ssl-ca={self.ca_file}",
            f"--ssl-cert={self._tls.fullchain}",
            f"--ssl-key={self._tls.key}",
            *SMALL,
            *self._own_options,
            *self.options,
        ]

    def _ready(self) -> bool:
        return self.sql("SELECT 1") == [(1,)]
