"""A fault of a stored certificate that a new one cures: it is replaced unasked, once for each kind, and told."""

from collections.abc import Sequence
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from common.errors import Finding
from common.revocation.state import Revocation
from issuer.check.revocation import nobody_asked
from issuer.loops.audit import audit_due
from issuer.model.config import RenewalSettings
from issuer.model.enrolment import Enrolment
from issuer.model.errors import NotAudited
from issuer.model.events import Event, EventKind, audit_well
from issuer.model.outcomes import Ended, Ending
from issuer.model.watch import Watch
from issuer.rules.audit import AUDIT_EVERY
from issuer.rules.due import urgency
from tests.issuer.fakes.audits import MemoryAudits
from tests.issuer.fakes.world import NAME, World

POLICY = RenewalSettings()


@pytest.fixture
def faulty() -> World:
    """A certificate that is no server's, from a CA that has mended that since."""
    world = World()
    world.enrol()
    world.ca.usage = ExtendedKeyUsageOID.CLIENT_AUTH
    assert world.process().run()[NAME].ending is Ending.STORED
    world.ca.usage = ExtendedKeyUsageOID.SERVER_AUTH
    world.forget_what_was()
    return world


GOOD = Revocation(("http://crl",), available=True, revoked=False, by="http://crl.example/1")
UNKNOWN = Revocation(("http://crl",), problems=(Finding("http://crl", "no answer"),))


def revoked(reason: str = "superseded") -> Revocation:
    return Revocation(("http://crl",), True, True, 1, reason, by="http://crl.example/1")


def run(world: World, *, is_ours: bool = True, says: Revocation | None = None) -> dict[str, Ended]:
    """As `run` does: the audit first, then what is due. The CA *says* that of every certificate."""
    audit(world, is_ours=is_ours, says=says)
    return world.process().run()


def audit(world: World, *, is_ours: bool = True, says: Revocation | None = None) -> None:
    def ours(_row: Enrolment) -> bool:
        return is_ours

    def asked(rows: Sequence[Enrolment], now: int) -> list[Revocation]:
        return nobody_asked(rows, now) if says is None else [says] * len(rows)

    told: list[Event] = []
    audit_due(
        MemoryAudits(world.tables),
        POLICY,
        int(world.clock()),
        tell=told.append,
        is_ours=ours,
        revocations=asked,
        is_stranger=lambda _: False,
    )
    world.events += told


def test_it_is_replaced_unasked_and_then_well(faulty: World) -> None:
    """In the same run, with the reason; the next one finds nothing."""
    ended = run(faulty)[NAME]
    assert (ended.ending, len(faulty.ca.opened)) == (Ending.STORED, 1)
    [event] = faulty.events
    assert (event.kind, event.told.what) == (EventKind.AUDIT, "its extended key usage is without serverAuth")
    assert run(faulty) == {}
    watch = faulty.row().watch
    assert (watch.found, watch.served) == (frozenset(), frozenset())
    assert [event.kind for event in faulty.events] == [EventKind.AUDIT, EventKind.AUDIT_WELL]


def test_a_new_one_with_the_same_fault_is_not_ordered_daily(faulty: World) -> None:
    """One replacing for the kind. It stays told; once it is mended, the same fault is replaced again."""
    faulty.ca.usage = ExtendedKeyUsageOID.CLIENT_AUTH
    for _ in range(5):
        run(faulty)
        faulty.clock.wait_until(faulty.clock() + AUDIT_EVERY)
    assert len(faulty.ca.opened) == 1
    assert "ask the CA" in faulty.events[-1].told.hint
    faulty.ca.usage = ExtendedKeyUsageOID.SERVER_AUTH
    faulty.change(reissue_reason="by hand", due_at=None)
    run(faulty)
    run(faulty)
    faulty.ca.usage = ExtendedKeyUsageOID.CLIENT_AUTH
    faulty.change(reissue_reason="by hand", due_at=None)
    run(faulty)
    assert len(faulty.ca.opened) == 3
    faulty.ca.usage = ExtendedKeyUsageOID.SERVER_AUTH
    assert run(faulty)[NAME].ending is Ending.STORED


def test_what_is_new_and_what_is_over(faulty: World) -> None:
    """A kind that the audit before had not found is worse; none of what it had found is an end, told once."""
    until = int(faulty.clock()) + 99 * AUDIT_EVERY
    faulty.change(watch=Watch(muted_until=until, no_replacing=True))
    for _ in range(2):
        audit(faulty)
        faulty.clock.wait_until(faulty.clock() + AUDIT_EVERY)
    faulty.change(watch=Watch(muted_until=until, no_replacing=True, found=frozenset({"weak-signature", "revoked"})))
    audit(faulty)
    assert [(event.kind, event.worse) for event in faulty.events] == [(EventKind.AUDIT, worse) for worse in (1, 0, 1)]
    faulty.change(reissue_reason="by hand", due_at=None)
    faulty.process().run()
    faulty.events.clear()
    for _ in range(2):
        audit(faulty)
        faulty.clock.wait_until(faulty.clock() + AUDIT_EVERY)
    faulty.change(watch=Watch(found=frozenset({"expires-soon", "revoked"})))
    audit(faulty)
    assert [event.kind for event in faulty.events] == [EventKind.AUDIT_WELL]


