"""MySQL itself on loopback, where CERTFLEET_TEST_MYSQLD names a mysqld: Debian 12 has none, so it is asked for.

What every make of server must do is tested on all in `MAKES`.
"""

import os
from pathlib import Path

from tests.servers import sql_folder
from tests.servers.mariadb import MariaDB
from tests.servers.process import program
from tests.servers.sql_server import SqlServer

PACKAGE = "mysql-server-core"
MYSQLD = os.environ.get("CERTFLEET_TEST_MYSQLD", "")
REDO_CAPACITY = "--innodb-redo-log-capacity=8M"


class MySQL(SqlServer):
    """One mysqld."""

    _own_options = (REDO_CAPACITY, "--mysqlx=OFF", "--secure-file-priv=NULL")

    def _program(self) -> str:
        return program(MYSQLD, PACKAGE)

    @staticmethod
    def _installer(data: Path) -> list[str]:
        user = sql_folder.server_user()
        become = [f"--user={user}"] if user else []
        initialize = ["--initialize-insecure", "--innodb-flush-method=nosync", REDO_CAPACITY]
        return [program(MYSQLD, PACKAGE), "--no-defaults", *initialize, *become, f"--datadir={data}"]


MAKES: dict[str, type[SqlServer]] = {"mariadb": MariaDB, **({"mysql": MySQL} if MYSQLD else {})}
