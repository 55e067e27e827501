"""A renewal that comes from another CA: people hear of it once, and the history keeps it."""

import pytest

from issuer.model.errors import StoreError
from issuer.model.events import EventKind
from issuer.model.outcomes import Ending
from tests.issuer.fakes.calls import Call, raising
from tests.issuer.fakes.clock import NOW
from tests.issuer.fakes.world import NAME, World
from tests.servers.authority import Authority, asked_at

DAY = 86400


@pytest.fixture
def aged() -> World:
    """Two certificates, due for renewal."""
    world = World()
    world.enrol()
    world.enrol("other.example.test")
    world.process().run()
    world.clock.wait_until(NOW + 85 * DAY)
    world.forget_what_was()
    return world


def renewed_by(world: World, authority: Authority) -> list[str]:
    """Renew everything with this authority; the reasons that people hear."""
    world.ca.signer = authority
    process = world.process()
    assert {ended.ending for ended in process.run().values()} == {Ending.STORED}
    return [event.told.why for event in world.events if event.kind is EventKind.CA_CHANGED]


def test_the_same_ca_is_no_news(aged: World) -> None:
    """Neither for people nor in the history."""
    assert renewed_by(aged, Authority("Memory Root").intermediate("Memory CA")) == []
    assert aged.tables.news == []


def test_another_intermediate_is_told_once_and_kept_in_the_history(aged: World) -> None:
    """For the first certificate that comes from it, with the hosts that have to be reached; not for the next ones."""
    authority = Authority("Memory Root").intermediate("Next CA")
    authority.added = asked_at(crl="http://next.c.example.net/1.crl")
    [why] = renewed_by(aged, authority)
    assert why == "issuer Memory CA → Next CA; hosts that servers and clients must now reach: next.c.example.net:80"
    [(name, kept)] = aged.tables.news
    assert name in (NAME, "other.example.test")
    assert why in kept


def test_another_root_is_told_for_each(aged: World) -> None:
    """Trust stores differ by host: each certificate that changes its root is named."""
    assert renewed_by(aged, Authority("Other Root").intermediate("Memory CA")) == [
        "root Memory Root → Other Root",
        "root Memory Root → Other Root",
    ]


def test_a_question_that_fails_costs_no_certificate(aged: World) -> None:
    """The database is away for the look at earlier certificates: the same order goes on."""
    aged.ca.signer = Authority("Memory Root").intermediate("Next CA")
    process = aged.process()
    process.calls.before(Call("certificates.last_from"), raising(StoreError("the database is away")))
    process.run()
    opened = len(aged.ca.opened)
    aged.clock.wait_until(NOW + 86 * DAY)
    aged.process().run()
    assert len(aged.ca.opened) == opened
    assert {name for name, _ in aged.tables.versions} == {NAME, "other.example.test"}