@pytest.mark.parametrize("left_alone", ["muted", "disabled", "imported", "not ours"])
def test_what_is_left_alone(faulty: World, left_alone: str) -> None:
    """A row that a person muted, disabled or imported, and one that is not what was enrolled."""
    until = int(faulty.clock()) + 9999
    changes: dict[str, dict[str, Any]] = {
        "muted": {"watch": Watch(muted_until=until, no_replacing=True)},
        "disabled": {"enabled": False},
        "imported": {"imported": True},
        "not ours": {},
    }
    faulty.change(**changes[left_alone])
    assert run(faulty, is_ours=left_alone != "not ours") == {}
    assert faulty.ca.opened == []


def test_a_mute_ends(faulty: World) -> None:
    until = int(faulty.clock()) + 9999
    faulty.change(watch=Watch(muted_until=until, no_replacing=True))
    assert run(faulty) == {}
    faulty.clock.wait_until(until)
    assert run(faulty)[NAME].ending is Ending.STORED


def test_a_revoked_one_is_replaced_at_once(faulty: World) -> None:
    """It is news of its own beside the other fault; the new certificate is asked about anew."""
    assert run(faulty, says=revoked())[NAME].ending is Ending.STORED
    assert [(event.kind, event.told.what) for event in faulty.events] == [
        (EventKind.REVOKED, "its CA has revoked it (superseded), says crl.example"),
        (EventKind.AUDIT, "its extended key usage is without serverAuth"),
    ]
    assert run(faulty, says=UNKNOWN) == {}
    assert run(faulty, says=GOOD) == {}
    assert (len(faulty.ca.opened), faulty.row().watch.found) == (1, frozenset())


@pytest.mark.parametrize("says", [UNKNOWN, GOOD, None])
def test_a_ca_without_an_answer_is_asked_again_by_the_next_daily_run(faulty: World, says: Revocation | None) -> None:
    """Else a certificate would count as not revoked for a week, because its list was away for a minute."""
    run(faulty)
    audit(faulty, says=says)
    audited_at = faulty.row().watch.audit_at
    assert audited_at is not None
    assert (audited_at < faulty.clock() + 86400) is (says is UNKNOWN)


def test_a_revoked_one_comes_before_all_others(faulty: World) -> None:
    """Also before one that expires sooner, or that the CA wants replaced; until the new one is stored."""
    now = int(faulty.clock())
    faulty.enrol("other.example.test")
    incident = {"ari_at": now - 2, "ari_window": (now - 9, now - 1), "ts_expire": now + 9}
    faulty.change("other.example.test", **incident)
    audit(faulty, says=revoked())
    rows = sorted(map(faulty.row, (NAME, "other.example.test")), key=lambda row: urgency(row, now))
    assert [row.name for row in rows] == [NAME, "other.example.test"]
    assert faulty.process().run()[NAME].ending is Ending.STORED
    assert urgency(faulty.row(), now)[0]  # and is no longer before others


def test_what_nobody_answers_changes_nothing(faulty: World) -> None:
    """Unknown is no finding, and it does not end what the CA has said; good does."""
    faulty.change(reissue_reason="by hand", due_at=None)
    run(faulty)
    faulty.forget_what_was()
    faulty.events.clear()
    assert run(faulty, says=UNKNOWN) == {}
    assert (faulty.row().watch.found, faulty.events) == (frozenset(), [audit_well(NAME)])
    for says, found in ((revoked(), {"revoked"}), (UNKNOWN, {"revoked"}), (GOOD, set())):
        faulty.clock.wait_until(faulty.clock() + AUDIT_EVERY)
        audit(faulty, says=says)
        assert faulty.row().watch.found == found


def test_a_key_that_the_ca_calls_known_wants_another(faulty: World) -> None:
    audit(faulty, says=revoked("keyCompromise"))
    [event] = [one for one in faulty.events if one.kind is EventKind.REVOKED]
    assert "make a new key and CSR" in event.told.hint
    assert faulty.row().watch.found >= {"revoked", "key-compromised"}


def test_rows_that_nobody_enrolled_are_not_looked_at(faulty: World) -> None:
    """Nobody is asked whether they are revoked: there may be any number of them, and who wrote them chose the URLs."""
    told: list[Event] = []

    def nobody(rows: Sequence[Enrolment], _now: int) -> list[Revocation]:
        assert not rows
        return []

    store, now = MemoryAudits(faulty.tables), int(faulty.clock())
    audit_due(store, POLICY, now, tell=told.append, is_ours=bool, revocations=nobody, is_stranger=bool)
    assert (told, faulty.row().watch.found) == ([], frozenset())


def test_a_fault_of_ours_at_one_certificate_stops_no_other(faulty: World) -> None:
    """It is named at the end, keeps what was known of it, and is looked at again by the next daily run."""
    other, now, met = "other.example.test", int(faulty.clock()), list[str]()
    run(faulty)
    faulty.enrol(other)
    assert faulty.process().run()[other].ending is Ending.STORED
    faulty.change(other, watch=Watch(found=frozenset({"chain"}), served=frozenset({"chain"})))

    def ours(row: Enrolment) -> bool:
        met.append(row.name)
        raise ZeroDivisionError("a fault")

    store, told = MemoryAudits(faulty.tables), list[Event]()
    for name in (NAME, other):
        faulty.change(name, crt=faulty.row(name).crt, ca=b"")  # its chain is empty now
    with pytest.raises(NotAudited, match=f"not audited: {NAME}"):
        audit_due(
            *(store, POLICY, now),
            tell=told.append,
            is_ours=ours,
            revocations=nobody_asked,
            is_stranger=lambda _: False,
        )
    assert (met, [event.name for event in told]) == ([NAME], [other])
    watch = faulty.row().watch
    assert watch.audit_at is not None
    assert now < watch.audit_at < now + 86400
