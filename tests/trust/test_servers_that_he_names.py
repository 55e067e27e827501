"""A thief in the database writes certificates that name servers of his choice: nobody asks or reaches these."""

import time
from pathlib import Path

import pytest

from common.certificate import parse_bundle
from issuer.trust.statements import Statements
from tests.issuer.box import Box
from tests.servers.authority import Authority, asked_at
from tests.servers.database import SqliteDatabase
from tests.servers.lab import Lab
from tests.servers.ports import LOOPBACK
from tests.servers.silent import Silent
from tests.trust.siege import octets
from tests.trust.thief import Thief

NAME, FRESH, PLANTED = "www.example.test", "new.example.test", "thief.example.test"


@pytest.fixture
def box(lab: Lab, tmp_path: Path) -> Box:
    """A box with a certificate, and a name that has none yet."""
    made = Box(tmp_path / "box", SqliteDatabase(tmp_path), pebble=lab.pebble)
    made.set_up()
    made.populate(NAME)
    made.put_aged(NAME, days=90, left=80)
    made.populate(FRESH)
    made.ok("run", NAME)
    return made


def test_where_a_thief_sends_the_issuer(box: Box, tmp_path: Path) -> None:
    """In the place of a certificate, as the first one with a statement by his own key, or in a row of his own."""
    his_key = Statements(tmp_path)
    his_key.begin_first()
    his_key.end_change()
    thief = Thief("The database, to send the issuer somewhere")
    with Silent() as his:
        place = f"http://{LOOPBACK}:{his.port}"
        authority = Authority("His Root").intermediate("His Intermediate")
        authority.added = asked_at(ocsp=f"{place}/flushall", crl=f"{place}/list", issuer=f"{place}/ca")
        for name in (NAME, FRESH):
            issued = authority.sign(bytes(box.row(name, "csr")[0]), days=100)
            cells = f"crt = {octets(issued.cert_pem)}, ca = {octets(issued.chain_pem)}, audit_at = NULL"
            cells += ", ts_expire = 9999999999, due_at = 9999999999"
            if name == FRESH:
                text = his_key.sign(name, parse_bundle(issued.fullchain_pem), "", int(time.time()))
                cells += f", statement = '{text}'"
            box.database.execute(f"UPDATE certs SET {cells} WHERE name = '{name}'")  # noqa: S608
        columns = "enable, csr, crt, ca, ts_expire"
        select = f"SELECT '{PLANTED}', {columns} FROM certs WHERE name = '{NAME}'"  # noqa: S608
        box.database.execute(f"INSERT INTO certs (name, {columns}) {select}")
        box.fails("run", says=["not signed"])
        thief.tries("a request of `run` to a server that he names, by a certificate of his", got=bool(his.calls))
        found = box.run("audit", "--json")
        thief.tries("the same of `audit`", got=bool(his.calls))
        told = {one["name"] for one in found.report()["findings"] if one["kind"] == "not-ours"}
        thief.tries("a certificate of his that `audit` finds well", got=told != {NAME, FRESH, PLANTED})
        columns = "name, directory, url, created_at, updated_at, state, active_name"
        order = f"'{NAME}', '{box.document['acme']['directory']}', 'https://{LOOPBACK}:{his.port}/order', 1, 1"
        for state in ("'STORED', NULL", f"'ORDERED', '{NAME}'"):
            box.database.execute(f"INSERT INTO orders ({columns}) VALUES ({order}, {state})")  # noqa: S608
        listed = box.run("egress", "--json")
        got = bool(his.calls) or str(his.port) in listed.out
        thief.tries("a connection of `egress` there, or its place in the list for a firewall", got=got)
        assert "3 rows are not what was enrolled and signed" in listed.out
        box.run("check")
        thief.tries("a question of `check` there, by an order of his", got=bool(his.calls))
    thief.is_told()
