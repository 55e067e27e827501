"""Accounts for agents on a real database server, with the rights that an agent has and no others."""

import secrets
from pathlib import Path

from agent.settings.config import SourceSettings
from tests.agent.host import TABLES
from tests.servers.sql_server import SqlDatabase

VIEWS = """CREATE SQL SECURITY DEFINER VIEW own_installations AS
  SELECT name, host, account, sha256, not_after, state, detail, ts_report FROM installations
  WHERE account = SUBSTRING_INDEX(USER(), '@', 1) WITH CASCADED CHECK OPTION;
CREATE SQL SECURITY DEFINER VIEW agent_certs AS
  SELECT name, ts_last_update, ts_expire, crt, ca, rolled_back, statement, enable FROM certs"""
EARLIER = """DROP VIEW agent_certs;
ALTER TABLE installations DROP PRIMARY KEY, ADD PRIMARY KEY (name, host)"""


class Agents:
    """Accounts for agents on one database, with the rights that `db grants` prints and no others."""

    def __init__(self, database: SqlDatabase, folder: Path) -> None:
        self.server = database.server
        self.folder = folder
        self.database = database
        self.execute(f"{TABLES};{VIEWS}")

    def execute(self, statements: str) -> None:
        """Run statements between semicolons."""
        for statement in filter(str.strip, statements.split(";")):
            self.database.execute(statement)

    def settings(
        self, *, tls_ca: Path | None = None, host: str = "localhost", read: str = "agent_certs"
    ) -> SourceSettings:
        """A new account, and how its agent.toml names the database. *read*: the table or view that it may read."""
        user, password = f"agent_{secrets.token_hex(4)}", secrets.token_urlsafe(12)
        for statement in (
            f"CREATE USER `{user}`@`%` IDENTIFIED BY '{password}' REQUIRE SSL",
            f"GRANT SELECT ON `{self.database.name}`.`{read}` TO `{user}`@`%`",
            f"GRANT SELECT, INSERT, UPDATE ON `{self.database.name}`.`own_installations` TO `{user}`@`%`",
        ):
            self.server.sql(statement)
        file = self.folder / f"{user}.password"
        file.touch(mode=0o600)
        file.write_text(password + "\n")
        url = f"mysql://{user}@{host}:{self.server.port}/{self.database.name}"
        return SourceSettings(url, file, tls_ca or self.server.ca_file)

    def enrol(self, name: str, leaf: bytes, chain: bytes, updated: int = 1000) -> None:
        """Put a certificate into the database, as the issuer does."""
        self.database.execute(
            "REPLACE INTO certs (name, crt, ca, ts_last_update, ts_expire)"  # noqa: S608 - our own words
            f" VALUES ('{name}', x'{leaf.hex()}', x'{chain.hex()}', {updated}, 77)"
        )


def source_lines(settings: SourceSettings) -> str:
    return f'url = "{settings.url}"\npassword_file = "{settings.password_file}"\ntls_ca = "{settings.tls_ca or ""}"'
