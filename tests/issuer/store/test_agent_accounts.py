"""What an agent's database account may do with exactly the output of `db grants`, asked of the real server."""

import secrets
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.issuer.box import Box
from tests.servers.database import SqliteDatabase
from tests.servers.mariadb import MariaDB
from tests.servers.sql_server import SqlDatabase, SqlServer

NAME = "www.example.test"
Ask = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def central(sql_server: SqlServer, tmp_path: Path) -> Box:
    """A migrated database with one certificate."""
    box = Box(tmp_path / "box", sql_server.create_database())
    box.set_up()
    box.populate(NAME)
    return box


@pytest.fixture
def accounts(central: Box) -> Iterator[list[Ask]]:
    """Two agents, each as a function that runs one statement over verified TLS and commits."""
    database = central.database
    assert isinstance(database, SqlDatabase)
    connections = []
    for number in range(2):
        account, password = f"agent{number}_{secrets.token_hex(3)}", secrets.token_hex(8)
        database.server.sql(f"CREATE USER `{account}`@`%` IDENTIFIED BY '{password}' REQUIRE SSL")
        for grant in central.ok("db", "grants", account).out.splitlines():
            database.server.sql(grant.removesuffix(";"))
        trust = ssl.create_default_context(cafile=str(database.tls_ca))
        connections.append(
            pymysql.connect(
                host="localhost",
                port=database.server.port,
                user=account,
                password=password,
                database=database.name,
                ssl=trust,
                autocommit=True,
            )
        )
    yield [asker(connection) for connection in connections]
    for connection in connections:
        connection.close()


def asker(connection: "pymysql.Connection[pymysql.cursors.Cursor]") -> Ask:
    def ask(statement: str) -> list[tuple[Any, ...]]:
        with closing(connection.cursor()) as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    return ask


def report(host: str, state: str, account: str = "SUBSTRING_INDEX(USER(), '@', 1)") -> str:
    """An agent's upsert of its own row."""
    values = f"'{NAME}', '{host}', {account}, '{state}', 1"
    return (
        f"INSERT INTO own_installations (name, host, account, state, ts_report) VALUES ({values})"  # noqa: S608
        " ON DUPLICATE KEY UPDATE state = VALUES(state)"
    )


def test_an_agent_reads_certificates_and_writes_its_own_row(central: Box, accounts: list[Ask]) -> None:
    """The present certificates, and an upsert that is there for the issuer afterwards."""
    agent, _ = accounts
    assert agent("SELECT name, crt, rolled_back, enable FROM agent_certs") == [(NAME, None, None, "Y")]
    agent(report("web1", "installed"))
    agent(report("web1", "served"))
    assert agent("SELECT host, state FROM own_installations") == [("web1", "served")]
    assert central.database.query("SELECT name, host, state FROM installations") == [(NAME, "web1", "served")]


def test_an_agent_cannot_touch_the_row_of_another(central: Box, accounts: list[Ask]) -> None:
    """Neither see nor change nor take over nor forge: the row of the other account stays as it was."""
    first, second = accounts
    first(report("web1", "served"))
    before = central.database.query("SELECT * FROM installations")
    assert second("SELECT * FROM own_installations") == []
    second("UPDATE own_installations SET state = 'broken' WHERE host = 'web1'")
    for attempt in (
        report("web9", "forged", account=f"'{before[0][2]}'"),
        "UPDATE installations SET state = 'broken'",
        "SELECT * FROM installations",
        "DELETE FROM own_installations",
    ):
        with pytest.raises(pymysql.err.MySQLError):
            second(attempt)
    second(report("web1", "broken"))  # a row of its own beside it
    second(report("web2", "served"))
    with pytest.raises(pymysql.err.MySQLError):
        second(f"UPDATE own_installations SET account = '{before[0][2]}' WHERE host = 'web2'")  # noqa: S608
    theirs = "SELECT * FROM installations WHERE host = 'web1' AND state <> 'broken'"
    assert central.database.query(theirs) == before


def test_an_account_cannot_fill_the_table(central: Box, accounts: list[Ask]) -> None:
    """It has a bounded number of rows with a bounded text; another account goes on, and its own rows can change."""
    thief, honest = accounts
    digits = " UNION ALL ".join(f"SELECT {digit} AS n" for digit in range(10))
    many = ", ".join(f"({digits}) AS t{place}" for place in range(4))
    own = "SUBSTRING_INDEX(USER(), '@', 1)"
    number = " + ".join(f"t{place}.n * {10**place}" for place in range(4))

    def insert(thousand: int) -> str:
        values = f"'{NAME}', CONCAT('h', {thousand} * 10000 + {number}), {own}, 'failed', 1"
        into = "own_installations (name, host, account, state, ts_report)"
        return f"INSERT INTO {into} SELECT {values} FROM {many}"  # noqa: S608 - words of our own

    thief(insert(0))
    thief(insert(1))
    with pytest.raises(pymysql.err.MySQLError, match="this account has its most reports"):
        thief(report("h20000", "failed"))
    with pytest.raises(pymysql.err.MySQLError):
        thief("UPDATE own_installations SET detail = REPEAT('x', 2001) LIMIT 1")
    thief("UPDATE own_installations SET state = 'installed' WHERE host = 'h7'")
    honest(report("web1", "installed"))
    central.database.execute("DELETE FROM installations WHERE host = 'h9'")
    thief(report("h20000", "failed"))  # room for one
    with pytest.raises(pymysql.err.MySQLError, match="this account has its most reports"):
        thief(report("h20001", "failed"))
    assert central.database.query("SELECT COUNT(*), MAX(CHAR_LENGTH(detail)) FROM installations") == [(20_001, None)]


