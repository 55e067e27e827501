"""What Seals promises, and what the issuer's memory of them keeps."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from common.errors import ConfigError, FileError
from issuer.journey.ports import Seals
from issuer.model.enrolment import Change, Enrolment, Validation, change_scope
from issuer.model.orders import Cause, OrderRecord, OrderState
from issuer.model.seal import Sealed
from issuer.model.seal_faults import Fault
from issuer.model.unapproved import Unapproved
from issuer.rules.acceptance import Past
from issuer.rules.change import newest
from issuer.trust import seals as trust
from issuer.trust.memory import Memory, Stated
from tests.issuer.fakes.seals import MemorySeals
from tests.issuer.signing_requests import csr

NAME, OTHER = "www.example.test", "shop.example.test"
NOW = 1_800_000_000
ROW = Enrolment(NAME, True, Validation(), csr([NAME]), b"", b"", 1, 1, 0, None, "")


@dataclass
class Ground:
    """*seal*: a row as an operator enrolled it. *spoil*: that row, as somebody else has changed it."""

    seals: Seals
    seal: Callable[[Enrolment], Enrolment]
    spoil: Callable[[Enrolment], Enrolment]


@pytest.fixture(params=["memory", "key"])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Ground:
    if request.param == "key":
        real = issuer(tmp_path)
        return Ground(real, lambda row: sealed(row, real), lambda row: dataclasses.replace(row, csr=csr([OTHER])))
    fake = MemorySeals()

    def spoil(row: Enrolment) -> Enrolment:
        fake.broken[row.name] = [Fault.KEY, Fault.NAMES]
        return row

    return Ground(fake, lambda row: row, spoil)


def issuer(folder: Path) -> trust.Seals:
    """An issuer with a seal key in *folder*."""
    file = trust.key_file(folder)
    if not file.exists():
        trust.create_key(file)
    return trust.Seals(folder)


def sealed(row: Enrolment, seals: trust.Seals, now: int = NOW) -> Enrolment:
    """*row* and its change, sealed as `populate` does."""
    seal = seals.seal(Sealed.of(row, seals.number(row.name, now)))
    change = row.change
    if change is not None:
        number = seals.number(row.name, now, change=True)
        change = dataclasses.replace(change, seal=seals.seal(Sealed.of(newest(row), number)))
        seals.remember({change_scope(row.name): change.seal})
    seals.remember({row.name: seal})
    return dataclasses.replace(row, seal=seal, change=change)


def test_what_was_enrolled(ground: Ground) -> None:
    """It has no fault; what somebody made of it has; the row of another name is not touched by that."""
    row = ground.seal(ROW)
    other = ground.seal(dataclasses.replace(ROW, name=OTHER))
    assert list(ground.seals.faults(row)) == []
    assert Fault.NAMES in ground.seals.faults(ground.spoil(row))
    assert list(ground.seals.faults(other)) == []


def test_a_change_takes_the_place_of_its_row(ground: Ground) -> None:
    """Both are as enrolled before, and the row with the seal of its change is after."""
    row = ground.seal(dataclasses.replace(ROW, change=Change(csr([NAME], number=1), 0)))
    changing = newest(row)
    assert list(ground.seals.faults(row)) == list(ground.seals.faults(changing)) == []
    ground.seals.taken(changing)
    after = dataclasses.replace(row, csr=changing.csr, seal=changing.seal, change=None)
    assert list(ground.seals.faults(after)) == []


def test_a_certificate_that_waits_for_approval(ground: Ground) -> None:
    """The line about it counts as an issuer wrote it, for its own name."""
    content = Unapproved(NAME, "ab" * 32, NOW, "https://ca.test/dir", "account", "", False, True)
    line = ground.seals.seal(content)
    row = dataclasses.replace(ROW, unapproved=line)
    assert ground.seals.unapproved(row) == row.waiting == content
    later = line.replace(str(NOW), str(NOW + 1))
    forged = (" ".join(("key", "forged", later.split(" ", 2)[2])), "garbage", "")
    for line in forged:
        assert ground.seals.unapproved(dataclasses.replace(ROW, unapproved=line)) is None
    assert ground.seals.unapproved(dataclasses.replace(row, name=OTHER)) is None


@pytest.fixture
def seals(tmp_path: Path) -> trust.Seals:
    return issuer(tmp_path)


def test_what_was_before_a_change_counts_no_more(seals: trust.Seals) -> None:
    """Neither the earlier row, put back with its seal, nor the change once more; nor one that was dropped."""
    row = sealed(dataclasses.replace(ROW, change=Change(csr([NAME], number=1), 0)), seals)
    seals.taken(newest(row))
    assert seals.faults(dataclasses.replace(row, change=None)) == [Fault.OLD]
    assert seals.faults(newest(row)) == [Fault.OLD]
    again = sealed(dataclasses.replace(ROW, change=Change(csr([NAME], number=2), 0)), seals)
    assert seals.faults(newest(again)) == []
    seals.dropped(NAME)
    assert seals.faults(newest(again)) == [Fault.OLD]
    assert seals.faults(again) == []


@pytest.mark.parametrize(
    ("seal", "fault"),
    [
        (lambda seal: "", Fault.NONE),
        (lambda seal: "x", Fault.OTHER_SEAL_KEY),
        (lambda seal: " ".join(("00000000", *seal.split(" ", 2)[1:])), Fault.OTHER_SEAL_KEY),
        (lambda seal: seal.split(" ")[0], Fault.FORGED),
        (lambda seal: seal.replace("false", "true"), Fault.FORGED),
        (lambda seal: seal.replace(NAME, OTHER), Fault.FORGED),
        (lambda seal: " ".join((seal.split(" ")[0], "é", seal.split(" ", 2)[2])), Fault.FORGED),
        (lambda seal: f"{seal} ", Fault.FORGED),
    ],
    ids=["none", "garbage", "other key", "no mac", "content", "name", "not hex", "more"],
)
def test_a_seal_that_is_none(seals: trust.Seals, seal: Callable[[str], str], fault: Fault) -> None:
    """Not a character of it may be another one."""
    row = sealed(ROW, seals)
    assert seals.faults(dataclasses.replace(row, seal=seal(row.seal))) == [fault]


def test_an_order_in_the_hands_of_a_person_is_sealed_so(seals: trust.Seals) -> None:
    """Else who writes the database would keep any order from being gone on with, by a deadline that he renews."""
    ordinary = OrderRecord(1, "www.example.test", OrderState.ORDERED, "https://ca.example/dir", 1, deadline=9)
    by_hand = dataclasses.replace(ordinary, cause=Cause.BY_HAND)
    for written, other in ((ordinary, by_hand), (by_hand, ordinary)):
        seal = seals.of_order(written)
        assert (seals.wrote(written, seal), seals.wrote(other, seal)) == (True, False)


def test_two_issuers(tmp_path: Path) -> None:
    """With one key, what the one seals the other takes, and remembers; with two keys it says so."""
    for folder in ("one", "two", "stranger"):
        (tmp_path / folder).mkdir()
    one = issuer(tmp_path / "one")
    trust.key_file(tmp_path / "two").write_bytes(trust.key_file(tmp_path / "one").read_bytes())
    trust.key_file(tmp_path / "two").chmod(0o600)
    two, stranger = issuer(tmp_path / "two"), issuer(tmp_path / "stranger")
    before, after = sealed(ROW, one), sealed(ROW, one)
    assert two.faults(before) == two.faults(after) == []
    assert one.faults(before) == two.faults(before) == [Fault.OLD]
    assert stranger.faults(after) == [Fault.OTHER_SEAL_KEY]
    assert stranger.key_id != one.key_id == two.key_id
    tombstone = one.tombstone(NAME, NOW)
    assert not stranger.bury(NAME, tombstone)
    assert not two.bury(OTHER, tombstone)
    assert two.bury(NAME, tombstone)
    assert not two.bury(NAME, tombstone)
    assert two.memory.names() == set()
    assert two.faults(after) == [Fault.OLD]
    assert two.faults(sealed(ROW, two)) == []
    assert not two.bury(NAME, tombstone), "the name was enrolled anew since"


def test_a_compromised_key_stays_so(seals: trust.Seals) -> None:
    """For its own name, and unless the table says it too: then the table's own sentence is better."""
    row = sealed(ROW, seals)
    seals.memory.remember_revoked(NAME, row.key_sha256)
    assert seals.faults(row) == [Fault.COMPROMISED]
    assert seals.faults(dataclasses.replace(row, compromised=frozenset([row.key_sha256]))) == []
    assert seals.faults(sealed(dataclasses.replace(ROW, name=OTHER), seals)) == []


