"""Somebody who writes to the database plants an order, or sets an earlier one under way again: nothing of it is
followed."""

import dataclasses

import pytest

from common.certificate import fingerprint, parse_bundle
from common.errors import RefusedError
from issuer.journey.by_hand import by_hand, request_by_hand
from issuer.loops.run import Summary
from issuer.model.acme import CaAuthorization, CaOrder
from issuer.model.events import EventKind, of_ending
from issuer.model.orders import Cause, OrderState
from issuer.model.outcomes import Ending
from issuer.model.seal_faults import Fault
from issuer.rules.acceptance import Past
from tests.issuer.fakes.ca import MemoryCa
from tests.issuer.fakes.calls import Call, Killed
from tests.issuer.fakes.clock import NOW
from tests.issuer.fakes.tables import OrderRow
from tests.issuer.fakes.world import CA, NAME, World
from tests.issuer.journey.scenes import DAY
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority

HIS = "https://thief.example/order"


class TwoServers(MemoryCa):
    """The CA, and at HIS the thief's server: an order that is valid, with a certificate of a CA of his own. *asked*:
    how often anybody asked him."""

    asked = 0

    def order(self, url: str) -> CaOrder:
        if url != HIS:
            return super().order(url)
        self.asked += 1
        return CaOrder(HIS, "valid", (), f"{HIS}/finalize", HIS, None, None)

    def authorization(self, url: str) -> CaAuthorization:
        self.asked += url == HIS
        return super().authorization(url)

    def certificate(self, url: str) -> bytes:
        if url != HIS:
            return super().certificate(url)
        return Authority("His").intermediate("Too").sign(csr([NAME])).fullchain_pem


@pytest.fixture
def world() -> World:
    """A certificate that is not due, of yesterday."""
    made = World()
    made.authorities[CA] = TwoServers(CA, made.clock, made.zones)
    made.enrol()
    made.process().run()
    made.clock.wait_until(NOW + DAY)
    return made


def asked(world: World) -> int:
    ca = world.ca
    assert isinstance(ca, TwoServers)
    return ca.asked


def told(world: World) -> list[EventKind]:
    return [event.kind for event in world.events]


@pytest.mark.parametrize("state", OrderState)
@pytest.mark.parametrize("cause", [Cause.RENEWAL, Cause.BY_HAND], ids=str)
def test_a_planted_order_is_ended_and_told(world: World, state: OrderState, cause: Cause) -> None:
    """The row goes on with an order of its own at once; where it is not due, nothing more happens."""
    before, until = world.row().crt, int(world.clock()) + 3600
    world.plant(state=state, url=HIS, cause=cause, deadline=until)
    world.process().run()
    assert (world.row().crt, told(world), asked(world)) == (before, [EventKind.PLANTED], 0)
    world.change(reissue_reason="x", due_at=None)
    world.plant(state=state, url=HIS, cause=cause, deadline=until)
    assert world.process().run()[NAME].ending is Ending.STORED
    assert world.row().crt == parse_bundle(world.ca.certificates[-1]).leaf_pem != before
    assert (told(world), asked(world), world.left) == ([EventKind.PLANTED] * 2, 0, [])
    assert world.tables.states()[1:] == [OrderState.FAILED] * 2 + [OrderState.STORED]


def test_another_url_in_an_order_of_ours(world: World) -> None:
    """It was interrupted in each state, and somebody changed where it leads."""
    for nth in range(1, 6):
        world.change(reissue_reason="x", due_at=None)
        process = world.process()
        process.calls.after(Call("orders.save", nth), process.calls.kill)
        with pytest.raises(Killed):
            process.run()
        world.plant(url=HIS)  # after the sweep
        assert world.process().attempt().ending is Ending.STORED
        assert (told(world), asked(world)) == ([EventKind.PLANTED] * nth, 0)


