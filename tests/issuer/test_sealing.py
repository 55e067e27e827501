"""Seals as an operator meets them: two issuers, a lost key, a legacy table, rows of old scripts, a kill in between."""

import itertools
import os
import pty
import shutil
import signal
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from issuer.model.errors import StoreError
from issuer.rules.csr import read_csr
from issuer.store import seals
from issuer.store.orders import Orders
from issuer.trust.seals import Seals
from tests.issuer.box import ROOT, Box
from tests.issuer.crash.killer import killed_run
from tests.issuer.signing_requests import csr
from tests.issuer.store import legacy_table
from tests.issuer.store.opened import opened
from tests.servers.authority import Authority
from tests.servers.database import Database, SqliteDatabase
from tests.servers.forks import forks

NAME, OTHER = "www.lab.test", "mail.lab.test"
NEW = csr([NAME, "added.lab.test"], number=1)


def write_csr(box: Box, content: bytes = NEW, name: str = NAME) -> None:
    """As an old script does."""
    box.database.execute(f"UPDATE certs SET csr = X'{content.hex()}' WHERE name = '{name}'")  # noqa: S608


def unsealed(box: Box) -> set[str]:
    """The names that `status` calls not sealed, with exit code 1 where there is one, and those that are gone."""
    outcome = box.run("status", "--json")
    found = {one["name"] for one in outcome.report()["certificates"] if one["not_sealed"]}
    found |= set(outcome.report()["vanished"])
    assert outcome.code == 1 or not found
    return found


def typed(box: Box, answer: str, *words: str) -> tuple[int, str]:
    """The exit code and the screen of a command at whose question somebody types *answer*, on a terminal."""
    keyboard, terminal = pty.openpty()
    try:
        at_it = f"import os; os.dup2(os.open({os.ttyname(terminal)!r}, os.O_RDWR | os.O_NOCTTY), 0)"
        os.write(keyboard, f"{answer}\n".encode())
        program, words = f"{at_it}; from issuer.cli import main; main()", ("--config", str(box.config), *words)
        ended = forks("issuer").run(program, words, folder=ROOT, environment=os.environ, seconds=60)
        return ended.code, ended.out + ended.err
    finally:
        os.close(keyboard)
        os.close(terminal)


def test_adopt_shows_a_row_and_asks(lone_box: Box) -> None:
    """Key and names, then the name has to be typed; nothing is sealed otherwise, nor without a terminal."""
    lone_box.populate(NAME)
    lone_box.populate(OTHER)
    write_csr(lone_box)
    lone_box.refused("adopt", NAME, code=2, says=["no terminal", "--yes"])
    for answer in ("", "y", "www", OTHER):
        code, screen = typed(lone_box, answer, "adopt", NAME)
        assert (code, "nothing was sealed" in screen) == (1, True), screen
        assert f"{NAME}: key {read_csr(NEW).spki_sha256}, for {NAME}, added.lab.test" in screen
    lone_box.fails("status", says=[f"{NAME}   not sealed", "another key than the one", "other names than those"])
    assert typed(lone_box, NAME, "adopt", NAME)[0] == 0
    lone_box.ok("status")
    assert "nothing was changed" in lone_box.ok("adopt", NAME).out
    lone_box.refused("adopt", code=2, says=["either names or --all"])


def test_adopt_shows_all_that_it_seals(lone_box: Box) -> None:
    """How the names are validated, whether it is imported, and when it is taken over."""
    lone_box.populate(NAME)
    lone_box.database.execute("UPDATE certs SET certbot = 'Y', webroot_path = '/srv/his', seal = NULL")
    shown = f"for {NAME}; validated by http-01 through /srv/his\n"
    assert shown in typed(lone_box, "", "adopt", NAME)[1].replace("\r", "")
    lone_box.database.execute("UPDATE certs SET imported = 'Y'")
    assert f"for {NAME}; imported\n" in typed(lone_box, "", "adopt", NAME)[1].replace("\r", "")
    bought = Authority("CA").sign(csr([NAME]), not_before=datetime(2026, 1, 1, tzinfo=UTC), days=3652).cert_pem.hex()
    change = f"crt = X'{bought}', change_csr = X'{NEW.hex()}', takeover = 86400"
    lone_box.database.execute(f"UPDATE certs SET {change}")  # noqa: S608
    [line] = [line for line in typed(lone_box, "", "adopt", NAME)[1].splitlines() if "its change: " in line]
    assert line.strip().endswith("; ordered from 2035-12-31T00:00:00Z on")


