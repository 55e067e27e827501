"""MariaDB on loopback: the server that Debian has, and that every test of a database server meets."""

from pathlib import Path

from tests.servers import sql_folder
from tests.servers.process import program
from tests.servers.sql_server import SqlServer

PACKAGE = "mariadb-server"
LOG_FILE_SIZE = "--innodb-log-file-size=8M"
# A table is made in a third of the time. The tests kill servers, which loses nothing of what the kernel has; none of
# them cuts the power.
NO_SYNC = ("--debug-no-sync", "--innodb-flush-method=nosync")


class MariaDB(SqlServer):
    """One mariadbd."""

    _own_options = (LOG_FILE_SIZE, *NO_SYNC, "--aria-pagecache-buffer-size=1M")

    def start(self) -> None:
        """Start and return once the administrator can log in."""
        super().start()
        # The installation lets root in by TCP as well, without a password: not on a machine others may use.
        self.sql("DELETE FROM mysql.global_priv WHERE User = 'root' AND Host <> 'localhost'")
        self.sql("FLUSH PRIVILEGES")

    def _program(self) -> str:
        return program("mariadbd", PACKAGE)

    @staticmethod
    def _installer(data: Path) -> list[str]:
        user = sql_folder.server_user()
        return [
            program("mariadb-install-db", PACKAGE),
            "--no-defaults",
            *([f"--user={user}"] if user else []),
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--innodb-flush-method=nosync",
            LOG_FILE_SIZE,
        ]
