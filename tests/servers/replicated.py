"""A primary and its replica on loopback, two real MariaDB servers, and the switch-over from one to the other."""

import secrets
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.servers.mariadb import MariaDB
from tests.servers.ports import LOOPBACK
from tests.servers.several import SharedDatabase
from tests.servers.sql_server import QUERY_SECONDS


class Replicated:
    """Context manager. The replica is read-only, as it must be: what it writes itself never comes to the primary."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.primary, self.replica = (
            MariaDB(options=[f"--server-id={number}", "--log-bin", "--log-slave-updates"]) for number in (1, 2)
        )
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for server in (self.primary, self.replica):
                starting.callback(server.close)
            for server in (self.primary, self.replica):
                server.start()
                server.sql("RESET MASTER")  # what each did to itself is not to be replicated
            self._replicate()
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._running.close()

    def create_database(self, *, replica_first: bool) -> SharedDatabase:
        """An empty database on both, reached through both."""
        made = self.primary.create_database()
        self.catch_up()
        servers = (self.replica, self.primary) if replica_first else (self.primary, self.replica)
        return SharedDatabase(self._folder, servers, made)

    def catch_up(self) -> None:
        """Return once the replica has everything that was committed on the primary."""
        [(position,)] = self.primary.sql("SELECT @@gtid_binlog_pos")
        [(answer,)] = self.replica.sql(f"SELECT MASTER_GTID_WAIT('{position}', {QUERY_SECONDS // 2})")
        assert answer == 0, self.replica.sql("SHOW SLAVE STATUS")

    def stand_still(self) -> None:
        """From now on the replica shows what is old."""
        self.catch_up()
        self.replica.sql("STOP SLAVE")

    def switch_over(self) -> None:
        """As an administrator does it: no more writes to the primary, wait for the replica, writes to that one.

        Connections stay, and the former primary is left behind with what it has.
        """
        self.primary.read_only(True)
        self.stand_still()
        self.replica.read_only(False)
        self.primary, self.replica = self.replica, self.primary

    def _replicate(self) -> None:
        password = secrets.token_urlsafe(16)
        self.primary.sql(f"CREATE USER replica@'%' IDENTIFIED BY '{password}'")
        self.primary.sql("GRANT REPLICATION SLAVE ON *.* TO replica@'%'")
        self.replica.sql(
            f"CHANGE MASTER TO MASTER_HOST='{LOOPBACK}', MASTER_PORT={self.primary.port}, MASTER_USER='replica',"
            f" MASTER_PASSWORD='{password}', MASTER_USE_GTID=slave_pos"
        )
        self.replica.sql("START SLAVE")
        self.replica.read_only(True)
        self.catch_up()
