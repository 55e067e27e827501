"""Conflicts are tried again, and what must survive a power cut waits for the disk."""

import dataclasses
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from issuer.model.config import DatabaseSettings
from issuer.model.enrolment import Validation
from issuer.model.errors import StoreError
from issuer.model.orders import Cause, OrderState, new_order
from issuer.rules.csr import read_csr
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.orders import Orders
from issuer.store.tables import installations
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.issuer.store.opened import CA, NAME, NOW, opened, side_by_side
from tests.servers.database import SqliteDatabase
from tests.servers.mariadb import MariaDB
from tests.servers.sql_server import SqlServer


def test_a_deadlock_is_tried_again(sql_server: SqlServer, tmp_path: Path) -> None:
    """Two transactions that lock two rows in opposite order both end well: the loser is run again from the start."""
    database = sql_server.create_database()
    Box(tmp_path / "box", database).set_up()
    store = opened(database)
    for name in ("a", "b"):
        Certificates(store).enrol(name, read_csr(csr([NAME])), comment="", validation=Validation(), now=NOW)
    turn, runs = threading.Barrier(2), []

    def change(first: str, second: str) -> None:
        def work(connection: sa.Connection) -> None:
            runs.append(first)
            add = "UPDATE certs SET count_fail_update = count_fail_update + 1 WHERE name = :name"
            connection.execute(sa.text(add), {"name": first})
            if len(runs) <= 2:
                turn.wait(timeout=60)  # both hold one row and want the other
            connection.execute(sa.text(add), {"name": second})

        store.write(work)

    side_by_side(lambda: change("a", "b"), lambda: change("b", "a"))
    store.close()
    assert len(runs) == 3
    assert database.query("SELECT count_fail_update FROM certs") == [(2,), (2,)]


_BROKEN = """
import sys
from issuer.model.config import DatabaseSettings
from issuer.store.database import Database

database = Database(DatabaseSettings(url=sys.argv[1]))
connection = database._engine.connect()
connection.connection.dbapi_connection.close()  # as a server does that goes away
del connection
"""


def test_a_broken_connection_is_given_back_in_silence(tmp_path: Path) -> None:
    """The pool's own log would print a traceback beside the error that people are told."""
    url = f"sqlite:///{tmp_path / 'x.db'}"
    (tmp_path / "x.db").touch()
    command = [sys.executable, "-c", _BROKEN, url]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


def test_a_conflict_lost_in_group_replication(sql_server: SqlServer) -> None:
    """MySQL's error 3101 at the first two tries, raised by a trigger: all is done again, and counts once."""
    made = sql_server.create_database()
    made.execute("CREATE TABLE done (a INT) ENGINE=InnoDB")
    made.execute("""
        CREATE TRIGGER certify AFTER INSERT ON done FOR EACH ROW BEGIN
            SET @tries = COALESCE(@tries, 0) + 1;  -- of the connection, so it is kept when a transaction is undone
            IF @tries < 3 THEN
                SIGNAL SQLSTATE '40000' SET MYSQL_ERRNO = 3101,
                    MESSAGE_TEXT = 'Plugin instructed the server to rollback the current transaction.';
            END IF;
        END""")
    database = opened(made)
    tries: list[sa.Connection] = []

    def work(connection: sa.Connection) -> None:
        tries.append(connection)
        connection.execute(sa.text("INSERT INTO done VALUES (7)"))

    database.write(work)
    database.close()
    assert len(tries) == 3
    assert made.query("SELECT a FROM done") == [(7,)]


def test_a_row_that_changed_since_it_was_read(mariadb: MariaDB) -> None:
    """MariaDB's strict snapshots refuse to change it (error 1020): all is done again, on what stands there now."""
    made = mariadb.create_database()
    made.execute("CREATE TABLE counted (a INT) ENGINE=InnoDB")
    made.execute("INSERT INTO counted VALUES (0)")
    mariadb.sql("SET GLOBAL innodb_snapshot_isolation = ON")
    try:
        database = opened(made)
        seen: list[int] = []

        def work(connection: sa.Connection) -> None:
            seen.append(connection.scalar(sa.text("SELECT a FROM counted")) or 0)
            if len(seen) == 1:
                made.execute("UPDATE counted SET a = 7")
            connection.execute(sa.text("UPDATE counted SET a = a + 1"))

        database.write(work)
        database.close()
    finally:
        mariadb.sql("SET GLOBAL innodb_snapshot_isolation = OFF")
    assert seen == [0, 7]
    assert made.query("SELECT a FROM counted") == [(8,)]


def test_sqlite_waits_for_the_disk_where_a_power_cut_would_hurt(tmp_path: Path) -> None:
    """What is not *durable* leaves that to the next write that is; the same connection serves both."""

    def waits(connection: sa.Connection) -> bool:
        return bool(connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2)

    store = Database(DatabaseSettings(f"sqlite:///{tmp_path}/certfleet.db"))
    store.create()
    seen = [store.write(waits), store.write(waits, durable=False), store.write(waits)]
    store.close()
    assert seen == [True, False, True]


def test_url_of_an_order_is_durable_and_later_steps_are_not(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CA can tell how far an order is, but not which one was ours."""
    seen = []
    write = Database.write

    def watched(database: Database, work: Callable[[sa.Connection], Any], *, durable: bool = True) -> Any:
        seen.append(durable)
        return write(database, work, durable=durable)

    mine = Orders(store, "mine")
    planned = mine.open(new_order(NAME, CA, NOW, Cause.RENEWAL), [])
    assert planned is not None
    monkeypatch.setattr(Database, "write", watched)
    ordered = mine.save(planned, dataclasses.replace(planned, state=OrderState.ORDERED, url="u"), NOW)
    mine.save(ordered, dataclasses.replace(ordered, state=OrderState.PUBLISHED), NOW)
    assert seen == [True, False]


def test_a_walk_ends(tmp_path: Path) -> None:
    """SQLite takes a name of any length, of which the start is read: the walk goes on. Where a whole portion has the
    same start, or none that can be read, nothing leads on: an error says so, and no row is hidden behind it."""
    database = SqliteDatabase(tmp_path)
    Box(tmp_path / "box", database).set_up()
    store = opened(database)

    def walk() -> list[str]:
        query, name = sa.select(installations.c.name), installations.c.name
        return [row.name[:9] for rows in islice(store.portions(query, name, 2), 9) for row in rows]

    def add(*names: str) -> None:
        for name in names:
            cells = f"{name}, HEX(RANDOMBLOB(9)), 'a', 'x', 1"
            database.execute(f"INSERT INTO installations (name, host, account, state, ts_report) VALUES ({cells})")  # noqa: S608

    long = "'long' || REPLACE(HEX(ZEROBLOB(9999)), '0', 'x')"
    add("'a'", "'b'", long, "'z'")
    assert walk() == ["a", "b", "longxxxxx", "z"]
    add(f"{long} || '1'", f"{long} || '2'")
    with pytest.raises(StoreError, match="cannot be told apart"):
        walk()
    database.execute("DELETE FROM installations WHERE name LIKE 'long%'")
    add("CAST(X'61FF' AS TEXT)", "CAST(X'61FE' AS TEXT)", "CAST(X'61FD' AS TEXT)", "'y'")
    with pytest.raises(StoreError, match="cannot be told apart"):
        walk()
    store.close()
