"""A table of an earlier issuer is adopted without a change to its values, or refused."""

from contextlib import closing
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
from tests.issuer.store.opened import opened, tables
from tests.servers.authority import Authority
from tests.servers.database import Database
from tests.servers.lab import Lab
from tests.servers.mariadb import MariaDB
from tests.servers.sql_server import SqlServer

NAME = "www.example.test"
OURS = {"orders", "challenges", "versions", "events", "installations"}


@pytest.mark.sampled
def test_a_legacy_table_is_adopted_without_changing_a_value(legacy: tuple[Database, str], tmp_path: Path) -> None:
    """Every column of every row is what it was, NULL and non-ASCII included, and the new columns are empty."""
    database, engine = legacy
    legacy_table.put(database, engine, NAME)
    before = database.query(legacy_table.read())
    assert len(before) == 3
    box = Box(tmp_path / "box", database)
    box.ok("db", "upgrade")
    assert database.query(legacy_table.read()) == before
    assert "Büro Zürich" in str(before)
    ours = "due_at, reissue_reason, last_error"
    assert database.query(legacy_table.read(ours)) == [(None, None, None)] * 3
    assert tables(database) >= OURS
    box.ok("db", "upgrade")
    assert database.query(legacy_table.read()) == before
    # the old scripts still write their own way, knowing nothing of our columns
    database.execute("INSERT INTO certs (name, enable, certbot) VALUES ('new.example.test', 'N', 'N')")
    assert "new.example.test" in box.run("status").out


@pytest.mark.sampled
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


@pytest.mark.sampled
def test_any_script_fits_our_columns_of_a_legacy_table(legacy: tuple[Database, str], tmp_path: Path) -> None:
    """What a CA says can be Chinese though the table is latin1: in one adopted now, and in one adopted long ago."""
    database, engine = legacy
    legacy_table.put(database, engine, NAME)
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


@pytest.mark.soak
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


@pytest.mark.sampled
@pytest.mark.parametrize("form", ["COMPACT", "REDUNDANT"])
def test_a_legacy_table_in_a_row_format_of_old_is_adopted(sql_server: SqlServer, tmp_path: Path, form: str) -> None:
    """A table that MySQL 5 has made has no room for our columns as it is; no value changes when it gets some."""
    database = sql_server.create_database()
    legacy_table.put(database, f"InnoDB ROW_FORMAT={form}", NAME)
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


@pytest.mark.sampled
def test_an_adopted_certificate_is_renewed(lab: Lab, legacy: tuple[Database, str], tmp_path: Path) -> None:
    """A row of the old system that has expired is issued by the first `run`; its old pair is kept, its legacy modulus
    stays as it was, and the other rows are not touched."""
    database, engine = legacy
    legacy_table.put(database, engine, NAME)
    box = legacy_table.adopted(database, lab, tmp_path, NAME)
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


@pytest.mark.sampled
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


@pytest.mark.sampled
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
