"""Each step of a journey meets each kind of error: how the attempt ends, what becomes of the order, what is stored,
what is left, when it is tried again; and that next attempt ends well.

The meaning of an error alone is in tests/issuer/rules/test_retry.py; here it is carried out.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from common.errors import CertfleetError, ConfigError, FileError, Finding, Retry
from issuer.model.errors import AcmeProblem, BeingTakenBack, DnsError, OtherAccount, StoreError, WebrootError
from issuer.model.limits import ACCOUNT
from issuer.model.orders import OrderState
from issuer.model.outcomes import Ending
from tests.issuer.fakes.ca import refusal
from tests.issuer.fakes.calls import Call, raising
from tests.issuer.fakes.clock import NOW
from tests.issuer.fakes.world import NAME, World
from tests.issuer.journey.scenes import DAY, SCENES, calls_of, first_by_dns

SET = "too many certificates (5) already issued for this exact set of identifiers"
PUBLISHED = (OrderState.PUBLISHED, OrderState.VISIBLE)  # in these states an answer is out


@dataclass(frozen=True)
class Meaning:
    """*over*: nobody goes on with the order. *seconds*: to the next attempt. *scope*: of a hold, "" for a failure."""

    over: bool
    seconds: int
    scope: str = ""


LIVES, OVER, HOPELESS = Meaning(False, 60), Meaning(True, 60), Meaning(True, DAY)
OF_THE_CA: dict[str, tuple[Callable[[], AcmeProblem], Meaning]] = {
    "silence": (lambda: AcmeProblem("no answer", why="timed out"), LIVES),
    "html": (lambda: AcmeProblem("no ACME answer", why="HTTP 502", status=502), LIVES),
    "trouble": (lambda: refusal("serverInternal", "oh", 500), LIVES),
    "nonce": (lambda: refusal("badNonce", "again"), LIVES),
    "limit without a moment": (lambda: refusal("rateLimited", "slow down", 429), LIVES),
    "limit on orders": (
        lambda: refusal("rateLimited", "too many new orders", 429, retry_after=NOW + 2000),
        Meaning(False, 2000, ACCOUNT),
    ),
    "limit on names": (lambda: refusal("rateLimited", SET, 429, retry_after=NOW + 5000), Meaning(False, 5000, NAME)),
    "busy": (lambda: refusal("serverInternal", "busy", 503, retry_after=NOW + 120), Meaning(False, 120, ACCOUNT)),
    "another account": (lambda: OtherAccount("not yours"), LIVES),
    "unauthorized": (lambda: refusal("unauthorized", "no", 403), OVER),
    "malformed": (lambda: refusal("malformed", "what?"), OVER),
    "caa": (lambda: refusal("caa", "forbidden", 403), OVER),
    "new kind": (lambda: refusal("somethingNew", "?"), OVER),
    "csr": (lambda: refusal("badCSR", "weak"), HOPELESS),
    "identifier": (lambda: refusal("rejectedIdentifier", "not for this name"), HOPELESS),
    "terms": (lambda: refusal("userActionRequired", "agree", 403), HOPELESS),
}
STEPS = {
    "ca.open_order": None,  # the state in which the order stays; None: it is forgotten
    "ca.authorization": OrderState.ORDERED,
    "ca.answer": OrderState.VISIBLE,
    "ca.order": OrderState.VISIBLE,
    "ca.finalize": OrderState.VALIDATED,
    "ca.certificate": OrderState.FINALIZING,
}


def assert_that_it_is_told_and_put_off(world: World, ending: Ending, meaning: Meaning) -> None:
    """In the row, or as a hold; and when it is tried again."""
    row, held = world.row(), world.tables.holds
    assert ending is (Ending.HELD if meaning.scope else Ending.FAILED)
    assert row.due_at == NOW + meaning.seconds
    assert (row.failures, row.failing) == ((0, False) if meaning.scope else (1, True))
    assert [(scope, until) for (_, scope), (until, _) in held.items()] == (
        [(meaning.scope, row.due_at)] if meaning.scope else []
    )
    assert row.crt == b""


def assert_that_it_ends_well(world: World, *, orders: int) -> None:
    """The next attempt, at its moment: one certificate, of so many orders, and nothing is left."""
    world.clock.wait_until(world.row().due_at or 0)
    assert {name: ended.ending for name, ended in world.process().run().items()} == {NAME: Ending.STORED}
    assert world.row().failures == 0
    assert len(world.tables.versions) == 1
    assert len(world.ca.opened) == orders
    assert world.left == []


@pytest.mark.parametrize("says", OF_THE_CA)
@pytest.mark.parametrize("step", STEPS)
def test_the_ca_refuses_a_step(step: str, says: str) -> None:
    """Once, and is well again at the next attempt."""
    make, meaning = OF_THE_CA[says]
    error, state = make(), STEPS[step]
    if step == "ca.certificate":  # the CA has issued it: whatever is in the way, a new order would cost another one
        error.retry = Retry.SOON
        meaning = meaning if meaning.scope else LIVES
    world = World()
    world.enrol()
    process = world.process()
    process.calls.before(Call(step), raising(error))
    ended = process.attempt()
    assert_that_it_is_told_and_put_off(world, ended.ending, meaning)
    assert ended.failure is not None
    assert (ended.failure.what, ended.failure.why) == (error.what, error.why)
    if meaning.over:
        assert world.tables.states() == [OrderState.FAILED]
        assert world.ca.waiting == []
    else:
        assert world.tables.states() == ([state] if state else [])
    out = state in PUBLISHED and not meaning.over
    assert (len(world.published), len(world.tables.challenges)) == (out, out)
    assert [row.holder for row in world.tables.orders.values()] == [None] * len(world.tables.orders)
    assert_that_it_ends_well(world, orders=2 if meaning.over and state else 1)


@pytest.mark.parametrize("step", STEPS)
def test_the_answer_to_a_step_is_lost(step: str) -> None:
    """The CA has done what it was asked for: nothing is asked for twice."""
    world = World()
    world.enrol()
    process = world.process()
    process.calls.after(Call(step), raising(AcmeProblem("no answer", in_doubt=True)))
    ended = process.attempt()
    assert_that_it_is_told_and_put_off(world, ended.ending, LIVES)
    assert world.tables.states() == [STEPS[step] or OrderState.PLANNED]
    assert_that_it_ends_well(world, orders=1)
    assert len(world.ca.certificates) == 1


OF_OUR_OWN: dict[str, tuple[Callable[[], Exception], Meaning]] = {
    "zone refuses": (lambda: DnsError("REFUSED"), OVER),
    "wrong key": (lambda: DnsError("BADSIG", retry=Retry.NEVER), HOPELESS),
    "server is down": (lambda: DnsError("no answer", retry=Retry.SOON), LIVES),
    "webroot": (lambda: WebrootError("not ours"), OVER),
    "settings": (lambda: ConfigError("configuration", [Finding("dns", "wrong")]), Meaning(False, DAY)),
    "file": (lambda: FileError("cannot read"), LIVES),
    "being taken back": (lambda: BeingTakenBack(NAME), LIVES),
    "bug": (lambda: RuntimeError("unforeseen"), OVER),
}
ZONE_STEPS = {
    Call("zone.place", 1): None,
    Call("zone.place", 2): OrderState.ORDERED,
    Call("zone.publish"): OrderState.ORDERED,
    Call("zone.unseen"): OrderState.PUBLISHED,
}


@pytest.mark.parametrize("met", OF_OUR_OWN)
@pytest.mark.parametrize("step", ZONE_STEPS, ids=str)
def test_our_own_side_refuses_a_step(step: Call, met: str) -> None:
    """The same of our zones, webroots, files and mistakes. A zone that is down before an order costs none."""
    make, meaning = OF_OUR_OWN[met]
    state = ZONE_STEPS[step]
    world = World()
    world.enrol()
    process = world.process()
    process.calls.before(step, raising(make()))
    ended = process.attempt()
    assert_that_it_is_told_and_put_off(world, ended.ending, meaning)
    if state is None:
        assert (world.tables.states(), world.ca.opened) == ([], [])
    else:
        assert world.tables.states() == [OrderState.FAILED if meaning.over else state]
    if meaning.over:
        assert world.left == []
        assert world.ca.waiting == []
    assert_that_it_ends_well(world, orders=2 if meaning.over and state else 1)


@pytest.mark.sampled
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("scene", "call"),
    [(name, call) for name, scene in SCENES.items() for call in calls_of(scene) if not call.method.startswith("ca.")],
    ids=str,
)
def test_any_call_fails(scene: str, call: Call, when: str) -> None:
    """The database or a zone is away for one call, which may have had its effect: later runs end with one certificate
    of one order, and leave nothing."""
    error: CertfleetError = StoreError("away")
    if call.method.startswith("zone."):
        error = DnsError("no answer", retry=Retry.SOON)
    world = SCENES[scene]()
    process = world.process()
    (process.calls.before if when == "before" else process.calls.after)(call, raising(error))
    try:
        endings = {ended.ending for ended in process.run().values()}
        assert endings <= {Ending.STORED, Ending.FAILED, Ending.ELSEWHERE}
    except StoreError as refused:  # `run` itself could not begin
        assert refused is error
    for _ in range(2):
        world.clock.wait_until(world.clock() + 700)  # also of a lease that could not be given back
        world.process().run()
    assert world.row().failures == 0
    assert world.tables.states() == [OrderState.STORED]
    assert len(world.tables.versions) == len(world.ca.opened) == 1
    assert world.left == []


@pytest.mark.parametrize("failures", range(1, 7))
def test_it_is_tried_less_and_less_often(failures: int) -> None:
    """The schedule of the configuration, whose last pause repeats."""
    world = World()
    world.enrol()
    world.change(failures=failures - 1)
    process = world.process()
    process.calls.before(Call("ca.finalize"), raising(refusal("unauthorized", "no", 403)))
    assert process.attempt().failures == failures
    assert world.row().due_at == NOW + [60, 600, 3600, DAY, DAY, DAY][failures - 1]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", [*STEPS, "zone.publish", "zone.unseen"])
def test_a_blink_is_waited_out(step: str, when: str) -> None:
    """No answer, three times, although the step may have had its effect: the same attempt goes on, nothing is counted,
    and the CA is asked for nothing twice."""
    world = World()
    world.enrol()
    process = world.process(quick_tries=3)
    for nth in (1, 2, 3):
        silence: CertfleetError = AcmeProblem("no answer", in_doubt=True)
        if step.startswith("zone"):
            silence = DnsError("no answer", retry=Retry.SOON)
        (process.calls.before if when == "before" else process.calls.after)(Call(step, nth), raising(silence))
    assert process.attempt().ending is Ending.STORED
    assert world.clock() >= NOW + 0.5
    assert len(world.ca.opened) == len(world.ca.certificates) == 1
    assert world.left == []


def test_a_stop_leaves_the_order_to_the_next_run() -> None:
    """The lease is given back, nothing is counted."""
    world = first_by_dns()
    assert world.process().attempt(stopping=True).ending is Ending.STOPPED
    assert world.tables.states() == [OrderState.PLANNED]
    assert world.row().due_at is None
    assert_that_it_ends_well(world, orders=1)
