"""Several threads lose one database server at the same moment."""

import threading

import pymysql
import sqlalchemy as sa

from common.threads import each_on_thread
from issuer.model.config import DatabaseSettings
from issuer.store.database import Database
from tests.servers.sql_server import SqlServer

_THREADS = 2


def test_they_go_to_the_next_host_together(sql_server: SqlServer) -> None:
    """An even number of them does not come back to the first of two hosts, which is down."""
    server = sql_server.create_database()
    endpoint = f"{server.server.host}:{server.server.port}"
    url = server.url.replace(endpoint, f"{endpoint},{endpoint}")
    database = Database(DatabaseSettings(url, server.password_file, server.tls_ca))
    together, broken = threading.Barrier(_THREADS, timeout=60), set[int]()

    def work(connection: sa.Connection) -> int:
        if threading.get_ident() not in broken:
            broken.add(threading.get_ident())
            connection.execute(sa.text("SELECT 1"))
            together.wait()
            raise pymysql.OperationalError(2013, "Lost connection to the server during query")
        return int(connection.scalar(sa.text("SELECT 1")) or 0)

    def write(_number: int) -> int:
        return database.write(work)

    before_that = first(database)
    assert [out.result(60) for out in each_on_thread(write, range(_THREADS), _THREADS)] == [1] * _THREADS
    assert first(database) == before_that + 1
    database.close()


def first(database: Database) -> int:
    return database._servers.first