@pytest.mark.parametrize("content", [None, b"", b"zz", b"00" * 31, "é".encode()], ids=str)
def test_a_key_that_is_none(tmp_path: Path, content: bytes | None) -> None:
    """It is never made anew unasked."""
    if content is not None:
        trust.key_file(tmp_path).touch(0o600)
        trust.key_file(tmp_path).write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        trust.Seals(tmp_path).faults(dataclasses.replace(ROW, seal="x"))
    assert "adopt --all" in caught.value.hint


def test_the_memory_is_shared_by_processes(tmp_path: Path) -> None:
    """Two at once, and the next one; it only grows, and holds nothing that others may not write down."""
    one, other = Memory(tmp_path / "sealed.db"), Memory(tmp_path / "sealed.db")
    one.remember({NAME: 5, change_scope(NAME): 6})
    other.remember({NAME: 4, OTHER: 1})
    other.remember_stated(NAME, "key", 7, "aa", 100)
    one.remember_stated(NAME, "key", 6, "bb", 50)
    third = Memory(tmp_path / "sealed.db")
    assert [third.newest(scope) for scope in (NAME, change_scope(NAME), OTHER, "none")] == [5, 6, 1, 0]
    assert (third.stated(NAME), third.stated(OTHER)) == (Stated("key", 7, "aa"), None)
    third.remember_stated(NAME, "another key", 1, "cc", 60)
    assert one.stated(NAME) == Stated("another key", 1, "cc")
    one.remember_stored(NAME, "dd", 70)
    other.remember_revoked(NAME, "bb", "key")
    assert third.past(NAME) == Past(frozenset(("aa", "bb", "cc", "dd")), frozenset(("bb", "key")), (100, 50, 60, 70))
    assert third.past(OTHER) == Past()
    for moment in (1, 90_000.25, 90_000.75, 90_001):
        one.remember_ordered(OTHER, moment)  # those of a day before are forgotten
    assert (third.past(OTHER).ordered, third.past(NAME).ordered) == ((90_000, 90_000, 90_001), ())
    third.forget_ordered([NAME, OTHER])
    assert one.past(OTHER) == Past()
    one.remember_signed(NAME, "another key", 9, "ee")
    assert [third.given(NAME, keys) for keys in (("another key",), ("key", "another key"), ("key",))] == [9, 9, 0]
    one.remember_stored(NAME, "ff", 80)  # without a statement
    assert third.stated(NAME) == Stated("another key", 1, "cc")
    one.remember_stored(NAME, "ee", 90)
    assert third.stated(NAME) == Stated("another key", 9, "ee")
    assert third.names() == {NAME, OTHER}
    third.bury(OTHER, 2)
    assert one.names() == {NAME}
    other.remember({OTHER: 3})
    assert one.names() == {NAME, OTHER}
    assert (tmp_path / "sealed.db").stat().st_mode & 0o777 == 0o600


def test_a_memory_that_cannot_be_used(tmp_path: Path) -> None:
    """Nothing is believed without it: each method says so."""
    file = tmp_path / "sealed.db"
    file.write_text("no database at all, and longer than its header" * 9)
    for ask in (
        lambda: Memory(file).newest(NAME),
        lambda: Memory(file).names(),
        lambda: Memory(file).stated(NAME),
        lambda: Memory(file).given(NAME, ["key"]),
        lambda: Memory(file).past(NAME),
    ):
        with pytest.raises(FileError, match="cannot use"):
            ask()
