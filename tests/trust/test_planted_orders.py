"""A thief who writes orders, versions and statements into the database: nothing of it is followed or signed."""

import http.server
import json
import secrets
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from common.certificate import fingerprint, not_after, not_before, parse_bundle, serial_text
from common.statement import Statement
from issuer.model.enrolment import csr_digest
from issuer.trust.statements import Statements
from tests.servers.authority import Authority, Issued
from tests.trust.conftest import NAME
from tests.trust.siege import NOW, Siege, octets
from tests.trust.thief import Thief

PLANTED = "order not ours: its order under way was not written by an issuer"
LEASED = f"lease_owner = 'thief', lease_until = {int(time.time()) + 600}"
AGAIN = "state = 'FINALIZING', active_name = name"
_UNDER_WAY = "name, active_name, state, directory, url, reason, names, csr_sha256, deadline, created_at, updated_at"


class HisServer:
    """An ACME server of the thief's that the issuer's TLS trusts: one order, which is valid, with *issued*. *asked*:
    the paths that it was asked for."""

    def __init__(self, issued: Issued, folder: Path) -> None:
        self.asked: list[str] = []
        authority, outer = Authority("Public TLS CA"), self
        self.ca_pem = authority.pem
        files = authority.issue(["localhost"]).write(folder)

        class Answers(http.server.BaseHTTPRequestHandler):
            def log_message(self, *words: object) -> None:
                """Says nothing."""

            def do_POST(self) -> None:
                outer.asked.append(self.path)
                self.rfile.read(int(self.headers["Content-Length"]))
                order = {"status": "valid", "identifiers": [{"type": "dns", "value": NAME}], "authorizations": []}
                order |= {"finalize": f"{outer.url}/finalize", "certificate": f"{outer.url}/certificate"}
                body, kind = json.dumps(order).encode(), "application/json"
                if self.path.endswith("/certificate"):
                    body, kind = issued.fullchain_pem, "application/pem-certificate-chain"
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Replay-Nonce", secrets.token_urlsafe(16))
                self.end_headers()
                self.wfile.write(body)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.fullchain, files.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_port}/order"