def test_adopt_of_all_shows_each_and_asks_for_their_number(lone_box: Box) -> None:
    """A row that fits its seal is not among them."""
    for name in (NAME, OTHER, "third.lab.test"):
        lone_box.populate(name)
    for name in (NAME, OTHER):
        write_csr(lone_box, csr([name], number=2), name)
    code, screen = typed(lone_box, "3", "adopt", "--all")
    assert (code, "third" in screen) == (1, False)
    code, screen = typed(lone_box, "2", "adopt", "--all")
    assert (code, "2 sealed" in screen) == (0, True), screen
    lone_box.ok("status")


def test_history_tells_who_sealed_what(lone_box: Box) -> None:
    """The person behind sudo, the machine, key and names; of each seal."""
    with pytest.MonkeyPatch.context() as here:
        here.setenv("SUDO_USER", "anna")
        lone_box.populate(NAME)
        write_csr(lone_box)
        here.setenv("SUDO_USER", "bert")
        lone_box.ok("adopt", NAME, "--yes")
    host, keys = socket.gethostname(), [read_csr(each).spki_sha256 for each in (NEW, csr([NAME]))]
    sealed = [line for line in lone_box.ok("history", NAME).out.splitlines() if "  sealed  " in line]
    assert [line.partition("  sealed  ")[2] for line in sealed] == [
        f"by bert@{host}: key {keys[0]}, for {', '.join(sorted([NAME, 'added.lab.test']))}",
        f"by anna@{host}: key {keys[1]}, for {NAME}",
    ]


@pytest.mark.soak
def test_two_issuers_with_different_keys(lone_box: Box, tmp_path: Path) -> None:
    """The second one orders nothing, and says which file it needs; `check` shows what to compare. With the file of the
    first all is well, and what the first removes or seals anew the second knows."""
    first, second = lone_box, Box(tmp_path / "second", lone_box.database)
    for name in (NAME, OTHER):
        first.populate(name)
    second.ok("init")
    told = second.fails("run", says=["not ordered", "made with another seal key", "copy seal.key of the issuer"])
    assert f"{NAME}: not ordered" in told.out
    assert unsealed(second) == {NAME, OTHER}
    shown = [
        [line for line in box.run("check").out.splitlines() if "the seal key is" in line] for box in (first, second)
    ]
    assert len({str(lines) for lines in shown}) == 2
    assert "bad  " + NAME in second.run("check").out.replace("BAD", "bad")
    shutil.copy2(first.state_dir / "seal.key", second.state_dir / "seal.key")
    assert unsealed(second) == set()
    first.ok("remove", OTHER, "--yes")
    first.ok("populate", "--replace", NAME, "--csr", "-", stdin=NEW)
    assert unsealed(second) == set()
    write_csr(first, csr([NAME]))
    assert unsealed(first) == unsealed(second) == {NAME}


def test_what_vanished_is_missed_until_somebody_says_so(lone_box: Box, tmp_path: Path) -> None:
    """On both issuers; `remove` on one is enough."""
    first, second = lone_box, Box(tmp_path / "second", lone_box.database)
    second.set_up()
    for name in (NAME, OTHER):
        first.populate(name)
    assert unsealed(second) == set()
    first.database.execute(f"DELETE FROM certs WHERE name = '{NAME}'")  # noqa: S608
    for box in (first, second):
        for command in ("status", "check", "run"):
            assert f"the row of {NAME} is gone without `remove`" in "".join(
                (box.run(command).out, box.run(command).err)
            )
        box.fails("status", says=[f"`certfleet-issuer remove {NAME}`"])
    first.ok("remove", NAME, "--yes")
    assert unsealed(first) == unsealed(second) == set()
    first.populate(NAME)
    assert unsealed(second) == set()


