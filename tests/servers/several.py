"""One database on several servers that keep it alike, reached by one URL that names them all."""

from collections.abc import Sequence
from pathlib import Path

from tests.servers.database import Row
from tests.servers.sql_server import SqlDatabase, SqlServer


class SharedDatabase:
    """The Database protocol over *servers*, in the order of the URL; queries past the product go to the last one."""

    def __init__(self, folder: Path, servers: Sequence[SqlServer], made: SqlDatabase) -> None:
        self._last = servers[-1]
        self._name = made.name
        self.user = made.user
        bundle = folder / "servers-ca.pem"
        bundle.write_bytes(b"".join(server.ca_file.read_bytes() for server in servers))
        self.tls_ca: Path | None = bundle
        self.password_file: Path | None = made.password_file
        hosts = ",".join(f"{server.host}:{server.port}" for server in servers)
        self.url = f"mysql+pymysql://{made.user}@{hosts}/{made.name}"

    def query(self, sql: str) -> list[Row]:
        return self._last.sql(sql, self._name)

    def execute(self, sql: str) -> None:
        self._last.sql(sql, self._name)
