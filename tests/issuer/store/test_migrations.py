"""`db upgrade`: from nothing, over a legacy table, twice, and after it was cut off in the middle."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography import x509

from issuer.model.config import DatabaseSettings
from issuer.model.errors import StoreError
from issuer.store.certificates import Certificates
from issuer.store.database import Database as Store
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.issuer.store import legacy_table
from tests.issuer.store.opened import opened
from tests.servers.authority import Authority
from tests.servers.database import Database, SqliteDatabase
from tests.servers.lab import Lab
from tests.servers.mariadb import MariaDB
from tests.servers.process import wait_until
from tests.servers.sql_server import SqlDatabase, SqlServer

NAME = "www.example.test"
OURS = ("orders", "challenges", "versions", "events", "installations")


def tables(database: Database) -> set[str]:
    kind = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    if not isinstance(database, SqliteDatabase):
        kind = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
    return {name for (name,) in database.query(kind)}


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


def test_a_database_that_a_newer_version_has_upgraded(lone_box: Box) -> None:
    """`db upgrade` refuses it and `db status` says it: what helps is the newer version."""
    lone_box.database.execute("UPDATE alembic_version SET version_num = '9999'")
    lone_box.refused("db", "upgrade", code=1, says=["revision 9999", "the database belongs to a newer certfleet"])
    assert "the database belongs to a newer certfleet" in lone_box.run("db", "status").out


def test_a_legacy_table_is_adopted_without_changing_a_value(legacy: tuple[Database, str], tmp_path: Path) -> None:
    """Every column of every row is what it was, NULL and non-ASCII included, and the new columns are empty."""
    database, engine = legacy
    database.execute(legacy_table.ddl(engine))
    for insert in legacy_table.rows(NAME):
        database.execute(insert)
    before = database.query(legacy_table.read())
    assert len(before) == 3
    box = Box(tmp_path / "box", database)
    box.ok("db", "upgrade")
    assert database.query(legacy_table.read()) == before
    assert "Büro Zürich" in str(before)
    ours = "due_at, reissue_reason, last_error"
    assert database.query(legacy_table.read(ours)) == [(None, None, None)] * 3
    assert tables(database) >= set(OURS)
    box.ok("db", "upgrade")
    assert database.query(legacy_table.read()) == before
    # the old scripts still write their own way, knowing nothing of our columns
    database.execute("INSERT INTO certs (name, enable, certbot) VALUES ('new.example.test', 'N', 'N')")
    assert "new.example.test" in box.run("status").out


def test_an_adopted_table_keeps_nothing_of_a_change_that_was_undone(
    legacy: tuple[Database, str], tmp_path: Path
) -> None:
    """A table in an engine without transactions gets one with them: half a certificate is none."""
    database, engine = legacy
    database.execute(legacy_table.ddl(engine))
    database.execute("INSERT INTO certs (name) VALUES ('www.example.test')")
    Box(tmp_path / "box", database).ok("db", "upgrade")
    settings = DatabaseSettings(database.url, database.password_file, database.tls_ca)
    with closing(Store(settings)) as opened, pytest.raises(StoreError):
        opened.write(
            lambda connection: [
                connection.execute(sa.text("UPDATE certs SET comment = 'half'")),
                connection.execute(sa.text("UPDATE nothing SET a = 1")),
            ]
        )
    assert database.query("SELECT comment FROM certs") == [(None,)]


def test_any_script_fits_our_columns_of_a_legacy_table(legacy: tuple[Database, str], tmp_path: Path) -> None:
    """What a CA says can be Chinese though the table is latin1: in one adopted now, and in one adopted long ago."""
    database, engine = legacy
    database.execute(legacy_table.ddl(engine))
    for insert in legacy_table.rows(NAME):
        database.execute(insert)
    before = database.query(legacy_table.read())
    box = Box(tmp_path / "box", database)
    box.ok("db", "upgrade")
    ours = ("last_error", "reissue_reason", "directory", "ari_url")
    for said in ("отказано", "不允许"):
        database.execute("UPDATE certs SET " + ", ".join(f"{column} = '{said}'" for column in ours))  # noqa: S608
        assert database.query(legacy_table.read(", ".join(ours))) == [(said,) * len(ours)] * len(before)
        if engine == "sqlite":  # which knows no character sets
            continue
        database.execute("UPDATE certs SET last_error = 'ü', reissue_reason = NULL, directory = '', ari_url = ''")
        narrow = ", ".join(f"MODIFY {column} TEXT CHARACTER SET latin1" for column in ours)
        database.execute(f"ALTER TABLE certs {narrow}")
        database.execute("UPDATE alembic_version SET version_num = '0003'")
        box.ok("db", "upgrade")
        assert set(database.query("SELECT last_error FROM certs")) == {("ü",)}
    assert database.query(legacy_table.read()) == before


def test_an_adopted_table_of_another_collation_is_worked_with(sql_server: SqlServer, tmp_path: Path) -> None:
    """The server compares no name of it with one of our tables, which it would refuse (error 1267)."""
    database = sql_server.create_database()
    database.execute(legacy_table.ddl("InnoDB"))
    database.execute("ALTER TABLE certs CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
    box = Box(tmp_path / "box", database)
    box.set_up()
    box.populate(NAME)
    issued = Authority("Root").intermediate("CA").issue([NAME])
    revoked = f"('{NAME}', '', '', '', 0, 0, X'{issued.cert_pem.hex()}', '', 0, 1)"
    columns = "name, sha256, serial, issuer, not_before, not_after, crt, ca, stored_at, revoked"
    database.execute(f"INSERT INTO versions ({columns}) VALUES {revoked}")  # noqa: S608
    assert NAME in box.run("status").out
    box.ok("status", NAME, "--json")
    box.ok("disable", NAME)
    assert "nothing is due" in box.ok("run").out
    box.ok("history", NAME)
    box.ok("remove", NAME, "--yes")


@pytest.mark.parametrize("form", ["COMPACT", "REDUNDANT"])
def test_a_legacy_table_in_a_row_format_of_old_is_adopted(sql_server: SqlServer, tmp_path: Path, form: str) -> None:
    """A table that MySQL 5 has made has no room for our columns as it is; no value changes when it gets some."""
    database = sql_server.create_database()
    database.execute(legacy_table.ddl(f"InnoDB ROW_FORMAT={form}"))
    for insert in legacy_table.rows(NAME):
        database.execute(insert)
    before = database.query(legacy_table.read())
    Box(tmp_path / "box", database).ok("db", "upgrade")
    assert database.query(legacy_table.read()) == before


def test_a_label_that_a_legacy_table_cannot_hold_is_refused(mariadb: MariaDB, tmp_path: Path) -> None:
    """Legacy columns keep their character set; who types what it does not know is told so."""
    database = mariadb.create_database()
    database.execute(legacy_table.ddl("InnoDB"))
    box = Box(tmp_path / "box", database)
    box.set_up()
    words = ["populate", "сервер", "--label", "--csr", "-"]
    box.refused(*words, code=1, stdin=csr([NAME], "ecdsa-p256"), says=["takes only characters of its own set"])
    assert database.query("SELECT name FROM certs") == []


def test_an_adopted_certificate_is_renewed(lab: Lab, legacy: tuple[Database, str], tmp_path: Path) -> None:
    """A row of the old system that has expired is issued by the first `run`; its old pair is kept, its legacy modulus
    stays as it was, and the other rows are not touched."""
    database, engine = legacy
    database.execute(legacy_table.ddl(engine))
    for insert in legacy_table.rows(NAME):
        database.execute(insert)
    box = Box(tmp_path / "box", database, bind=lab.bind, pebble=lab.pebble)
    box.set_up()
    box.add_zone(NAME)
    lab.bind.reconfigure()
    old = box.row(NAME, "crt", "ca")
    others = database.query(legacy_table.read())[:2]
    box.ok("run")
    crt, ts_expire = box.row(NAME, "crt", "ts_expire")
    leaf = x509.load_pem_x509_certificate(crt)
    assert leaf.not_valid_after_utc.timestamp() == ts_expire
    assert box.row(NAME, "old_crt", "old_ca") == old
    kept = ("md5_modulus", "comment", "webroot_path", "enable", "count_fail_update")
    assert box.row(NAME, *kept)[0] == "computed-another-way"
    assert "Büro Zürich" in box.row(NAME, *kept)[1]
    assert box.row(NAME, *kept)[2:] == ("/var/www/html", "Y", 0)
    assert database.query(legacy_table.read())[:2] == others


def test_what_stands_at_the_ends_of_a_name_goes(legacy: tuple[Database, str], tmp_path: Path) -> None:
    """Then commands find the row. A name that another row has without it stays, and `check` tells of it."""
    database, engine = legacy
    database.execute(legacy_table.ddl(engine))
    request = csr([NAME]).hex()
    columns = "name, enable, certbot, csr, webroot_path, ts_expire, ts_last_update"
    for name in (f" {NAME}\r\n", "blank.example.test ", "kept.example.test", " kept.example.test"):
        values = f"'{name}', 'Y', 'Y', X'{request}', '/var/www/html ', 1, 1"
        database.execute(f"INSERT INTO certs ({columns}) VALUES ({values})")  # noqa: S608
    box = Box(tmp_path / "box", database)
    box.set_up()
    box.ok("db", "upgrade")
    kept = [" kept.example.test", "blank.example.test", "kept.example.test", NAME]
    assert [name for (name,) in database.query("SELECT name FROM certs ORDER BY name")] == kept
    assert "waiting for its first certificate" in box.ok("status", NAME).out
    with closing(opened(database)) as store:
        assert Certificates(store).get([NAME])[0].validation.webroot_path == "/var/www/html"
    told = [line for line in box.run("check").out.splitlines() if "its name in the table is" in line]
    assert [line.partition(" in the table is ")[2][:20] for line in told] == ["' kept.example.test'"]


@pytest.mark.parametrize("column", ["comment", "old_crt", "md5_ca"])
def test_a_table_that_is_another_one_is_refused(legacy: tuple[Database, str], tmp_path: Path, column: str) -> None:
    """A `certs` table that lacks a column is not ours: refused with its name, nothing added, nothing created."""
    database, engine = legacy
    database.execute(legacy_table.ddl(engine, without=column))
    database.execute("INSERT INTO certs (name) VALUES ('kept.example.test')")
    before = database.query("SELECT * FROM certs")
    box = Box(tmp_path / "box", database)
    says = ["the database was not upgraded", f"lacks the columns {column}", "nothing was changed"]
    box.refused("db", "upgrade", code=1, says=says)
    assert database.query("SELECT * FROM certs") == before
    assert tables(database) - {"alembic_version"} == {"certs"}


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
    """An SQLite table with one row for a host is made anew, with every row; its agents are known to report changes
    only."""
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
    rows = database.query("SELECT host, account, sha256, state, detail, ts_report, changes_only FROM installations")
    assert sorted(map(tuple, rows), key=str) == [
        ("web1", "", "f", "failed", "why", 7, "Y"),
        ("web1", "other", None, "installed", None, 9, None),
        ("web1", "root", None, "installed", None, 9, None),
        ("web2", "root", "f", "installed", "", "odd", "Y"),
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
