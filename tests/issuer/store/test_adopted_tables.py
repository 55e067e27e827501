"""A table of the classic scripts as others have left it: room for what we write, and values that mean something."""

import re
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509

from common.certificate import parse_bundle
from issuer.model.orders import Cause, new_order
from issuer.store.certificates import Certificates
from issuer.store.orders import Orders
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.issuer.store import legacy_table
from tests.issuer.store.opened import CA, NOW, obtained, opened
from tests.servers.authority import Authority
from tests.servers.database import Database, SqliteDatabase
from tests.servers.lab import Lab
from tests.servers.mariadb import MariaDB
from tests.servers.sql_server import SqlServer

NAME = "www.example.test"


def imported(box: Box, name: str, *, days: int) -> None:
    """A certificate in the row of *name*."""
    file = box.folder / "bought.pem"
    file.write_bytes(Authority("Root").intermediate("CA").issue([name], days=days).fullchain_pem)
    box.ok("import", name, "--crt", str(file))


@pytest.mark.sampled
@pytest.mark.parametrize("adopted", ["now", "long ago"])
def test_an_end_after_2038_fits(legacy: tuple[Database, str], tmp_path: Path, adopted: str) -> None:
    """The classic scripts made moments int(11): a certificate of 5000 days is stored all the same."""
    database, engine = legacy
    legacy_table.put(database, engine, NAME)
    before = database.query(legacy_table.read())
    box = Box(tmp_path / "box", database)
    box.set_up()
    if adopted == "long ago" and engine != "sqlite":
        database.execute("ALTER TABLE certs MODIFY ts_expire int(11) DEFAULT NULL, MODIFY ts_last_update int(11)")
        database.execute("UPDATE alembic_version SET version_num = '0007'")
        box.ok("db", "upgrade")
    assert database.query(legacy_table.read()) == before
    imported(box, "long.example.test", days=5000)
    [ts_expire] = box.row("long.example.test", "ts_expire")
    assert ts_expire > 2**31


NARROW = """
CREATE TABLE certs (
  name varchar(190) NOT NULL, enable enum('Y','N') NOT NULL DEFAULT 'N',
  comment varchar(99) NOT NULL DEFAULT 'it''s 5%',
  certbot enum('Y','N') NOT NULL DEFAULT 'N', csr varchar(4000) CHARACTER SET latin1 NOT NULL, ca text NOT NULL,
  crt tinyblob NOT NULL, md5_modulus varchar(40) NOT NULL, md5_ca varchar(16) COLLATE utf8mb4_bin NOT NULL,
  ts_expire int(10) unsigned NOT NULL DEFAULT '1', ts_last_update mediumint NOT NULL,
  count_fail_update tinyint DEFAULT 0,
  old_ca varbinary(2000) NOT NULL, old_crt mediumblob NOT NULL, webroot_path varchar(99) NOT NULL, PRIMARY KEY (name)
) DEFAULT CHARSET=utf8mb4
"""


@pytest.mark.soak
def test_a_table_that_is_narrow_in_every_column_is_adopted(sql_server: SqlServer, tmp_path: Path) -> None:
    """What others had in it stays, defaults and collations included; what we write has room, NULL too."""
    database = sql_server.create_database()
    database.execute(NARROW)
    values = "'old.test', 'N', '', 'N', 'request', 'chain', 'crt', 'abc', 'def', 7, 8, 127, 'x', 'y', '/var/www'"
    database.execute(f"INSERT INTO certs VALUES ({values})")  # noqa: S608
    before = database.query(legacy_table.read())
    box = Box(tmp_path / "box", database)
    box.set_up()
    assert database.query(legacy_table.read()) == before
    box.ok("populate", NAME, "--csr", "-", stdin=csr([NAME], "rsa4096"))
    for days in (90, 5000):
        imported(box, "long.example.test", days=days)
    [ts_expire, md5_ca] = box.row("long.example.test", "ts_expire", "md5_ca")
    assert (ts_expire > 2**31, len(md5_ca)) == (True, 32)
    database.execute("UPDATE certs SET count_fail_update = count_fail_update + 1")
    database.execute("INSERT INTO certs (name, crt, ts_last_update) VALUES ('script.test', '', 1)")
    assert box.row("script.test", "comment", "ts_expire", "ts_last_update") == ("it's 5%", 1, 1)
    collation = (
        "SELECT collation_name FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'certs'"
    )
    assert database.query(f"{collation} AND column_name = 'md5_ca'") == [("utf8mb4_bin",)]
    long = ["populate", "more.test", "--comment", "x" * 100, "--csr", "-"]
    box.refused(*long, code=1, stdin=csr(["more.test"]), says=["Data too long", "shorten that text"])
    kept = database.query("SHOW CREATE TABLE certs")
    database.execute("UPDATE alembic_version SET version_num = '0007'")
    box.ok("db", "upgrade")
    assert database.query("SHOW CREATE TABLE certs") == kept


