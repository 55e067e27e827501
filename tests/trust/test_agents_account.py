"""A thief who holds the database account of one agent, on the real server with the grants that are printed."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pymysql

from agent.host.waits import Waits
from agent.model.errors import SourceError
from agent.model.result import Outcome, Result
from agent.source.mysql import MysqlSource
from common.database_url import MysqlAddress
from issuer.trust import hosts
from tests.issuer.box import Box
from tests.servers.process import wait_until
from tests.servers.sql_server import SqlDatabase, SqlServer
from tests.trust.conftest import NAME
from tests.trust.thief import Thief

# Of the server, and of one account: ER_CON_COUNT_ERROR, ER_TOO_MANY_USER_CONNECTIONS, ER_USER_LIMIT_REACHED
_IS_FULL = {1040, 1203, 1226}
_FEW = 10  # connections of everybody
_FEW_HOSTS = 5


def account_of(box: Box, user: str) -> MysqlSource:
    """A new account with exactly what `db grants` prints, as its agent uses it."""
    database = box.database
    assert isinstance(database, SqlDatabase)
    database.server.sql(f"CREATE USER `{user}`@`%` IDENTIFIED BY 'his-word' REQUIRE SSL")
    for grant in box.ok("db", "grants", user).out.splitlines():
        database.server.sql(grant.removesuffix(";"))
    where = MysqlAddress(user, (("localhost", database.server.port),), database.name)
    return MysqlSource(where, "his-word", database.tls_ca, Waits())


def test_an_agent_s_account_of_the_database(sql_server: SqlServer, tmp_path: Path) -> None:
    """It may read what is public anyway, and say what it likes in its own name."""
    thief = Thief("An agent's account of the database")
    box = Box(tmp_path / "box", sql_server.create_database())
    box.set_up()
    box.populate(NAME)
    number = time.time_ns()
    honest, his = account_of(box, f"honest{number}"), account_of(box, f"thief{number}")
    thief.tries("every certificate and chain", got=his.fetch(NAME) is not None)
    thief.tries("CSRs, comments, webroots, errors", got=done(his, "SELECT csr, comment FROM certs"))
    thief.tries("a change of a row of certs", got=done(his, "UPDATE agent_certs SET crt = NULL"))
    failed = Result(NAME, Outcome.FAILED, "why")
    honest.report([failed], "web1", int(time.time()))
    his.report([Result(NAME, Outcome.UNPROVABLE)], "web1", int(time.time()))
    reports = box.run("status", NAME, "--json").report()["certificates"][0]["installations"]
    thief.tries("a report for another host, in his own name", got=len(reports) == 2)
    thief.tries(
        "the place of another account's report, or its end", got="failed" not in {one["state"] for one in reports}
    )
    # as after 19,999 of them: tests/issuer/store/test_agent_accounts.py goes the way there, seconds for the server
    box.database.execute("UPDATE report_counts SET held = 19999 WHERE account LIKE 'thief%'")
    values = f"'{NAME}', UUID(), SUBSTRING_INDEX(USER(), '@', 1), 'failed', 1"
    more = f"INSERT INTO own_installations (name, host, account, state, ts_report) VALUES ({values})"  # noqa: S608
    assert done(his, more)
    thief.tries("100,000 reports", got=done(his, more))
    what = "room without end in the issuer's memory of hosts, by another name of his host each hour"
    thief.tries(what, got=_remembered(his, box) > _FEW_HOSTS)
    with _locked_by(his, sql_server):
        told = box.refused("disable", NAME, code=1, says=["Lock wait timeout", "INNODB_TRX"])
    thief.tries("that nothing is changed in a row, by keeping it locked", got="did not do its work" in told.err)
    box.ok("disable", NAME)
    what = "that nobody else gets into the server, by all connections that it has"
    thief.tries(what, got=_keeps_out(his, box, sql_server))
    user = his._address.user
    sql_server.sql(f"ALTER USER `{user}`@`%` WITH MAX_USER_CONNECTIONS 5")
    thief.tries("the same with `MAX_USER_CONNECTIONS`", got=_keeps_out(his, box, sql_server))
    thief.is_told()


def _remembered(his: MysqlSource, box: Box) -> int:
    """Of how many hosts of his the issuer remembers reports, which has room for a few here, and not for 20,000."""
    with patch.object(hosts, "MOST_OF_ACCOUNT", _FEW_HOSTS):
        for number in range(_FEW_HOSTS + 2):
            assert done(his, f"UPDATE own_installations SET host = CONCAT(host, '{number}')")  # noqa: S608
            box.run("status")
    with contextlib.closing(sqlite3.connect(box.state_dir / hosts.HOSTS)) as memory:
        query = "SELECT COUNT(*), COUNT(DISTINCT account) FROM reports WHERE account = ?"
        [(count, seen)] = memory.execute(query, (his._address.user,)).fetchall()
    assert seen == 1
    return int(count)


@contextlib.contextmanager
def _locked_by(his: MysqlSource, server: SqlServer) -> Iterator[None]:
    """He has read every row in a transaction that does not end. The server is told not to let others wait for long."""
    [(seconds,)] = server.sql("SELECT @@GLOBAL.innodb_lock_wait_timeout")
    server.sql("SET GLOBAL innodb_lock_wait_timeout = 1")
    with contextlib.closing(his._connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        cursor.execute("START TRANSACTION")
        cursor.execute("SELECT name FROM agent_certs")
        try:
            yield
        finally:
            server.sql(f"SET GLOBAL innodb_lock_wait_timeout = {seconds}")


def _keeps_out(his: MysqlSource, box: Box, server: SqlServer) -> bool:
    """He connects as often as he is let in; then the issuer wants to. Where it was let in he does it again: connections
    that other tests have left give their places back one after another."""
    # not the list of processes, which a connection leaves before it stops counting
    counted = "SHOW GLOBAL STATUS LIKE 'Threads_connected'"
    wait_until(lambda: int(server.sql(counted)[0][1]) < _FEW, "the end of connections that were closed before")
    [(most,)] = server.sql("SELECT @@GLOBAL.max_connections")
    server.sql("SET GLOBAL max_connections = 30")
    with contextlib.ExitStack() as stack:
        stack.callback(server.sql, f"SET GLOBAL max_connections = {most}")
        for _ in range(3):
            while connection := _connected(his):
                stack.enter_context(contextlib.closing(connection))
            if box.run("status").code != 0:
                return True
        return False


def _connected(his: MysqlSource) -> "pymysql.Connection[Any] | None":
    """None where he is refused for a second: a connection that was closed may still be counted."""
    for _ in range(20):
        try:
            return his._connect()
        except pymysql.MySQLError as error:
            assert error.args[0] in _IS_FULL, error
            time.sleep(0.05)
    return None


def done(source: MysqlSource, statement: str) -> bool:
    """Does the server do it?"""
    with contextlib.suppress(SourceError, pymysql.MySQLError), source._cursor() as cursor:
        cursor.execute(statement)
        return True
    return False