def test_an_upgrade_keeps_what_hosts_reported(central: Box, accounts: list[Ask]) -> None:
    """From the table with one row for a host, whoever wrote it; twice, and after a kill in the middle."""
    database = central.database
    for statement in (
        "DROP TRIGGER installations_added",
        "ALTER TABLE installations DROP PRIMARY KEY, ADD PRIMARY KEY (name, host), MODIFY account CHAR(80)",
        f"INSERT INTO installations (name, host, state, ts_report) VALUES ('{NAME}', 'web1', 'installed', 7)",  # noqa: S608
        "UPDATE alembic_version SET version_num = '0013'",
    ):
        database.execute(statement)
    central.ok("db", "upgrade")
    row = [(NAME, "web1", "", "installed", 7)]
    read = "SELECT name, host, account, state, ts_report FROM installations"
    assert database.query(read) == row
    accounts[0](report("web1", "installed"))
    for statement in ("DROP TABLE host_alarms", "UPDATE alembic_version SET version_num = '0013'"):
        database.execute(statement)
    central.ok("db", "upgrade")
    assert len(database.query("SELECT host FROM installations")) == 2


def test_an_upgrade_ends_what_a_renamed_account_of_the_issuer_costs(central: Box, accounts: list[Ask]) -> None:
    """Views and triggers run with the rights of the account that made them. As on the day that the issuer moves: agents
    are told that their own access is denied, which it is not."""
    agent, database = accounts[0], central.database
    assert isinstance(database, SqlDatabase)
    agent(report("web1", "served"))
    database.server.sql(f"RENAME USER `{database.user}`@`%` TO `{database.user}`@`127.%`")
    for statement in ("SELECT name FROM agent_certs", report("web2", "served")):
        with pytest.raises(pymysql.err.MySQLError, match=r"Access denied|definer"):
            agent(statement)
    central.ok("db", "upgrade")
    assert agent("SELECT name FROM agent_certs") == [(NAME,)]
    agent(report("web2", "served"))
    database.execute("DELETE FROM installations WHERE host = 'web1'")
    assert [row[1] for row in database.query("SELECT * FROM report_counts")] == [1]


def test_an_upgrade_makes_the_triggers_that_a_server_had_refused(central: Box, accounts: list[Ask]) -> None:
    """What was reported without them is counted."""
    for name in ("installations_added", "installations_gone"):
        central.database.execute(f"DROP TRIGGER {name}")
    accounts[0](report("web1", "served"))
    assert central.database.query("SELECT * FROM report_counts") == []
    central.ok("db", "upgrade")
    accounts[0](report("web2", "served"))
    assert [row[1] for row in central.database.query("SELECT * FROM report_counts")] == [2]


@pytest.mark.soak
def test_a_server_that_keeps_triggers_for_its_administrator(tmp_path: Path) -> None:
    """The upgrade says so and goes on without; a later one makes them once it may, and one that may no more leaves
    them alone."""
    with MariaDB(options=["--server-id=1", "--log-bin"]) as server:
        box = Box(tmp_path / "box", server.create_database())
        box.set_up()
        assert "reports.unbounded" in box.ok("db", "upgrade").err
        assert box.database.query("SHOW TRIGGERS") == []
        for trusting, warned in ((1, False), (0, True)):
            server.sql(f"SET GLOBAL log_bin_trust_function_creators = {trusting}")
            assert ("reports.unbounded" in box.ok("db", "upgrade").err) is warned
            made = {row[0] for row in box.database.query("SHOW TRIGGERS")}
            assert made == {"installations_added", "installations_gone"}


@pytest.mark.parametrize(
    "statement",
    [
        *("UPDATE certs SET crt = NULL", "INSERT INTO certs (name) VALUES ('x')", "DELETE FROM certs"),
        *("SELECT * FROM orders", "SELECT * FROM challenges", "SELECT * FROM versions", "SELECT * FROM events"),
        *("SELECT * FROM certs", "SELECT csr FROM certs", "UPDATE agent_certs SET crt = NULL", "DROP VIEW agent_certs"),
        *("SELECT * FROM host_alarms", "SELECT * FROM holds", "SELECT * FROM outbox"),
        *("UPDATE report_counts SET held = 0", "CREATE TABLE t (a INT)", "DROP VIEW own_installations"),
    ],
)
def test_everything_else_is_closed_to_an_agent(accounts: list[Ask], statement: str) -> None:
    """No change of certs, no look at any other table, no DDL."""
    with pytest.raises(pymysql.err.MySQLError, match="denied"):
        accounts[0](statement)


def test_grants_are_for_names_that_can_be_accounts(central: Box, tmp_path: Path) -> None:
    """What could break out of the statement is refused; SQLite has no accounts."""
    assert "'web1'@'10.0.0.%'" in central.ok("db", "grants", "web1", "--host", "10.0.0.%").out
    central.refused("db", "grants", "a'b", code=2, says=["cannot be part of an account name"])
    embedded = Box(tmp_path / "embedded", SqliteDatabase(tmp_path))
    embedded.refused("db", "grants", "web1", code=2, says=["SQLite has no accounts"])
