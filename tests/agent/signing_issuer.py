"""The issuer behind a host, as far as it signs statements: its key, and its database on SQLite or on a real server."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.certificate import fingerprint, parse_bundle
from common.issuer_key import issuer_key_text
from issuer.trust.statements import Statements
from tests.agent.host import Host
from tests.servers.authority import Issued


class SigningIssuer:
    """Puts certificates with their statements into the database of *host*, by *execute* for another one."""

    def __init__(self, host: Host, folder: Path, execute: Callable[[str], Any] | None = None) -> None:
        folder.mkdir()
        self.host = host
        self.statements = Statements(folder)
        self.statements.create()
        self._execute, self._on_server = execute or host.sql, execute is not None
        self._text = ""
        self._last: Issued

    @property
    def key_text(self) -> str:
        """As agent.toml pins it."""
        return issuer_key_text(self.statements.key().public)

    def sign(self, issued: Issued, *, older: bool = False, name: str = "") -> str:
        """The next statement, about a certificate of *name*."""
        bundle = parse_bundle(issued.fullchain_pem)
        text = self.statements.sign(name or self.host.name, bundle, self._text, int(time.time()), older=older)
        self._text, self._last = text, issued
        return text

    def offer(self, issued: Issued, statement: str | None, *, back: bool = False) -> None:
        """Put both into the row, under a new mark. *back*: marked as gone back to."""
        said = f"'{statement}'" if statement is not None else "NULL"
        marked = f"'{fingerprint(issued.certificate)}'" if back else "NULL"
        self._execute(f"DELETE FROM certs WHERE name = '{self.host.name}'")  # noqa: S608 - our own words
        self._execute(  # for SQLite and for a server
            "INSERT INTO certs (name, crt, ca, ts_last_update, ts_expire, rolled_back, statement)"  # noqa: S608 - our own words
            f" VALUES ('{self.host.name}', x'{issued.cert_pem.hex()}', x'{issued.chain_pem.hex()}',"
            f" {time.time_ns() // 1000}, 77, {marked}, {said})"
        )

    def change_key(self) -> None:
        """As `key rollover` does."""
        self.statements.begin_change(lost=False)
        self.sign(self._last)
        self.statements.end_change()

    def lose_column(self, column: str) -> None:
        """As the tables of an earlier issuer, which lack *column* of certs."""
        self._execute(f"ALTER TABLE certs DROP COLUMN {column}")
        if self._on_server:
            there = "name, ts_last_update, ts_expire, crt, ca" + (", rolled_back" if column == "statement" else "")
            view = f"VIEW agent_certs AS SELECT {there} FROM certs"  # noqa: S608 - our own words
            self._execute(f"CREATE OR REPLACE SQL SECURITY DEFINER {view}")
