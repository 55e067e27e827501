"""`db upgrade`: from nothing, over a legacy table, twice, and after it was cut off in the middle."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command

from issuer.model.config import DatabaseSettings
from issuer.store import database as database_module
from issuer.store.database import Database as Store
from tests.issuer.box import Box
from tests.issuer.store.opened import tables
from tests.servers.database import Database, SqliteDatabase
from tests.servers.process import wait_until
from tests.servers.sql_server import SqlDatabase, SqlServer

NAME = "www.example.test"
OURS = ("orders", "challenges", "versions", "events", "installations")


def indexes(database: Database) -> set[str]:
    kind = "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'ix_%'"
    if not isinstance(database, SqliteDatabase):
        kind = (
            "SELECT DISTINCT index_name FROM information_schema.statistics"
            " WHERE table_schema = DATABASE() AND index_name LIKE 'ix_%'"
        )
    return {name for (name,) in database.query(kind)}


def test_from_nothing_and_twice(database: Database, tmp_path: Path) -> None:
    """An empty database gets every table; a second upgrade changes nothing; `db status` says where it stands."""
    box = Box(tmp_path / "box", database)
    assert box.run("db", "status").code == 1
    assert box.run("db", "status", "--json").report()["current"] is False
    assert "was at none" in box.ok("db", "upgrade").out
    made = tables(database)
    assert made >= {"certs", *OURS, "alembic_version"}
    revision = box.ok("db", "status", "--json").report()
    assert (revision["current"], revision["revision"]) == (True, revision["newest"])
    box.populate(NAME)
    before = box.contents()
    assert "was at" not in box.ok("db", "upgrade").out
    assert (tables(database), box.contents()) == (made, before)


def test_an_upgrade_that_loses_its_server(
    sql_server: SqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence is about that, and not about the lock, which the server has freed with the connection."""
    box = Box(tmp_path / "box", sql_server.create_database())

    def lose(config: Any, _revision: str) -> None:
        connection = config.attributes["connection"]
        connection.execute(sa.text(f"KILL {connection.scalar(sa.text('SELECT CONNECTION_ID()'))}"))
        connection.execute(sa.text("SELECT 1"))

    monkeypatch.setattr(database_module, "_TRIES", 1)
    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", lose)
        outcome = box.run("db", "upgrade")
    assert (outcome.code, "rollback" in outcome.err) == (1, False), outcome.err
    assert "was at none" in box.ok("db", "upgrade").out


def test_a_database_that_a_newer_version_has_upgraded(lone_box: Box) -> None:
    """`db upgrade` refuses it and `db status` says it: what helps is the newer version."""
    lone_box.database.execute("UPDATE alembic_version SET version_num = '9999'")
    lone_box.refused("db", "upgrade", code=1, says=["revision 9999", "the database belongs to a newer certfleet"])
    assert "the database belongs to a newer certfleet" in lone_box.run("db", "status").out


def test_orders_of_before_count_for_the_names_of_their_certificates(database: Database, tmp_path: Path) -> None:
    """An upgrade fills in what each order that was stored was for, so that the limits of a week know it."""
    box = Box(tmp_path / "box", database)
    box.set_up()
    version = "name, sha256, serial, issuer, not_before, not_after, crt, ca, stored_at, names"
    for stored_at, names in ((90, "old.test"), (150, "a.test b.test"), (250, "later.test")):
        values = f"'{NAME}', '', '', '', 0, 0, X'00', X'00', {stored_at}, '{names}'"
        database.execute(f"INSERT INTO versions ({version}) VALUES ({values})")  # noqa: S608
    order = "name, state, directory, created_at, updated_at"
    for state, created_at in (("STORED", 100), ("FAILED", 100), ("STORED", 200)):
        values = f"'{NAME}', '{state}', 'https://ca.example/dir', {created_at}, 999"
        database.execute(f"INSERT INTO orders ({order}) VALUES ({values})")  # noqa: S608
    database.execute("ALTER TABLE orders DROP COLUMN names")
    database.execute("UPDATE alembic_version SET version_num = '0006'")
    box.ok("db", "upgrade")
    assert database.query("SELECT names FROM orders ORDER BY id") == [("a.test b.test",), (None,), ("later.test",)]


def test_a_change_of_before_keeps_the_ways_of_its_row(database: Database, tmp_path: Path) -> None:
    """They were for both. Done twice it touches no change that has ways of its own."""
    box = Box(tmp_path / "box", database)
    box.set_up()
    for name, change in (("a.test", "X'01'"), ("b.test", "NULL")):
        values = f"'{name}', '* dns-persist-01', {change}"
        database.execute(f"INSERT INTO certs (name, validations, change_csr) VALUES ({values})")  # noqa: S608
    database.execute("ALTER TABLE certs DROP COLUMN change_validations")
    for ways in ("* dns-persist-01", ""):
        database.execute("UPDATE alembic_version SET version_num = '0016'")
        box.ok("db", "upgrade")
        assert database.query("SELECT change_validations FROM certs ORDER BY name") == [(ways,), (None,)]
        database.execute("UPDATE certs SET change_validations = '' WHERE change_validations IS NOT NULL")