def test_an_earlier_seal_of_a_row_is_none_of_a_change(lone_box: Box) -> None:
    """A thief in the database keeps the CSR of before, whose key others may know by now, and lets it wait as a new
    one."""
    lone_box.populate(NAME)
    lone_box.database.execute("CREATE TABLE kept AS SELECT csr, seal FROM certs")
    lone_box.ok("populate", "--replace", NAME, "--csr", "-", stdin=csr([NAME], number=1))
    lone_box.ok("status", NAME)
    earlier = "change_csr = (SELECT csr FROM kept), change_seal = (SELECT seal FROM kept)"
    lone_box.database.execute(f"UPDATE certs SET {earlier}, change_due_at = 0, enable = 'Y'")  # noqa: S608
    lone_box.fails("run", says=[f"{NAME} is not what an operator enrolled", "older than the last one"])


def test_a_lost_seal_key(lone_box: Box) -> None:
    """Nothing is ordered and nothing is made anew by itself; a person takes all rows after a look."""
    for name in (NAME, OTHER):
        lone_box.populate(name)
    key = lone_box.state_dir / "seal.key"
    key.unlink()
    for command in (("run",), ("status",), ("populate", "third.lab.test", "--csr", "-")):
        outcome = lone_box.run(*command, stdin=csr(["third.lab.test"]))
        assert outcome.code != 0
        assert "adopt --all" in outcome.err
    assert "there is no seal key" in lone_box.run("check").out
    lone_box.ok("db", "upgrade")
    lone_box.refused("adopt", NAME, "--yes", code=2, says=["there is no seal key", "adopt --all"])
    lone_box.refused("adopt", "--all", code=2, says=["no terminal"])
    assert typed(lone_box, "1", "adopt", "--all")[0] == 1
    assert not key.exists()
    outcome = lone_box.ok("adopt", "--all", "--yes")
    for name in (NAME, OTHER):
        assert f"{name}: key {read_csr(csr([name])).spki_sha256}, for {name}" in outcome.out
    assert f"{key} is a new key: put it into the backup" in outcome.err
    assert key.stat().st_mode & 0o777 == 0o600
    assert unsealed(lone_box) == set()


def test_an_upgrade_seals_a_legacy_table_once_and_lists_it(database: Database, tmp_path: Path) -> None:
    """Each row with its key and names. What an old script adds afterwards is not sealed by a second upgrade."""
    box = Box(tmp_path / "box", database)
    box.ok("init")
    database.execute(legacy_table.ddl("sqlite" if isinstance(database, SqliteDatabase) else "InnoDB"))
    insert = "INSERT INTO certs (name, enable, certbot, csr) VALUES"
    for name in (NAME, OTHER):
        database.execute(f"{insert} ('{name}', 'Y', 'N', X'{csr([name]).hex()}')")
    outcome = box.ok("db", "upgrade")
    for name in (NAME, OTHER):
        assert f"{name}: key {read_csr(csr([name])).spki_sha256}, for {name}" in outcome.out
    assert "2 sealed as listed" in outcome.out
    box.ok("status")
    database.execute(f"{insert} ('new.lab.test', 'Y', 'N', X'{csr(['new.lab.test']).hex()}')")
    assert "sealed" not in box.ok("db", "upgrade").out
    box.fails("status", says=["new.lab.test   not sealed", "it has no seal: another program wrote its row"])
    database.execute("UPDATE certs SET seal = NULL")
    assert "no row is sealed any more: somebody took the seals away" in box.run("db", "upgrade").err
    assert unsealed(box) == {NAME, OTHER, "new.lab.test"}


