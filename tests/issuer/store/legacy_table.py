"""The `certs` table of the system certfleet descends from, filled with rows that are awkward in every column."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority
from tests.servers.database import Database
from tests.servers.lab import Lab

COLUMNS = (
    *("name", "enable", "comment", "certbot", "csr", "ca", "crt", "md5_modulus", "md5_ca", "ts_expire"),
    *("ts_last_update", "count_fail_update", "old_ca", "old_crt", "webroot_path"),
)
MYSQL = """
CREATE TABLE certs (
  name char(250) NOT NULL, enable enum('Y','N') NOT NULL DEFAULT 'N', comment varchar(250) DEFAULT NULL,
  certbot enum('Y','N') NOT NULL DEFAULT 'N', csr blob, ca blob, crt blob, md5_modulus char(64) DEFAULT NULL,
  md5_ca char(64) DEFAULT NULL, ts_expire int(11) DEFAULT NULL, ts_last_update int(11) DEFAULT NULL,
  count_fail_update int(11) DEFAULT '0', old_ca blob, old_crt blob, webroot_path varchar(250) DEFAULT NULL,
  PRIMARY KEY (name)
) ENGINE=ENGINE_NAME DEFAULT CHARSET=latin1
"""
SQLITE = """
CREATE TABLE certs (
  name char(250) PRIMARY KEY, enable char(1) NOT NULL DEFAULT 'N', comment varchar(250),
  certbot char(1) NOT NULL DEFAULT 'N', csr blob, ca blob, crt blob, md5_modulus char(64), md5_ca char(64),
  ts_expire integer, ts_last_update integer, count_fail_update integer DEFAULT 0, old_ca blob, old_crt blob,
  webroot_path varchar(250)
)
"""


def ddl(engine: str, *, without: str = "") -> str:
    """CREATE TABLE for "sqlite", or for a server's engine, with or without a row format ("InnoDB ROW_FORMAT=COMPACT");
    one column may be left out."""
    text = SQLITE if engine == "sqlite" else MYSQL.replace("ENGINE_NAME", engine)
    if without:
        start = text.index(f" {without} ")
        return text[:start] + text[text.index(",", start) + 1 :]
    return text


def rows(name: str) -> list[str]:
    """INSERT statements: a full row for *name* with a certificate that has expired, a bare one, a broken one."""
    authority = Authority("Old Root").intermediate("Old CA")
    pem = csr([name], "rsa2048")
    request = pem.decode().encode("utf-16")  # as a Windows editor saves it
    issued = authority.sign(pem, days=1, not_before=datetime.now(UTC) - timedelta(days=2))
    pair = f"X'{issued.chain_pem.hex()}', X'{issued.cert_pem.hex()}'"
    values = [
        f"'{name}', 'Y', 'Büro Zürich; \"quoted\" \\\\ ñ', 'N', X'{request.hex()}', {pair}, 'computed-another-way',"
        f" '0123', 1700000000, 1690000000, 7, {pair}, '/var/www/html'",
        "'bare.example.test', 'N', NULL, 'N', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL",
        "'broken.example.test', 'N', '', 'Y', X'00ff00', X'', X'2d2d2d', '', '', 1, 1, 0, X'80', X'81', ''",
    ]
    return [f"INSERT INTO certs ({', '.join(COLUMNS)}) VALUES ({row})" for row in values]  # noqa: S608


def put(database: Database, engine: str, name: str) -> None:
    """The table with its rows."""
    database.execute(ddl(engine))
    for insert in rows(name):
        database.execute(insert)


def adopted(database: Database, lab: Lab, folder: Path, name: str) -> Box:
    """An issuer that has adopted the table, with a zone for *name*."""
    box = Box(folder / "box", database, bind=lab.bind, pebble=lab.pebble)
    box.set_up()
    box.add_zone(name)
    lab.bind.reconfigure()
    return box


def read(names: str = "*") -> str:
    """SELECT of every legacy column of every row, in order."""
    return f"SELECT {', '.join(COLUMNS) if names == '*' else names} FROM certs ORDER BY name"  # noqa: S608