@pytest.mark.parametrize("nth", [2, 3])
def test_another_url_in_a_challenge_of_an_order_of_ours(world: World, nth: int) -> None:
    """It was interrupted before its challenge was answered, and somebody changed where that leads: nobody asks there.
    The order that he held up so gives way to another one."""
    world.change(reissue_reason="x", due_at=None)
    process = world.process()
    process.calls.after(Call("orders.save", nth), process.calls.kill)
    with pytest.raises(Killed):
        process.run()
    for number, (order, entry) in world.tables.challenges.items():
        world.tables.challenges[number] = (order, dataclasses.replace(entry, url=HIS, authorization_url=HIS))
    world.process().run()
    assert asked(world) == 0


def test_one_for_a_row_that_is_not_due(world: World) -> None:
    """It is ended all the same; but not where the row has another issuer's seal, whose order it may be."""
    world.process().run()
    world.plant(state=OrderState.ORDERED, url=HIS)
    world.seals.broken[NAME] = [Fault.OTHER_SEAL_KEY]
    world.process().run()
    assert world.tables.active(NAME) is not None
    world.seals.broken.clear()
    assert world.process().run() == {}
    assert (world.tables.active(NAME), told(world), asked(world)) == (None, [EventKind.PLANTED], 0)


def test_a_person_does_not_go_on_with_it(world: World) -> None:
    """`request` finds no order by hand."""
    world.plant(state=OrderState.FINALIZING, url=HIS, cause=Cause.BY_HAND, deadline=int(world.clock()) + 3600)
    before = world.row().crt
    with pytest.raises(RefusedError, match="no order by hand"):
        request_by_hand(world.row(), by_hand(world.process().tools))
    assert (world.row().crt, told(world), asked(world)) == (before, [EventKind.PLANTED], 0)


def test_one_without_a_row_holds_nobody_up(world: World) -> None:
    """It is ended and told, and the server that it names is not asked what it has. Of many, twenty are told."""
    for number in range(30):
        world.plant(f"{number}.example.test", state=OrderState.ORDERED, url=HIS)
    world.process().run()
    assert {world.tables.states(f"{number}.example.test")[0] for number in range(30)} == {OrderState.FAILED}
    assert (told(world), asked(world)) == ([EventKind.PLANTED] * 20, 0)


@pytest.mark.parametrize("due", [True, False])
def test_a_lease_on_a_planted_order_keeps_nobody_out(world: World, due: bool) -> None:
    """Somebody says that another issuer works on it."""
    if due:
        world.change(reissue_reason="x", due_at=None)
    world.plant(state=OrderState.ORDERED, url=HIS, lease_owner="thief", lease_until=int(world.clock()) + 600)
    ended = world.process().run()[NAME].ending
    assert (ended, told(world), asked(world)) == (Ending.STORED if due else Ending.NOT_DUE, [EventKind.PLANTED], 0)
    assert world.tables.states()[1:] == [OrderState.FAILED] + [OrderState.STORED] * due


def kept(world: World) -> None:
    """Somebody has the lease of the order under way."""
    row = world.tables.active(NAME)
    if row is not None:
        row.holder, row.lease_until = "thief", int(world.clock()) + 600


@pytest.mark.parametrize("nth", range(1, 6))
def test_a_lease_on_an_order_of_ours_lasts_for_a_day(world: World, nth: int) -> None:
    """It was interrupted in each state. Then it is ended and told, and the row goes on with another one."""
    world.change(reissue_reason="x", due_at=None)
    process = world.process()
    process.calls.after(Call("orders.save", nth), process.calls.kill)
    with pytest.raises(Killed):
        process.run()
    kept(world)
    world.process("two").run()
    ended = world.process("two").attempt()
    assert (ended.ending, ended.failure, of_ending(ended)) == (Ending.ELSEWHERE, None, None)
    world.clock.wait_until(world.clock() + 7200)
    kept(world)
    ended = world.process("two").attempt()
    assert (ended.ending, ended.reference) == (Ending.ELSEWHERE, "kept-elsewhere")
    event = of_ending(ended)
    assert event is not None
    assert event.kind is EventKind.FAILED
    assert Summary(endings={NAME: ended}, stopped=False).well is False
    world.clock.wait_until(world.clock() + DAY)
    kept(world)
    assert (told(world), world.process("two").run()[NAME].ending) == ([], Ending.STORED)
    world.clock.wait_until(world.clock() + 601)  # until then its owner may be about to publish
    world.process("two").run()
    assert (told(world), world.left) == ([EventKind.PLANTED], [])
    assert world.tables.states()[1:] == [OrderState.FAILED, OrderState.STORED]