def test_an_upgrade_that_ends_in_the_middle_seals_all_or_nothing(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a row is sealed, no upgrade seals another."""
    box = Box(tmp_path / "box", database)
    box.ok("init")
    database.execute(legacy_table.ddl("sqlite" if isinstance(database, SqliteDatabase) else "InnoDB"))
    for name in (NAME, OTHER):
        cells = f"'{name}', 'Y', 'N', X'{csr([name]).hex()}'"
        database.execute(f"INSERT INTO certs (name, enable, certbot, csr) VALUES ({cells})")  # noqa: S608
    monkeypatch.setattr(seals, "_AT_ONCE", 1)
    kept, calls = seals.put_seal, itertools.count()

    def put_seal(*words: Any) -> None:
        if next(calls):
            raise StoreError("the database is gone")
        kept(*words)

    with monkeypatch.context() as patched:
        patched.setattr(seals, "put_seal", put_seal)
        box.fails("db", "upgrade", says=["the database is gone"])
    assert unsealed(box) == {NAME, OTHER}
    assert "2 sealed as listed" in box.ok("db", "upgrade").out


def test_an_upgrade_seals_no_order(database: Database, tmp_path: Path) -> None:
    """Who writes the database plants one, and names a revision of before there were seals."""
    box = Box(tmp_path / "box", database)
    box.set_up()
    cells = "name, active_name, state, directory, url, created_at, updated_at"
    order = f"'{NAME}', '{NAME}', 'ORDERED', 'https://ca.example/dir', 'https://thief.example/order', 1, 1"
    database.execute(f"INSERT INTO orders ({cells}) VALUES ({order})")  # noqa: S608
    database.execute("ALTER TABLE orders DROP COLUMN seal")
    database.execute("UPDATE alembic_version SET version_num = '0017'")
    box.ok("db", "upgrade")
    store = opened(database)
    [left] = Orders(store, "us", Seals(box.state_dir)).under_way(2)
    assert not left.sealed
    store.close()


KILLED = {
    "populate": ("populate", NAME, "--enable", "--csr", "-"),
    "replace": ("populate", "--replace", OTHER, "--csr", "-"),
    "adopt": ("adopt", "--all", "--yes"),
    "remove": ("remove", OTHER, "--yes"),
}


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("step", "when"),
    [
        ("issuer.store.seals:put_seal", "after"),  # before it is the same transaction
        ("issuer.trust.memory:Memory.remember", "before"),
        ("issuer.trust.memory:Memory.remember", "after"),
    ],
    ids=["put_seal-after", "remember-before", "remember-after"],
)
@pytest.mark.parametrize("command", KILLED)
def test_a_kill_between_row_and_seal(lone_box: Box, command: str, step: str, when: str) -> None:
    """Row and seal are there together or not at all, and the same command once more gets to its end. What was enrolled
    before is never lost, and what somebody else wrote never becomes sealed by it."""
    lone_box.populate(OTHER)
    lone_box.populate("adopted.lab.test")
    write_csr(lone_box, csr(["adopted.lab.test"], number=3), "adopted.lab.test")
    words = KILLED[command]
    if "-" in words:
        name = NAME if command == "populate" else OTHER
        words = (*words[:-1], str(lone_box.put_csr(name, csr([name], number=4))))
    place = step if step.endswith("remember") else f"issuer.store.{_writer(command)}:put_seal"
    if command == "remove":
        place = place.replace("remember", "bury")
    died = killed_run(lone_box, place, when, 1, words) == -signal.SIGKILL
    assert died or (command, place) == ("remove", "issuer.store.seals:put_seal")
    sealed = command == "adopt" and step.endswith("remember")
    assert unsealed(lone_box) == (set() if sealed else {"adopted.lab.test"})
    lone_box.run(*words)
    lone_box.run("adopt", "adopted.lab.test", "--yes")
    assert unsealed(lone_box) == set()
    names = {name for (name,) in lone_box.database.query("SELECT name FROM certs")}
    expected = {"populate": {NAME, OTHER}, "remove": set()}.get(command, {OTHER})
    assert names == expected | {"adopted.lab.test"}


def _writer(command: str) -> str:
    """Where the seal is put, as the module names it that calls."""
    return {"populate": "certificates", "replace": "changes"}.get(command, "seals")
