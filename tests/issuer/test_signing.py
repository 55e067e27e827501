"""What is handed out is signed: at each way into the table, by one key, which is never made anew unnoticed."""

import shutil
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from common.issuer_key import issuer_key_text
from issuer.model.leaf import Leaf, leaf_of
from issuer.trust.statements import Statements
from tests.agent.host import Host
from tests.issuer.box import Box
from tests.issuer.crash.killer import killed_run
from tests.issuer.signed import CA, NAME, OTHER, statement, steal, take_in
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority, Issued
from tests.servers.database import Database, SqliteDatabase


@pytest.mark.soak
def test_each_way_into_the_table_is_signed(server_box: Box, tmp_path: Path) -> None:
    """Issued, issued again, gone back to, imported: each has a statement, with a sequence that only grows."""
    box = server_box
    box.enrol(NAME)
    box.ok("run")
    first = statement(box)
    assert (first.names, first.older) == ((NAME,), False)
    assert abs(first.moment - time.time()) < 60
    box.ok("reissue", NAME)
    second = statement(box)
    box.ok("rollback", NAME)
    third = statement(box)
    assert (third.sha256, third.older) == (first.sha256, True)
    box.ok("disable", NAME)
    file = tmp_path / "bought.pem"
    file.write_bytes(CA.sign(csr([NAME])).fullchain_pem)
    box.ok("import", NAME, "--crt", str(file))
    fourth = statement(box)
    assert fourth.older is False
    assert first.sequence < second.sequence < third.sequence < fourth.sequence


def test_two_issuers_whose_clocks_differ(lone_box: Box) -> None:
    """The sequence does not go back with the clock."""
    take_in(lone_box)
    key = Statements(lone_box.state_dir).key()
    leaf = leaf_of(bytes(lone_box.row(NAME, "crt")[0]))
    assert isinstance(leaf, Leaf)
    ahead = key.sign(NAME, leaf, 5_000_000_000, 5_000_000_000, older=False)
    lone_box.database.execute(f"UPDATE certs SET statement = '{ahead}'")  # noqa: S608
    take_in(lone_box)
    assert statement(lone_box).sequence == 5_000_000_001


def test_a_key_that_is_gone(box: Box) -> None:
    """Certificates are stored all the same, without a statement; the run says so and ends with 1. No command makes
    another key. With the key back a person signs what he has looked at."""
    box.enrol(NAME)
    box.ok("run")
    key = box.state_dir / "statement.pem"
    backup = shutil.move(key, box.folder / "backup.pem")
    box.refused("key", "show", code=1 + 1, says=["there is no key to sign statements with", "restore it"])
    outcome = box.fails("reissue", NAME, says=["1 stored", "there is no key to sign statements with"])
    assert "new certificates go out without a statement" in outcome.err
    assert box.row(NAME, "statement") == (None,)
    box.ok("init")
    box.ok("db", "upgrade")
    box.fails("run", says=["there is no key to sign statements with"])
    box.fails("check", NAME, says=["bad  statement key"])
    box.refused("key", "rollover", code=2, says=["there is no key to sign statements with", "--lost"])
    assert not key.exists()
    shutil.move(backup, key)
    box.fails("run", says=["not signed", f"`key sign {NAME}`"])
    box.fails("status", says=[f"{NAME}  not signed"])
    assert f"warn {NAME}: its certificate has no statement of ours" in box.run("check", NAME).out
    assert "signed 1 certificate" in box.ok("key", "sign", NAME, "--yes").out
    statement(box)
    assert "statement of ours" not in box.ok("check", NAME).out
    box.ok("run")
    box.ok("status")


def test_a_lost_key_is_made_anew_by_a_person(lone_box: Box) -> None:
    """No earlier key vouches for it, and only what fits its CSR is signed."""
    for name in (NAME, OTHER):
        lone_box.populate(name)
        put(lone_box, name)
    lone_box.ok("key", "sign", NAME, OTHER, "--yes")
    (lone_box.state_dir / "statement.pem").unlink()
    wrong = CA.sign(csr(["wrong.lab.test"])).cert_pem.hex()
    lone_box.database.execute(f"UPDATE certs SET crt = X'{wrong}' WHERE name = '{OTHER}'")  # noqa: S608
    outcome = lone_box.fails("key", "rollover", "--lost", says=[f"{OTHER}: not signed: its certificate lacks names"])
    assert "signed 1 certificate" in outcome.out
    assert Statements(lone_box.state_dir).key().endorsements == ()
    statement(lone_box)