def test_reports_of_before_have_no_account_or_one(tmp_path: Path) -> None:
    """An SQLite table with one row for a host is made anew, with every row."""
    database = SqliteDatabase(tmp_path)
    box = Box(tmp_path / "box", database)
    box.set_up()
    for statement in (
        "DROP TABLE installations",
        "CREATE TABLE installations (name CHAR(250) NOT NULL, host CHAR(250) NOT NULL, account CHAR(80),"
        " sha256 CHAR(64), not_after BIGINT, state CHAR(20) NOT NULL, detail TEXT, ts_report BIGINT NOT NULL,"
        " PRIMARY KEY (name, host))",
        f"INSERT INTO installations VALUES ('{NAME}', 'web1', NULL, 'f', 5, 'failed', 'why', 7)",  # noqa: S608
        f"INSERT INTO installations VALUES ('{NAME}', 'web2', 'root', 'f', 5, 'installed', '', 'odd')",  # noqa: S608
        "UPDATE alembic_version SET version_num = '0013'",
    ):
        database.execute(statement)
    box.ok("db", "upgrade")
    for account in ("root", "other"):
        database.execute(
            "INSERT INTO installations (name, host, account, state, ts_report)"  # noqa: S608
            f" VALUES ('{NAME}', 'web1', '{account}', 'installed', 9)"
        )
    rows = database.query("SELECT host, account, sha256, state, detail, ts_report FROM installations")
    assert sorted(map(tuple, rows), key=str) == [
        ("web1", "", "f", "failed", "why", 7),
        ("web1", "other", None, "installed", None, 9),
        ("web1", "root", None, "installed", None, 9),
        ("web2", "root", "f", "installed", "", "odd"),
    ]


DAMAGE = {
    "a table is missing": ["DROP TABLE events"],
    "two tables and a column are missing": [
        *("DROP TABLE orders", "DROP TABLE versions"),
        "ALTER TABLE certs DROP COLUMN last_error",
    ],
    "the indexes are missing": ["DROP INDEX ix_events_name ON events", "DROP INDEX ix_challenges_order ON challenges"],
    "the view is missing": ["DROP VIEW own_installations"],
    "only the revision is missing": [],
}


@pytest.mark.parametrize("statements", DAMAGE.values(), ids=DAMAGE)
def test_an_upgrade_that_was_cut_off_is_finished(sql_server: SqlServer, tmp_path: Path, statements: list[str]) -> None:
    """A server commits each step at once: what a killed upgrade has not done is done by the next, the rest is kept."""
    database = sql_server.create_database()
    box = Box(tmp_path / "box", database)
    box.set_up()
    box.populate(NAME)
    complete = (tables(database), indexes(database), database.query("SHOW CREATE TABLE certs"))
    row = database.query("SELECT name, csr, md5_modulus FROM certs")
    for statement in [*statements, "DELETE FROM alembic_version"]:
        database.execute(statement)
    box.ok("db", "upgrade")
    assert (tables(database), indexes(database)) == complete[:2]
    assert database.query("SELECT name, csr, md5_modulus FROM certs") == row
    box.ok("db", "status")


@contextmanager
def in_use(database: SqlDatabase, table: str) -> Iterator[None]:
    """Somebody has read the table in a transaction that is not over."""
    store = Store(DatabaseSettings(database.url, database.password_file, database.tls_ca))
    reading, over = threading.Event(), threading.Event()

    def read(connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"SELECT COUNT(*) FROM {table}")  # noqa: S608
        reading.set()
        over.wait()

    reader = threading.Thread(target=store.write, args=[read])
    reader.start()
    try:
        assert reading.wait(60)
        yield
    finally:
        over.set()
        reader.join()
        store.close()


def test_an_upgrade_that_is_killed_is_finished(sql_server: SqlServer, tmp_path: Path) -> None:
    """kill -9 while the server makes it wait for a table in use: run again, it waits for the rest of the first, or for
    the table if the server has ended that, and comes to the end."""
    database = sql_server.create_database()
    box = Box(tmp_path / "box", database)
    box.set_up()
    complete = (tables(database), indexes(database))
    damage = ["DROP VIEW own_installations", "DROP TABLE events", "ALTER TABLE orders DROP COLUMN replaces"]
    for statement in [*damage, "DROP TABLE holds", "DELETE FROM alembic_version"]:
        database.execute(statement)

    def waiting() -> int:
        """The number of the latest connection that waits."""
        states = "state LIKE 'Waiting for table metadata%' OR state = 'User lock'"
        asked = f"SELECT COALESCE(MAX(id), 0) FROM information_schema.processlist WHERE db = '{database.name}'"  # noqa: S608
        [(number,)] = database.query(f"{asked} AND ({states})")
        return int(number)

    with in_use(database, "orders"):
        first = box.start("db", "upgrade")
        try:
            wait_until(lambda: waiting() > 0, "the upgrade waits for the table")
            number = waiting()
        finally:
            first.kill()
            first.communicate()
        assert "events" in tables(database)
        assert "holds" not in tables(database)
        second = box.start("db", "upgrade")
        wait_until(lambda: waiting() > number, "the second upgrade waits as well")
    out, err = second.communicate(timeout=60)
    assert second.returncode == 0, out + err
    assert (tables(database), indexes(database)) == complete
    box.ok("db", "status")