class Loot:
    """The *siege*, and the thief's own CA, which signs for the key of the host."""

    def __init__(self, siege: Siege) -> None:
        self.siege = siege
        self.authority = Authority("His Root").intermediate("His Intermediate")
        self.issued = self.authority.sign(bytes(siege.box.row(NAME, "csr")[0]), days=3600)

    @property
    def leaf(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(bytes(self.siege.box.row(NAME, "crt")[0]))

    @property
    def statement(self) -> Statement:
        found = Statements(self.siege.box.state_dir).key().statement(str(self.siege.box.row(NAME, "statement")[0]))
        assert found is not None
        return found

    def plant(self, url: str, name: str = NAME, *, leased: bool = False) -> None:
        """An order under way for *name*, of which only the certificate is to be fetched. *leased*: another issuer seems
        to work on it."""
        now, box = int(time.time()), self.siege.box
        values = [name, name, "FINALIZING", box.document["acme"]["directory"], url, "renewal", name]
        words = [*values, csr_digest(bytes(box.row(NAME, "csr")[0])), now + 3600, now, now]
        self.siege.sql(f"INSERT INTO orders ({_UNDER_WAY}) VALUES ({', '.join(map(repr, words))})")  # noqa: S608
        if leased:
            self.siege.sql(f"UPDATE orders SET {LEASED} WHERE active_name = '{name}'")  # noqa: S608

    def has_upgraded(self, revision: str) -> None:
        """He names an earlier revision of the tables, and an operator does what every command then says."""
        self.siege.sql(f"UPDATE alembic_version SET version_num = '{revision}'")  # noqa: S608
        assert "db upgrade" in self.siege.box.run("run").err
        self.siege.box.ok("db", "upgrade")

    def brings(self, unwanted: str, *says: str) -> bool:
        """Does the next run store the certificate with that fingerprint? If not it says *says*, in one mail too, and
        the row goes on with an order of its own, at once or when it is asked for."""
        siege, letters, before = self.siege, len(self.siege.smtp.letters), self.statement
        siege.row(**NOW)
        run = siege.box.run("run")
        if fingerprint(self.leaf) == unwanted:
            return True
        assert run.code == 1, run.out + run.err
        [letter] = siege.smtp.letters[letters:]
        told = " ".join(letter.text.replace("> ", "").split())
        assert all(phrase in run.err for phrase in says), run.out + run.err
        assert all(phrase.removeprefix("order not ours: ") in told for phrase in says), told
        if self.statement == before:
            siege.box.ok("issue", NAME)
        assert self.statement.sequence > before.sequence
        siege.box.ok("run")
        siege.box.ok("status")
        return False


@pytest.fixture
def loot(siege: Siege) -> Loot:
    return Loot(siege)


@pytest.fixture
def his_server(loot: Loot, tmp_path: Path) -> Iterator[HisServer]:
    made, box = HisServer(loot.issued, tmp_path / "his"), loot.siege.box
    store = tmp_path / "store.pem"  # as the system's store, which has many CAs
    store.write_bytes(Path(box.document["acme"]["ca_bundle"]).read_bytes() + made.ca_pem)
    box.write(acme={"ca_bundle": str(store)})
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    with made.server:
        yield made
        made.server.shutdown()
        thread.join()


def test_what_a_thief_writes_into_orders(loot: Loot, his_server: HisServer) -> None:
    """Each is ended and told. The server that it names is never asked."""
    thief, siege, box = Thief("The database, by orders and versions"), loot.siege, loot.siege.box
    loot.plant(his_server.url)
    got = loot.brings(fingerprint(loot.issued.certificate), PLANTED)
    thief.tries("a certificate of a CA of his for the host's key, by an order that leads to his server", got=got)
    loot.plant(his_server.url)
    loot.has_upgraded("0017")
    got = loot.brings(fingerprint(loot.issued.certificate), PLANTED)
    thief.tries("the same, by an earlier revision of the tables, for which people run `db upgrade`", got=got)
    for number in range(30):
        loot.plant(his_server.url, f"{number}.example.test")
    run = box.run("run")
    assert (run.code, run.err.count(PLANTED)) == (1, 1), run.err
    assert not box.database.query("SELECT name FROM orders WHERE active_name IS NOT NULL")
    thief.tries("a look at his server, by such an order with or without a row", got=bool(his_server.asked))
    loot.plant(his_server.url, leased=True)
    present = fingerprint(loot.leaf)
    loot.brings("", PLANTED)
    got = fingerprint(loot.leaf) == present
    thief.tries("that nothing is ordered for a name, by the lease of another issuer on such an order", got=got)

    siege.sql("CREATE TABLE loot (id INTEGER, state VARCHAR(12), seal VARCHAR(80))")
    siege.sql(
        "CREATE TRIGGER copies AFTER UPDATE ON orders FOR EACH ROW BEGIN"
        " INSERT INTO loot VALUES (NEW.id, NEW.state, NEW.seal); END"
    )
    box.ok("reissue", NAME)
    siege.sql("DROP TRIGGER copies")
    earlier = fingerprint(loot.leaf)
    [(number, seal)] = box.database.query("SELECT id, seal FROM loot WHERE state = 'FINALIZING'")
    until = int(time.time()) + 3600
    box.ok("reissue", NAME)
    siege.sql(f"UPDATE orders SET {AGAIN}, deadline = {until} WHERE id = {number}")  # noqa: S608
    got = loot.brings(earlier, PLANTED)
    thief.tries("an earlier certificate, by its order, which he sets under way again", got=got)
    siege.sql(f"UPDATE orders SET {AGAIN}, deadline = {until}, seal = '{seal}' WHERE id = {number}")  # noqa: S608
    got = loot.brings(earlier, "it was stored before")
    thief.tries("the same with the seal that the order had", got=got)

    got = goes_back(loot)
    thief.tries("a certificate of a CA of his, by a version that an operator goes back to unasked", got=got)
    box.ok("reissue", NAME)
    siege.sql(f"UPDATE versions SET directory = NULL WHERE name = '{NAME}'")  # noqa: S608
    present = fingerprint(loot.leaf)
    back = box.run("rollback", NAME, "--serial", box.ok("history", NAME, "--json").report()["versions"][1]["serial"])
    assert "nothing renews it" in back.out
    got = fingerprint(loot.leaf) != present
    thief.tries(
        "that nothing renews a certificate any more, by a version without its CA that an operator goes back to unasked",
        got=got,
    )
    before = statement_of_a_fast_clock(loot)
    siege.row(statement="NULL")
    box.ok("reissue", NAME)
    got = loot.statement.sequence <= before
    thief.tries("a statement whose sequence is no higher, by taking the last one away", got=got)
    got = is_signed_at_first(loot)
    thief.tries("a statement for a first certificate of his, by such a revision and no statements", got=got)
    thief.is_told()


def is_signed_at_first(loot: Loot) -> bool:
    """Does `db upgrade` sign his certificate for a name that has none yet, as it signs those of a legacy table?"""
    siege, box, name = loot.siege, loot.siege.box, "new.example.test"
    box.populate(name)
    his = loot.authority.sign(bytes(box.row(name, "csr")[0]), days=3600)
    siege.row(name, crt=octets(his.cert_pem), ca=octets(his.chain_pem), ts_last_update="5")
    siege.sql("UPDATE certs SET statement = NULL")
    loot.has_upgraded("0014")
    return box.row(name, "statement") != (None,)


def statement_of_a_fast_clock(loot: Loot) -> int:
    """The issuer has signed the certificate once more while its clock was ahead; the sequence of that."""
    box, moment = loot.siege.box, int(time.time()) + 1000
    bundle = parse_bundle(bytes(box.row(NAME, "crt")[0]))
    said = Statements(box.state_dir).sign(NAME, bundle, str(box.row(NAME, "statement")[0]), moment)
    loot.siege.row(statement=repr(said))
    assert loot.statement.sequence == moment
    return moment


def goes_back(loot: Loot) -> bool:
    """Does `rollback` take what he wrote into `versions`? It shows that, and asks."""
    siege, bundle = loot.siege, parse_bundle(loot.issued.fullchain_pem)
    leaf, present = bundle.leaf, fingerprint(loot.leaf)
    cells = {
        "sha256": repr(fingerprint(leaf)),
        "serial": repr(serial_text(leaf)),
        "crt": octets(loot.issued.cert_pem),
        "ca": octets(loot.issued.chain_pem),
        "not_before": str(not_before(leaf)),
        "not_after": str(not_after(leaf)),
    }
    words = ", ".join(f"{column} = {value}" for column, value in cells.items())
    siege.sql(f"UPDATE versions SET {words} WHERE name = '{NAME}' AND sha256 <> '{present}'")  # noqa: S608
    back = siege.box.run("rollback", NAME)
    assert "does not remember" in back.out
    assert all(fact in back.out for fact in ("His Intermediate", NAME, fingerprint(leaf))), back.out
    siege.box.ok("status")
    return fingerprint(loot.leaf) != present


def test_what_was_stored_is_gone_back_to_unasked(loot: Loot) -> None:
    """By this issuer, of itself and of what it has seen; by a person who was asked, of anything."""
    box, first = loot.siege.box, fingerprint(loot.leaf)
    box.ok("reissue", NAME)
    box.ok("rollback", NAME)
    assert (fingerprint(loot.leaf), loot.statement.older) == (first, True)
    box.ok("reissue", NAME)
    goes_back(loot)
    box.ok("rollback", NAME, "--yes")
    assert fingerprint(loot.leaf) == fingerprint(loot.issued.certificate)
