"""What an attempt would do, in a world in memory: nothing in it changes, and the attempt itself does the same."""

import dataclasses
from collections.abc import Callable

import pytest

from issuer.journey.pacing import Pacing
from issuer.journey.ports import Tools
from issuer.journey.rehearsal import (
    RehearsedCertificates,
    RehearsedCounts,
    RehearsedOrders,
    Verdict,
    rehearse,
)
from issuer.model.config import CaSettings
from issuer.model.errors import DnsError
from issuer.model.failure import Failure
from issuer.model.limits import CaLimits, Limit
from issuer.model.orders import Cause, new_order
from issuer.model.outcomes import Ending
from issuer.model.seal_faults import Fault
from issuer.rules.findings import bad
from tests.issuer.fakes.calls import Call, Killed, raising
from tests.issuer.fakes.clock import NOW
from tests.issuer.fakes.orders import MemoryCounts, MemoryOrders
from tests.issuer.fakes.world import CA, NAME, Process, World
from tests.issuer.journey.scenes import SCENES, renewal

_READ = {"get", "enrolled", "due", "under_way", "until", "place", "type", "patience", "directory", "account_id"}
_READ |= {"renewal_info", "caa_identities", "offers_renewal_info", "propagation"}


def rehearsing(process: Process, limits: CaLimits | None = None) -> Tools:
    """The tools of *process* with the stores of a rehearsal."""
    tools, tables = process.tools, process.world.tables
    leased = {row.record.name for row in tables.orders.values() if row.active and not row.free(NOW)}
    orders = RehearsedOrders(tools.orders.under_way(int(tools.clock())), leased)
    counts = RehearsedCounts(MemoryCounts(tables), orders)
    pacing = {each: Pacing(each, limits or CaSettings(each).limits, counts) for each in tools.authorities}
    certificates = RehearsedCertificates(tools.certificates)
    return dataclasses.replace(tools, certificates=certificates, orders=orders, pacing=pacing)


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_it_tells_what_comes_and_changes_nothing(scene: Callable[[], World]) -> None:
    """Ordered, from which CA, by which way, in which place; no call that writes, and the run after it does so."""
    world = scene()
    process, tables = world.process(), world.tables
    before = [dict(table) for table in (tables.certs, tables.orders, tables.challenges)]
    [name] = world.tables.certs
    found = rehearse(world.row(name), rehearsing(process))
    assert (found.verdict, found.directory) == (Verdict.ORDERED, CA)
    others = {"first_by_http": "http-01", "first_by_both": "http-01 and dns-01", "first_by_records": "dns-persist-01"}
    assert found.way == others.get(scene.__name__, "dns-01")
    assert all(found.places)
    assert {call.method.partition(".")[2] for call in process.calls.made} <= _READ
    assert [tables.certs, tables.orders, tables.challenges] == before
    assert world.published == set()
    assert process.run()[name].ending is Ending.STORED


def test_why_it_is_ordered() -> None:
    """The first one, or a renewal by the window of its CA, which is asked for it."""
    for scene, words in (("first_by_dns", "first certificate"), ("renewal", "the window that the CA suggests (ARI)")):
        world = SCENES[scene]()
        assert rehearse(world.row(), rehearsing(world.process())).why == words


def test_what_a_person_wants_is_due() -> None:
    """Also where the certificate is valid for long."""
    world = World()
    world.enrol()
    process = world.process()
    process.run()
    tools = rehearsing(process)
    assert rehearse(world.row(), tools).verdict is Verdict.NOT_DUE
    tools.certificates.request_reissue([NAME], "asked for by hand")
    [row] = tools.certificates.get([NAME])
    found = rehearse(row, tools)
    assert (found.verdict, found.why) == (Verdict.ORDERED, "asked for by hand")
    assert world.row().reissue_reason == ""


def test_what_would_be_held_or_fail_or_is_elsewhere() -> None:
    """With the reason, and the moment of a hold."""
    world = World()
    held, broken, busy = (world.enrol(f"{word}.example.test") for word in ("held", "broken", "busy"))
    process = world.process()
    process.tools.holds.add(world.ca.account_id, held, NOW + 60, Failure("too many"), NOW)
    world.change(broken, csr=b"damaged")
    MemoryOrders(world.tables, "another").open(new_order(busy, CA, NOW, Cause.FIRST), [])
    tools = rehearsing(process)
    found = {name: rehearse(world.row(name), tools) for name in (held, broken, busy)}
    assert [one.verdict for one in found.values()] == [Verdict.HELD, Verdict.FAILED, Verdict.ELSEWHERE]
    assert (found[held].until, str(found[held].failure)) == (NOW + 60, "too many")
    assert "not usable" in str(found[broken].failure)
    assert [one.well for one in found.values()] == [False, False, True]


def test_a_dead_name_server_is_met_before_an_order() -> None:
    """The place of the answer is looked up as in earnest."""
    world = World()
    world.enrol()
    process = world.process()
    process.calls.before(Call("zone.place"), raising(DnsError("no answer")))
    found = rehearse(world.row(), rehearsing(process))
    assert (found.verdict, str(found.failure)) == (Verdict.FAILED, "no answer")


@pytest.mark.parametrize(
    "limits",
    [
        CaLimits(new_orders=Limit(2, 3600)),
        CaLimits(per_domain=Limit(2, 3600)),
    ],
)
def test_orders_of_the_same_rehearsal_count(limits: CaLimits) -> None:
    """Of three new names two fit into the CA's limit; the third would wait for room."""
    world = World()
    names = [world.enrol(f"w{number}.example.test") for number in range(3)]
    tools = rehearsing(world.process(), limits)
    verdicts = [rehearse(world.row(name), tools).verdict for name in names]
    assert verdicts == [Verdict.ORDERED, Verdict.ORDERED, Verdict.HELD]


def test_an_order_under_way_goes_on() -> None:
    """It is told by its state."""
    world = World()
    world.enrol()
    dying = world.process()
    dying.calls.before(Call("zone.publish"), dying.calls.kill)
    with pytest.raises(Killed):
        dying.attempt()
    world.clock.wait_until(NOW + 700)
    found = rehearse(world.row(), rehearsing(world.process("two")))
    assert (found.verdict, found.why) == (Verdict.GOES_ON, "it is ORDERED")


def test_an_imported_certificate_is_looked_at_alone() -> None:
    """It has no CSR, and none is missed."""
    world = renewal()
    world.change(imported=True, csr=b"", due_at=None)
    [row] = world.process().tools.certificates.get([NAME])
    rehearsed = rehearse(row, rehearsing(world.process()))
    assert rehearsed.verdict is Verdict.NOT_DUE
    assert rehearsed.why.startswith("imported, until")


def test_it_tells_what_nobody_enrolled() -> None:
    """Due or not, as the run does."""
    world = World()
    world.enrol()
    world.process().run()
    world.seals.broken[NAME] = [Fault.IMPORTED]
    for imported in (True, False):
        world.change(imported=imported)
        assert rehearse(world.row(), rehearsing(world.process())).verdict is Verdict.FAILED
    world.seals.broken.clear()
    assert rehearse(world.row(), rehearsing(world.process())).verdict is Verdict.NOT_DUE


def test_a_zone_that_nobody_serves_is_met_before_an_order() -> None:
    world = World()
    world.enrol()
    world.dns_faults[NAME] = [bad("zone example.test", "nobody serves it", "start a server")]
    found = rehearse(world.row(), rehearsing(world.process()))
    assert (found.verdict, found.failure and found.failure.reference) == (Verdict.FAILED, "dns-not-served")
