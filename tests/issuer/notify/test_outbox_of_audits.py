"""What people hear of the audit: once when it begins, again when it gets worse, and when it is over."""

import sqlalchemy as sa

from issuer.model import events
from issuer.model.audit import Finding, Kind, Severity
from issuer.model.events import Event
from issuer.store.tables import certs
from tests.issuer.notify.outbox_world import NAME, World


def found(*, worse: bool = False) -> Event:
    return events.audited(NAME, [Finding(NAME, Kind.CHAIN, Severity.CRITICAL, "out of order")], worse=worse)


def change(world: World, **values: object) -> None:
    world.database.write(lambda connection: connection.execute(sa.update(certs).values(**values)))


FAULT = [f"certfleet: {NAME} has a fault on box"]
NO_FAULT = [f"certfleet: {NAME} has no fault any more on box"]


def test_a_fault_that_lasts_is_told_once(world: World) -> None:
    """Each audit finds it, and so does that of each new certificate; an end is told after an audit without it."""
    assert world.hear(found()) == FAULT
    for _ in range(2):
        assert world.hear(found()) == []
        assert world.hear(events.recovered(NAME)) == []
    assert world.hear(events.audit_well(NAME)) == NO_FAULT
    assert world.hear(events.audit_well(NAME)) == []
    assert world.hear(found()) == FAULT


def test_a_worse_one_is_told_at_once(world: World) -> None:
    """Although people have heard of a fault of that certificate before."""
    assert world.hear(found()) == FAULT
    assert world.hear(found(worse=True)) == FAULT
    assert world.hear(found()) == []


def test_a_failure_is_not_over_with_a_fault(world: World) -> None:
    """Nor the other way round: each has its own end."""
    failed = events.failed(NAME, found().told)
    assert world.hear(found(), failed) == ["certfleet: 1 certificate failed, 1 has a fault on box"]
    assert world.hear(events.audit_well(NAME)) == NO_FAULT
    assert world.hear(failed) == []
    assert world.hear(events.recovered(NAME)) == [f"certfleet: {NAME} recovered on box"]


def test_what_the_same_run_has_cured_is_not_told(world: World) -> None:
    """Nor its end, which the audit of the new certificate finds; one that it has too is told then."""
    assert world.hear(found(worse=True), events.recovered(NAME)) == []
    assert world.hear(events.audit_well(NAME)) == []
    assert world.hear(found(worse=True), events.recovered(NAME)) == []
    assert world.hear(found()) == FAULT


def test_a_certificate_that_another_issuer_stored_ends_no_fault(world: World) -> None:
    """A worse one, of which no mail went out yet, is kept too."""
    assert world.hear(found()) == FAULT
    change(world, ts_last_update=int(world.now))
    world.post.down = True
    assert world.hear(found(worse=True)) == []
    world.post.down = False
    assert world.hear() == FAULT
    assert world.hear() == []


def test_what_gets_worse_in_a_mute_is_told_after_it(world: World) -> None:
    """The audit finds it as before then."""
    assert world.hear(found()) == FAULT
    change(world, mute="mails", mute_until=int(world.now) + 7000)
    assert world.hear(found(worse=True)) == world.hear(found()) == []
    assert world.hear(found()) == FAULT


def test_a_run_that_is_killed_while_it_orders_loses_no_fault(world: World) -> None:
    """What the audit found is saved in the row before anything is ordered, so no later run tells it as news."""
    assert world.hear(found()) == FAULT
    killed = world.another_outbox()
    killed.tell(found(worse=True))
    killed.send_urgent()
    assert world.hear() == FAULT
