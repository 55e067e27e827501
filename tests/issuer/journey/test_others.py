"""Somebody else acts between any two calls of an attempt: another issuer, a person who changes or revokes the row."""

import dataclasses
from collections.abc import Callable
from functools import partial

import pytest

from common.certificate import serial_text
from common.errors import Retry
from issuer.loops.run import Pass
from issuer.model.errors import AcmeProblem, DnsError
from issuer.model.events import EventKind
from issuer.model.orders import OrderState
from issuer.model.outcomes import Ending
from issuer.rules.csr import read_csr
from issuer.store.orders import LEASE_SECONDS
from tests.issuer.fakes.ca import refusal
from tests.issuer.fakes.calls import Call, Killed, raising
from tests.issuer.fakes.clock import NOW
from tests.issuer.fakes.world import NAME, World
from tests.issuer.journey.scenes import DAY, calls_of, first_by_dns
from tests.issuer.signing_requests import csr

CALLS = calls_of(first_by_dns)
NEW_KEY = csr([NAME], "ecdsa-p384")
# The CA knows nothing of leases. The lease is looked at right before this call, and a process that is frozen in
# between, for the ten minutes of a lease, acts beside the issuer that took over.
# `test_frozen_between_lease_and_call` bounds what that costs.
UNCOVERED = [Call("ca.open_order")]
BUSY = refusal("rateLimited", "slow down", 429, retry_after=NOW + 3600)
TRIED = CALLS[CALLS.index(Call("orders.claim")) : CALLS.index(Call("certificates.store")) + 1]
WITH_ORDER = TRIED[TRIED.index(Call("ca.open_order")) :]
WELL = (Ending.STORED, Ending.ELSEWHERE, Ending.NOT_DUE, None)


def ending_with(world: World, call: Call, act: Callable[[], object]) -> Ending | None:
    """How an attempt of the issuer "one" ends when that happens just before one of its calls; None: it never began."""
    process = world.process("one")
    process.calls.before(call, act)
    ended = process.run().get(NAME)
    assert call in process.calls.made
    return ended.ending if ended else None


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_two_at_once(call: Call) -> None:
    """Another issuer does all that it can just then: there is one order, one certificate, and no failure."""
    world = first_by_dns()
    assert ending_with(world, call, lambda: world.process("two").run()) in WELL
    assert world.row().failures == 0
    assert world.tables.states() == [OrderState.STORED]
    assert len(world.tables.versions) == len(world.ca.opened) == 1
    assert world.left == []


def overtake(world: World) -> None:
    """The lease runs out, and another issuer takes over what is there and finishes it."""
    world.clock.wait_until(world.clock() + LEASE_SECONDS + 1)
    world.process("two").run()


@pytest.mark.parametrize("call", [call for call in CALLS if call not in UNCOVERED], ids=str)
def test_overtaken_by_another_issuer(call: Call) -> None:
    """The attempt hangs for longer than its lease, and then goes on as if nothing had happened."""
    world = first_by_dns()
    assert ending_with(world, call, lambda: overtake(world)) in WELL
    assert world.row().failures == 0
    assert world.tables.states() == [OrderState.STORED]
    assert len(world.tables.versions) == len(world.ca.opened) == len(world.ca.certificates) == 1
    world.process("one").run()  # what it has published late is in the journal
    assert world.left == []


@pytest.mark.parametrize("call", UNCOVERED, ids=str)
def test_frozen_between_lease_and_call(call: Call) -> None:
    """As a virtual machine that is suspended: a second order that expires unanswered. There is one certificate all the
    same, and no failure."""
    world = first_by_dns()
    assert ending_with(world, call, lambda: overtake(world)) in WELL
    assert world.row().failures == 0
    assert len(world.tables.versions) == len(world.ca.certificates) == 1
    assert len(world.ca.opened) == 2
    assert not world.published


