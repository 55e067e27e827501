"""A change whose attempts are killed, meet a hold or make no progress."""

import dataclasses

import pytest

from issuer.model.acme import CaOrder
from issuer.model.enrolment import AT_ONCE, Change
from issuer.model.errors import StoreError
from issuer.model.failure import Failure
from issuer.model.outcomes import Ending
from issuer.model.tries import BY_NEXT_RUN
from issuer.rules.csr import read_csr
from issuer.rules.shared_failures import complaints
from tests.issuer.fakes.ca import MemoryCa, refusal
from tests.issuer.fakes.calls import Call, Killed, raising
from tests.issuer.fakes.world import CA, NAME, World
from tests.issuer.journey.scenes import DAY
from tests.issuer.journey.test_change import ADDED, NEW, present, served


def calls_of_a_change() -> list[Call]:
    process = served().process()
    process.run()
    return process.calls.made


@pytest.mark.sampled
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", calls_of_a_change(), ids=str)
def test_killed_anywhere(call: Call, when: str) -> None:
    """The row has the old CSR with the old certificate, or the new with the new; the next process finishes."""
    world = served()
    process = world.process()
    (process.calls.before if when == "before" else process.calls.after)(call, process.calls.kill)
    with pytest.raises(Killed):
        process.run()
    row = world.row()
    request = read_csr(row.csr)
    assert present(world).spki_sha256 == request.spki_sha256
    assert present(world).names == set(request.names)
    world.process().run()
    assert present(world).names == {NAME, ADDED}
    assert world.row().change is None
    assert len(world.ca.opened) == 1
    assert world.left == []


def test_what_is_told_of_a_renewal_beside_a_change_that_fails() -> None:
    """The certificate as a whole is not well: the failure of the change stands, with its next moment."""
    world = served(zone=False)
    world.process().run()
    world.clock.wait_until(world.clock() + 62 * DAY)
    change = world.row().change
    assert change is not None
    world.change(due_at=0, change=dataclasses.replace(change, due_at=int(world.clock()) + 500))
    ended = world.process().attempt()
    assert (ended.ending, ended.retry_at, ended.failures) == (Ending.FAILED, int(world.clock()) + 500, 1)
    assert "the present certificate was renewed" in ended.line(BY_NEXT_RUN)
    assert "has no zone" in complaints([ended], BY_NEXT_RUN)[0][0]


@pytest.mark.parametrize("call", ["certificates.record_failure", "orders.open"])
def test_a_database_that_is_away_is_not_asked_again_at_once(call: str) -> None:
    """A moment that could not be saved would make the same attempt again, without a pause."""
    world = served(zone=call == "orders.open")
    world.clock.wait_until(world.clock() + 70 * DAY)
    process = world.process()
    process.calls.before(Call(call), raising(StoreError("the database is away")))
    ended = process.attempt()
    assert ended.ending is Ending.FAILED
    assert ended.look_again_at == ended.retry_at > world.clock()


def test_a_hold_before_the_order_keeps_no_renewal_waiting() -> None:
    """The moment of the renewal is told with it."""
    world = served()
    world.clock.wait_until(world.clock() + 70 * DAY)
    world.tables.holds[(world.ca.account_id, f"change/{NAME}")] = (int(world.clock()) + 7200, Failure("limited"))
    held = world.process().attempt()
    assert (held.ending, held.retry_at) == (Ending.HELD, int(world.clock()) + 7200)
    assert held.look_again_at <= world.clock()
    assert world.process().attempt().ending is Ending.STORED


class Stubborn(MemoryCa):
    """Refuses each order for ADDED at the *step* that a test names: it has trouble of its own, or a limit of *wait*
    seconds."""

    step, wait = "", 0.0

    def certificate(self, url: str) -> bytes:
        self._trouble("certificate")
        return super().certificate(url)

    def finalize(self, order: CaOrder, csr_der: bytes) -> CaOrder:
        self._trouble("finalize")
        return super().finalize(order, csr_der)

    def answer(self, challenge_url: str) -> None:
        self._trouble("answer")
        super().answer(challenge_url)

    def _trouble(self, step: str) -> None:
        if step == self.step and ADDED in self.opened[-1].names:
            if self.wait:
                moment = self._clock() + self.wait
                raise refusal("rateLimited", "too many failed authorizations for this name", 429, retry_after=moment)
            raise refusal("serverInternal", "trouble", 500)


@pytest.mark.sampled
@pytest.mark.parametrize("wait", [0, DAY, 30 * DAY])
@pytest.mark.parametrize("step", ["answer", "finalize", "certificate"])
@pytest.mark.parametrize("life", [1, 6, 90])
@pytest.mark.parametrize("share", [0.3, 0.65])
def test_an_order_of_the_change_that_makes_no_progress(step: str, life: int, share: float, wait: int) -> None:
    """It goes on first, but never so long that the present certificate ends, whenever it was opened."""
    world = World()
    ca = world.authorities[CA] = Stubborn(CA, world.clock, world.zones, days=life)
    ca.step, ca.wait = step, wait
    ca.offers_ari = False
    world.enrol()
    world.process().run()
    world.clock.wait_until(world.clock() + share * life * DAY)
    world.change(change=Change(NEW, AT_ONCE))
    for _ in range(2 * 24):
        world.process().run()
        world.clock.wait_until(world.clock() + life * DAY / 24)
        assert (world.row().ts_expire or 0) > world.clock()