def test_a_stolen_key_leaves_no_number_behind(lone_box: Box) -> None:
    """The thief said something with the highest number that there is; with another key the numbers begin anew."""
    lone_box.populate(NAME)
    put(lone_box, NAME)
    leaf = leaf_of(bytes(lone_box.row(NAME, "crt")[0]))
    assert isinstance(leaf, Leaf)
    said = Statements(lone_box.state_dir).key().sign(NAME, leaf, 2**63 - 1, 2**63 - 1, older=False)
    lone_box.database.execute(f"UPDATE certs SET statement = '{said}'")  # noqa: S608
    lone_box.ok("status")
    lone_box.ok("key", "rollover", "--lost")
    assert abs(statement(lone_box).sequence - time.time()) < 60
    lone_box.ok("status")


def put(box: Box, name: str) -> None:
    """A certificate for the enrolled CSR, as a run of an earlier version has stored it."""
    issued = CA.sign(csr([name]))
    crt, ca = issued.cert_pem.hex(), issued.chain_pem.hex()
    values = f"crt = X'{crt}', ca = X'{ca}', ts_expire = {int(time.time()) + 80 * 86400}, ts_last_update = 5"
    box.database.execute(f"UPDATE certs SET {values}, statement = NULL WHERE name = '{name}'")  # noqa: S608


def test_an_upgrade_signs_what_is_there(database: Database, tmp_path: Path) -> None:
    """Once, and only what fits the CSR of its row; the others are told. A later upgrade signs nothing."""
    box = Box(tmp_path / "box", database)
    box.set_up()
    odd = ("stranger.lab.test", "revoked.lab.test", "bought.lab.test")
    for name in (NAME, OTHER, *odd):
        box.populate(name)
        put(box, name)
    stranger = Authority("Thief").intermediate("Thief too").issue([odd[0]]).cert_pem.hex()
    database.execute(f"UPDATE certs SET crt = X'{stranger}' WHERE name = '{odd[0]}'")  # noqa: S608
    database.execute(f"UPDATE certs SET revoked = 'Y' WHERE name = '{odd[1]}'")  # noqa: S608
    database.execute(f"UPDATE certs SET csr = NULL WHERE name = '{odd[2]}'")  # noqa: S608
    database.execute("UPDATE alembic_version SET version_num = '0013'")
    (box.state_dir / "statement.pem").unlink()
    outcome = box.ok("db", "upgrade")
    key = Statements(box.state_dir).key()
    assert issuer_key_text(key.public) in outcome.out
    assert "signed 2 certificates" in outcome.out
    for name, why in zip(odd, ("for another key", "revoked", "no CSR"), strict=True):
        assert any(line.startswith(f"{name}: not signed: ") and why in line for line in outcome.err.splitlines())
        assert box.row(name, "statement") == (None,)
    for name in (NAME, OTHER):
        statement(box, name)
    database.execute(f"UPDATE certs SET statement = NULL WHERE name = '{NAME}'")  # noqa: S608
    box.ok("db", "upgrade")
    assert box.row(NAME, "statement") == (None,)


@pytest.mark.parametrize(
    ("place", "when"),
    [
        ("issuer.trust.statements:Statements.begin_first", "after"),
        ("issuer.store.statements:_portion", "after"),
        ("issuer.trust.statements:Statements.end_change", "before"),
    ],
)
def test_an_upgrade_that_is_killed(lone_box: Box, place: str, when: str) -> None:
    """The next one signs the rest, by the same key."""
    lone_box.populate(NAME)
    put(lone_box, NAME)
    lone_box.database.execute("UPDATE alembic_version SET version_num = '0013'")
    before = Statements(lone_box.state_dir).key().public
    assert killed_run(lone_box, place, when, 1, ["db", "upgrade"]) == -signal.SIGKILL
    lone_box.ok("db", "upgrade")
    statement(lone_box)
    assert Statements(lone_box.state_dir).key().public == before
    assert not Statements(lone_box.state_dir).changing


