"""A fault of a stored certificate that a new one cures: it is replaced unasked, once for each kind, and told."""

from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from issuer.loops.audit import Auditor
from issuer.model.config import RenewalSettings
from issuer.model.enrolment import Enrolment
from issuer.model.events import Event, EventKind
from issuer.model.outcomes import Ended, Ending
from issuer.model.watch import Watch
from issuer.rules.audit import AUDIT_EVERY
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


def run(world: World, *, is_ours: bool = True) -> dict[str, Ended]:
    """As `run` does: the audit first, then what is due."""

    def ours(_row: Enrolment) -> bool:
        return is_ours

    told: list[Event] = []
    Auditor(MemoryAudits(world.tables), POLICY, told.append, ours).audit_due(int(world.clock()))
    world.events += told
    return world.process().run()


def test_it_is_replaced_unasked_and_then_well(faulty: World) -> None:
    """In the same run, with the reason; the next one finds nothing."""
    ended = run(faulty)[NAME]
    assert (ended.ending, len(faulty.ca.opened)) == (Ending.STORED, 1)
    [event] = faulty.events
    assert (event.kind, event.what) == (EventKind.AUDIT, "its extended key usage is without serverAuth")
    assert run(faulty) == {}
    watch = faulty.row().watch
    assert (watch.found, watch.served, len(faulty.events)) == (frozenset(), frozenset(), 1)


def test_a_new_one_with_the_same_fault_is_not_ordered_daily(faulty: World) -> None:
    """One replacing for the kind. It stays told; once it is mended, the same fault is replaced again."""
    faulty.ca.usage = ExtendedKeyUsageOID.CLIENT_AUTH
    for _ in range(5):
        run(faulty)
        faulty.clock.wait_until(faulty.clock() + AUDIT_EVERY)
    assert len(faulty.ca.opened) == 1
    assert "ask the CA" in faulty.events[-1].hint
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