def overtake_and_end(world: World) -> None:
    """As :func:`overtake`, but the order ends as failed, and its answers are withdrawn."""
    world.clock.wait_until(world.clock() + LEASE_SECONDS + 1)
    other = world.process("two")
    other.calls.before(Call("ca.answer"), raising(refusal("unauthorized", "no")))
    other.run()
    assert world.tables.states() == [OrderState.FAILED]


@pytest.mark.parametrize("act", [overtake, overtake_and_end], ids=["stored", "failed"])
def test_frozen_before_it_publishes(act: Callable[[World], object]) -> None:
    """The issuer that took over has withdrawn the answers and forgotten them. What is published after that stands in
    the journal again, also where the name server's answer is lost, and the next sweep takes it back."""
    for lost in (False, True):
        world = first_by_dns()
        process = world.process("one")
        process.calls.before(Call("zone.publish"), partial(act, world))
        if lost:
            process.calls.after(Call("zone.publish"), raising(DnsError("no answer", retry=Retry.NEVER)))
        process.run()
        assert Call("zone.publish") in process.calls.made
        world.process("three").run()
        assert not world.published
        assert world.left == []


def test_slow_before_the_order_is_asked_for() -> None:
    """Looking for an order that was lost took longer than the lease: the CA is asked for none that another issuer has
    asked for meanwhile."""
    world = first_by_dns()
    killed = world.process("one")
    killed.calls.before(Call("ca.open_order"), killed.calls.kill)
    with pytest.raises(Killed):
        killed.run()
    process = world.process("one")
    process.calls.before(Call("ca.find_order"), lambda: overtake(world))
    assert process.attempt().ending is Ending.ELSEWHERE
    assert len(world.ca.opened) == 1


def revoke(world: World) -> None:
    """As `revoke --reason 1`: the key is known to others, the row is disabled, the order ended; its lease stays."""
    now = int(world.clock())
    world.change(enabled=False, compromised=frozenset({read_csr(world.row().csr).spki_sha256}))
    row = world.tables.active(NAME)
    if row is not None:
        world.tables.end(row, dataclasses.replace(row.record, state=OrderState.FAILED), now, "its key was revoked")


def assert_given_up(world: World, ending: Ending | None) -> None:
    """No failure, no certificate, nothing left, and nothing to be tried again."""
    assert ending is Ending.GIVEN_UP
    assert (world.row().crt, world.row().failures, world.row().due_at) == (b"", 0, None)
    assert world.tables.states() == [OrderState.FAILED]
    assert world.left == []
    assert world.process("one").run() == {}


@pytest.mark.parametrize("call", WITH_ORDER, ids=str)
def test_revoked_as_compromised_meanwhile(call: Call) -> None:
    """The order was ended by somebody else, who left its lease so that we clear up."""
    world = first_by_dns()
    assert_given_up(world, ending_with(world, call, lambda: revoke(world)))


@pytest.mark.parametrize("says", [refusal("unauthorized"), AcmeProblem("silence"), BUSY], ids=lambda error: error.what)
@pytest.mark.parametrize("call", [call for call in WITH_ORDER if call.method.startswith("ca.")], ids=str)
def test_revoked_as_compromised_before_the_ca_refuses(call: Call, says: AcmeProblem) -> None:
    """The order was given up, whatever the CA has against it as well."""
    world = first_by_dns()

    def revoke_then_refuse() -> None:
        revoke(world)
        raise says

    assert_given_up(world, ending_with(world, call, revoke_then_refuse))


def test_the_certificate_of_a_revoked_key_is_named() -> None:
    """What the CA has signed all the same can be revoked: the hint has its serial number."""
    world = first_by_dns()
    process = world.process()
    process.calls.before(Call("certificates.store"), lambda: revoke(world))
    failure = process.attempt().failure
    [(_, bundle)] = world.tables.versions
    assert failure is not None
    assert serial_text(bundle.leaf) in failure.hint