def test_what_check_says_of_statements(lone_box: Box, tmp_path: Path) -> None:
    """One that another issuer has signed with a key of its own; a certificate that was put into the table; none."""
    take_in(lone_box)
    assert f"{NAME}: its statement" not in lone_box.run("check", NAME).out
    steal(lone_box)
    lone_box.fails("check", NAME, says=[f"bad  {NAME}: its statement is about another certificate"])
    take_in(lone_box)
    (lone_box.state_dir / "statement.pem").rename(tmp_path / "ours.pem")
    Statements(lone_box.state_dir).create()
    lone_box.fails("check", NAME, says=[f"bad  {NAME}: its statement is signed by another key", "share statement.pem"])


def test_only_a_person_signs_by_hand(lone_box: Box) -> None:
    """After a look at key and names; what does not fit its CSR is not signed by hand either."""
    lone_box.populate(NAME)
    put(lone_box, NAME)
    assert f"{NAME}: serial " in lone_box.refused("key", "sign", NAME, code=2, says=["asks for confirmation"]).out
    assert lone_box.row(NAME, "statement") == (None,)
    lone_box.ok("key", "sign", NAME, "--yes")
    statement(lone_box)
    stranger = Authority("Thief").intermediate("Thief too").issue([NAME]).cert_pem.hex()
    lone_box.database.execute(f"UPDATE certs SET crt = X'{stranger}'")  # noqa: S608
    lone_box.fails("key", "sign", NAME, "--yes", says=["its certificate is for another key than its CSR"])
    lone_box.refused("key", "sign", "none.lab.test", "--yes", code=2, says=["not enrolled"])


def test_the_key_is_for_its_owner(lone_box: Box) -> None:
    """`init` makes it 0600 and keeps it; one that others can read is refused."""
    file = lone_box.state_dir / "statement.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    assert f"kept     {file}" in lone_box.ok("init").out
    assert file.read_bytes() == before
    file.chmod(0o644)
    lone_box.refused("key", "show", code=2, says=["holds a secret but its mode is 0644"])


@pytest.mark.parametrize("pinned", [True, False], ids=["with the issuer's key", "without"])
def test_a_host_from_the_real_table(lone_box: Box, tmp_path: Path, pinned: bool) -> None:
    """What was refused as older is taken at the next plain run after a `rollback`, and after a change of the key."""
    host = Host(tmp_path / "host", NAME)
    host.make_key()
    assert isinstance(lone_box.database, SqliteDatabase)
    key = lone_box.ok("key", "show", "--json").report()["issuer_key"] if pinned else ""
    host.configure(source=f'url = "sqlite:///{lone_box.database.path}"', issuer_key=key)
    lone_box.ok("populate", NAME, "--csr", str(host.folder / "host.csr"))
    first, second = host.sign(60, not_before=datetime.now(UTC) - timedelta(days=2)), host.sign(120)
    for issued in (first, second):
        file = tmp_path / "bought.pem"
        file.write_bytes(issued.fullchain_pem)
        lone_box.ok("import", NAME, "--crt", str(file))
        taken(host, issued)
    crt, ca = first.cert_pem.hex(), first.chain_pem.hex()
    lone_box.database.execute(f"UPDATE certs SET crt = X'{crt}', ca = X'{ca}', ts_last_update = 7")  # noqa: S608
    assert host.run().code == 1
    assert host.fullchain.read_bytes() == second.fullchain_pem
    crt, ca = second.cert_pem.hex(), second.chain_pem.hex()
    lone_box.database.execute(f"UPDATE certs SET crt = X'{crt}', ca = X'{ca}'")  # noqa: S608
    lone_box.ok("rollback", NAME)
    taken(host, first)
    lone_box.ok("key", "rollover")
    serial = second.certificate.serial_number
    lone_box.ok("rollback", NAME, "--serial", f"{serial:X}")
    taken(host, second)
    assert host.agent("check").code == 0


def taken(host: Host, issued: Issued) -> None:
    done = host.run()
    assert done.code == 0, done.err
    assert host.fullchain.read_bytes() == issued.fullchain_pem
