"""The process dies before or after any call to the world: the next one ends with one certificate, and leaves nothing.

The same with kill -9 and real servers, at the calls that change something: tests/issuer/crash/test_kill_everywhere.py.
"""

import pytest

from issuer.model.orders import OrderState
from issuer.model.outcomes import Ending
from issuer.store.orders import LEASE_SECONDS
from tests.issuer.fakes.calls import Call, Killed
from tests.issuer.fakes.world import Process, World
from tests.issuer.journey.scenes import SCENES, calls_of, first_by_dns

EVERYWHERE = [(name, call) for name, scene in SCENES.items() for call in calls_of(scene)]


def killed_at(process: Process, call: Call, when: str) -> None:
    """A `run` that dies there."""
    (process.calls.before if when == "before" else process.calls.after)(call, process.calls.kill)
    with pytest.raises(Killed):
        process.run()


def assert_well(world: World) -> None:
    """One certificate, stored; the CA was asked for one, and nothing is left of that."""
    assert world.row().ts_last_update > 1
    assert world.row().failures == 0
    assert world.tables.states() == [OrderState.STORED]
    assert len(world.tables.versions) == len(world.ca.opened) == 1
    assert world.left == []


@pytest.mark.sampled
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("scene", "call"), EVERYWHERE, ids=str)
def test_the_next_process_of_the_same_issuer_finishes_at_once(scene: str, call: Call, when: str) -> None:
    """It knows that what its predecessor held is its own."""
    world = SCENES[scene]()
    killed_at(world.process(), call, when)
    world.process().run()
    assert_well(world)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", calls_of(first_by_dns), ids=str)
def test_another_issuer_finishes_when_the_lease_is_over(call: Call, when: str) -> None:
    """Until then it leaves alone what the dead one holds."""
    world = first_by_dns()
    killed_at(world.process("one"), call, when)
    if any(row.active and row.holder for row in world.tables.orders.values()):
        assert {ended.ending for ended in world.process("two").run().values()} <= {Ending.ELSEWHERE}
    world.clock.wait_until(world.clock() + LEASE_SECONDS + 1)
    world.process("two").run()
    assert_well(world)


def answer_deleted(world: World) -> Process:
    """A process that publishes an answer, which somebody else deletes before the CA looks: that ends the order."""
    process, zone = world.process(), world.zones["dns-01"]
    process.calls.before(Call("ca.answer"), zone.lose)
    return process


def calls_after_a_refusal() -> list[Call]:
    """From the moment on at which the CA was told to look."""
    process = answer_deleted(first_by_dns())
    process.run()
    made = process.calls.made
    return made[made.index(Call("ca.answer")) + 1 :]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", calls_after_a_refusal(), ids=str)
def test_an_order_that_the_ca_has_ended_is_cleared_away(call: Call, when: str) -> None:
    """The CA cannot validate, and the process dies then. The next one clears away what is left, and what is ordered
    after that is stored."""
    world = first_by_dns()
    killed_at(answer_deleted(world), call, when)
    for _ in range(3):  # the first may only wait, and the second only learn from the CA that its order is over
        world.process().run()
        world.clock.wait_until(world.row().due_at or 0)
    assert world.row().ts_last_update > 1
    assert len(world.tables.versions) == 1
    assert world.tables.states() == [OrderState.FAILED, OrderState.STORED]
    assert world.left == []


CHANGES = {
    "disabled": lambda world: world.change(enabled=False),
    "deleted": lambda world: world.tables.certs.clear(),
    "damaged": lambda world: world.change(csr=b"x"),
    "damaged and disabled": lambda world: world.change(csr=b"x", enabled=False),
}


@pytest.mark.sampled
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", calls_of(first_by_dns), ids=str)
def test_the_row_changes_before_the_next_process(call: Call, when: str, change: str) -> None:
    """The order of a row that is disabled is gone on with. That of one that is gone or damaged is ended, unless the CA
    may have issued for it already and the row can be mended; all that is published is taken back. Else nothing is
    counted for a damaged row that is disabled: nobody is to mend it."""
    world = first_by_dns()
    killed_at(world.process(), call, when)
    state = next(iter(world.tables.states()), None)
    csr = world.row().csr
    CHANGES[change](world)
    world.process().run()
    damaged = change.startswith("damaged")
    if change == "damaged and disabled" and state is not OrderState.FINALIZING:
        assert world.row().failures == 0
    if state is OrderState.FINALIZING and damaged:
        assert world.tables.states() == [state]
        world.change(csr=csr, due_at=None)
        world.process().run()
    finished = change == "disabled" or state is OrderState.STORED
    finished = finished or (damaged and state is OrderState.FINALIZING)
    assert world.tables.states() == ([OrderState.STORED if finished else OrderState.FAILED] if state else [])
    assert world.left == []