@pytest.mark.parametrize("change", [lambda world: world.tables.certs.clear(), lambda world: world.change(csr=NEW_KEY)])
@pytest.mark.parametrize("call", TRIED, ids=str)
def test_removed_or_enrolled_anew_meanwhile(call: Call, change: Callable[[World], None]) -> None:
    """What was ordered for the old row is nobody's failure, is never handed out, and leaves nothing; what is enrolled
    then is issued by the next run."""
    world = first_by_dns()
    assert ending_with(world, call, lambda: change(world)) is Ending.NOT_DUE
    assert world.left == []
    assert [row.crt for row in world.tables.certs.values()] in ([], [b""])
    if world.tables.certs:
        assert world.process("one").run()[NAME].ending is Ending.STORED
        assert world.row().failures == 0
        assert world.left == []


def test_two_certificates_that_share_an_order() -> None:
    """The CA gave both the same challenge. One fails, and cannot even give its authorization back; the answer stays in
    the zone for the other one, which is stored."""
    world = World()
    world.ca.shares_orders = True
    names = [world.enrol(NAME, label=label) for label in ("rsa", "ecdsa")]
    other = world.process("two")
    other.calls.before(Call("ca.answer"), other.calls.kill)

    def share_then_fail() -> None:
        with pytest.raises(Killed):
            other.attempt(names[1])
        raise DnsError("refused")

    process = world.process("one")
    process.calls.before(Call("zone.unseen"), share_then_fail)
    process.calls.before(Call("ca.order"), raising(AcmeProblem("no answer")))
    assert process.attempt(names[0]).ending is Ending.FAILED
    assert len(world.ca.opened) == 1
    assert len(world.published) == len(world.tables.challenges) == 1
    assert world.process("two").attempt(names[1]).ending is Ending.STORED
    assert world.left == []


def test_only_our_own_answers_are_published() -> None:
    """Rows that somebody adds to the journal of an order, for the same challenge, reach no zone: neither another value,
    which would prove our name to his account, nor our value at another owner. The order comes to its end."""
    world = World()
    world.enrol()
    process = world.process("one")
    process.calls.before(Call("zone.publish"), raising(DnsError("away", hint="", retry=Retry.SOON)))
    process.run()
    [(order, ours)] = world.tables.challenges.values()
    planted = [
        dataclasses.replace(ours, id=1001, value="his-value"),
        dataclasses.replace(ours, id=1002, owner=f"_acme-challenge.other.{NAME}"),
    ]
    world.tables.challenges.update({entry.id: (order, entry) for entry in planted})
    seen: set[str] = set()
    second = world.process("one")
    second.calls.after(Call("zone.publish"), lambda: seen.update(world.published))
    world.clock.wait_until(world.clock() + 86400)
    assert second.run()[NAME].ending is Ending.STORED
    assert seen == {ours.value}


def test_a_failure_beside_another_issuer_that_has_renewed() -> None:
    """Ours stands in the fresh row, although there is nothing left to do: the next run ends it, and is well."""
    world = World()
    world.ca.offers_ari = False
    world.enrol()
    world.process("one").run()
    world.clock.wait_until(NOW + 85 * DAY)
    world.forget_what_was()

    def overtaken() -> None:
        world.process("two").run()
        raise DnsError("our way to the name server is cut", retry=Retry.SOON)

    assert ending_with(world, Call("zone.place"), overtaken) is Ending.FAILED
    assert (world.row().failures, len(world.tables.versions)) == (1, 1)
    world.clock.wait_until(world.clock() + DAY)
    world.events.clear()
    complained: list[str] = []
    one_pass = Pass(world.process("one").tools, lambda *_: None, lambda *lines: complained.extend(lines))
    one_pass.run([world.row()], stay=0)
    assert (one_pass.summary.well, complained) == (True, [])
    assert (world.row().failures, world.row().failure) == (0, None)
    assert [event.kind for event in world.events] == [EventKind.RECOVERED]