def put_back_later(world: World) -> OrderRow:
    """The row of the next order, as somebody copies it while it is under way, with its seal."""
    copies: list[OrderRow] = []

    def copy() -> None:
        row = world.tables.active(NAME)
        if row is not None and row.record.state is OrderState.FINALIZING:
            copies.append(dataclasses.replace(row, holder=None))

    process = world.process()
    for nth in range(1, 9):
        process.calls.after(Call("orders.save", nth), copy)
    world.change(reissue_reason="x", due_at=None)
    assert process.run()[NAME].ending is Ending.STORED
    return copies[0]


def put_back(world: World, copied: OrderRow) -> None:
    """The row is due, and its order once more what it was."""
    world.change(reissue_reason="x", due_at=None)
    world.tables.orders[copied.record.id] = dataclasses.replace(copied, active=True, holder=None)


@pytest.mark.parametrize("later", [0, 30 * DAY], ids=["at once", "a month later"])
def test_an_earlier_order_brings_nothing_back(world: World, later: int) -> None:
    """The CA has its certificate still. It is no new one, and the one that is there stays, until the next order brings
    another."""
    copied = put_back_later(world)
    world.change(reissue_reason="x", due_at=None)
    world.clock.wait_until(world.clock() + later)
    world.process().run()
    before = world.row().crt
    put_back(world, copied)
    ended = world.process().run()[NAME]
    assert ended.failure is not None
    assert (ended.ending, ended.reference, world.row().crt) == (Ending.FAILED, "wrong-certificate", before)
    assert "it was stored before" in str(ended.failure)
    world.clock.wait_until(ended.retry_at)
    world.change(reissue_reason="x")
    assert world.process().run()[NAME].ending is Ending.STORED
    assert world.left == []


def test_nor_does_one_whose_certificate_was_never_stored(world: World) -> None:
    """It was given up, and the CA issued all the same; another one was stored since."""
    world.ca.signing_seconds = 30
    process = world.process()
    world.change(reissue_reason="x", due_at=None)
    process.calls.before(Call("ca.certificate"), process.calls.kill)
    with pytest.raises(Killed):
        process.run()
    copied = world.tables.active(NAME)
    assert copied is not None
    world.tables.orders[copied.record.id] = dataclasses.replace(copied, active=False, holder=None)
    world.clock.wait_until(world.clock() + 3 * DAY)
    assert world.process().run()[NAME].ending is Ending.STORED
    before = world.row().crt
    put_back(world, copied)
    ended = world.process().run()[NAME]
    assert "it is older than one that was stored before" in str(ended.failure)
    assert world.row().crt == before


def test_what_was_revoked_is_not_stored_again(world: World) -> None:
    """Whatever the table says of it."""
    copied = put_back_later(world)
    stored = parse_bundle(world.ca.certificates[-1])
    world.change(reissue_reason="x", due_at=None)
    world.process().run()
    world.seals.pasts[NAME] = Past(revoked=frozenset([fingerprint(stored.leaf)]))
    put_back(world, copied)
    ended = world.process().run()[NAME]
    assert ended.ending is Ending.FAILED
    assert "it was revoked" in str(ended.failure)