def test_flags_in_small_letters(tmp_path: Path) -> None:
    """As scripts wrote them for columns that ignore case. In SQLite none does: they mean the same there."""
    database = SqliteDatabase(tmp_path)
    legacy_table.put(database, "sqlite", NAME)
    database.execute("UPDATE certs SET enable = lower(enable), certbot = 'y'")
    box = Box(tmp_path / "box", database)
    box.set_up()
    rows = {row["name"]: row for row in box.run("status", "--json").report()["certificates"]}
    assert [name for name, row in rows.items() if row["enabled"]] == [NAME]
    with closing(opened(database)) as store:
        certificates = Certificates(store)
        assert [row.name for row in certificates.due(NOW)] == [NAME]
        assert all(row.validation.certbot for row in certificates.all())


@pytest.mark.soak
def test_an_adopted_row_that_was_made_to_expire_is_renewed_once(
    lab: Lab, legacy: tuple[Database, str], tmp_path: Path
) -> None:
    """ts_expire = 1 beside a certificate that is good for 60 days: the old operators' way to force a renewal."""
    database, engine = legacy
    legacy_table.put(database, engine, NAME)
    box = legacy_table.adopted(database, lab, tmp_path, NAME)
    box.put_aged(NAME, days=90, left=60)
    assert "stored" not in box.ok("run").out
    database.execute(f"UPDATE certs SET ts_expire = 1 WHERE name = '{NAME}'")  # noqa: S608
    told = box.ok("status", NAME).out
    assert "1970" not in told
    assert "ts_expire was set into the past" in told
    assert "ts_expire was set into the past" in box.ok("run").out
    crt, ts_expire = box.row(NAME, "crt", "ts_expire")
    assert x509.load_pem_x509_certificate(crt).not_valid_after_utc.timestamp() == ts_expire
    assert "nothing is due" in box.ok("run").out


@pytest.mark.sampled
@pytest.mark.parametrize("script", ["latin1", "utf8mb4 COLLATE utf8mb4_unicode_ci", "utf16"])
def test_a_request_in_a_column_of_text_gets_its_certificate(mariadb: MariaDB, tmp_path: Path, script: str) -> None:
    """In any character set, with words beside the PEM block: the request that a certificate is for is known again."""
    database = mariadb.create_database()
    database.execute(legacy_table.ddl("InnoDB").replace("csr blob", f"csr text CHARACTER SET {script}"))
    box = Box(tmp_path / "box", database)
    box.set_up()
    request = f"Büro\n{csr([NAME]).decode()}"
    database.execute(f"INSERT INTO certs (name, enable, csr) VALUES ('{NAME}', 'Y', '{request}')")  # noqa: S608
    bundle = parse_bundle(Authority("Root").intermediate("CA").issue([NAME]).fullchain_pem)
    with closing(opened(database)) as store:
        certificates, orders = Certificates(store), Orders(store, "us")
        [row] = certificates.get([NAME])
        record = orders.open(new_order(NAME, CA, NOW, Cause.FIRST), [])
        assert record is not None
        certificates.store(record, obtained(row.csr, bundle, due_at=NOW + 9), NOW)
        assert certificates.get([NAME])[0].crt == bundle.leaf_pem


@pytest.mark.soak
def test_words_in_columns_of_bytes_are_read(lab: Lab, mariadb: MariaDB, tmp_path: Path) -> None:
    """A row without words is left out without a word, and `run` ends well."""
    database = mariadb.create_database()
    ddl = legacy_table.ddl("InnoDB").replace("name char(250)", "name varbinary(250)")
    ddl = ddl.replace("enum('Y','N')", "binary(1)").replace("varchar(250)", "blob").replace("char(64)", "binary(32)")
    database.execute(ddl)
    columns = "name, enable, certbot, comment, csr, webroot_path"
    request = csr([NAME]).decode()
    database.execute(f"INSERT INTO certs ({columns}) VALUES ('{NAME}', 'Y', 'N', 'Büro', '{request}', ' ')")  # noqa: S608
    box = legacy_table.adopted(database, lab, tmp_path, NAME)
    assert f"{NAME}: stored" in box.ok("run").out
    assert box.row(NAME, "enable") == (b"Y",)


@pytest.mark.soak
@pytest.mark.parametrize("engine", ["sqlite", "InnoDB"])
def test_columns_in_capitals_are_adopted(mariadb: MariaDB, tmp_path: Path, engine: str) -> None:
    """SQL has no case in the names of columns."""
    database: Database = SqliteDatabase(tmp_path) if engine == "sqlite" else mariadb.create_database()
    ddl = legacy_table.ddl(engine)
    for column in legacy_table.COLUMNS:
        ddl = re.sub(rf"(?<=[ (]){column} (?=[a-z])", f"{column.upper()} ", ddl)
    database.execute(ddl)
    for insert in legacy_table.rows(NAME):
        database.execute(insert)
    box = Box(tmp_path / "box", database)
    assert "can be adopted" in box.run("db", "status").out
    box.set_up()
    assert NAME in box.run("status").out
    imported(box, "long.example.test", days=5000)
