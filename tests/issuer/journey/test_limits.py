"""Limits, holds, fallback CAs and renewal information, over whole attempts."""

import dataclasses

import pytest

from issuer.journey.pacing import Pacing
from issuer.model.acme import RenewalInfo
from issuer.model.config import RenewalSettings
from issuer.model.events import EventKind, of_ending
from issuer.model.failure import Failure
from issuer.model.leaf import Leaf, leaf_of
from issuer.model.limits import OFTEN, CaLimits, Limit
from issuer.model.orders import OrderState
from issuer.model.outcomes import Ending
from issuer.rules.forecast import forecast
from tests.issuer.fakes.ca import refusal
from tests.issuer.fakes.calls import Call, raising
from tests.issuer.fakes.clock import NOW
from tests.issuer.fakes.orders import MemoryCounts
from tests.issuer.fakes.world import CA, NAME, OTHER_CA, Process, World
from tests.issuer.journey.scenes import DAY, renewal

OTHER, THIRD = "other.example.test", "third.example.test"
LIMITED = refusal("rateLimited", "too many new orders", 429, retry_after=NOW + 2000)


def paced(process: Process, limits: CaLimits) -> Process:
    """A process that keeps to other limits than those that the CA is known for."""
    pacing = {CA: Pacing(CA, limits, MemoryCounts(process.world.tables))}
    process.tools = dataclasses.replace(process.tools, pacing=pacing)
    return process


def test_a_hold_on_the_account_keeps_new_orders_back_and_lets_others_go_on() -> None:
    """The CA is not asked before its moment, but for an order that it knows already."""
    world = World()
    world.enrol()
    world.enrol(OTHER)
    world.enrol(THIRD)
    under_way = world.process()
    under_way.calls.before(Call("ca.finalize"), raising(refusal("serverInternal", "oh", 500)))
    assert under_way.attempt().ending is Ending.FAILED
    process = world.process()
    process.calls.before(Call("ca.open_order"), raising(LIMITED))
    assert process.attempt(OTHER).ending is Ending.HELD
    later = world.process()
    assert later.attempt(THIRD).ending is Ending.HELD
    assert [call.method for call in later.calls.made if call.method.startswith("ca.")] == []
    world.change(due_at=None)
    assert later.attempt(NAME).ending is Ending.STORED
    world.clock.wait_until(NOW + 2000)
    assert {ended.ending for ended in world.process().run().values()} == {Ending.STORED}


def test_a_hold_on_a_name_lasts_as_long_as_the_ca_says() -> None:
    """Days, in which the CA hears nothing of it; another certificate goes on. The row is looked at every day, so that a
    moment of a wrong clock is noticed."""
    world = World()
    world.enrol()
    world.enrol(OTHER)
    why = 'too many certificates (50) already issued for "selfservice.example" in the last 168h0m0s'
    process = world.process()
    refused = refusal("rateLimited", why, 429, retry_after=NOW + 5 * DAY)
    process.calls.before(Call("ca.open_order"), raising(refused))
    ended = process.attempt()
    assert (ended.ending, ended.retry_at, world.row().due_at) == (Ending.HELD, NOW + 5 * DAY, NOW + DAY)
    assert world.process().attempt(OTHER).ending is Ending.STORED
    for day in range(1, 5):
        world.clock.wait_until(NOW + day * DAY)
        process = world.process()
        ended = process.attempt()
        assert (ended.ending, ended.retry_at) == (Ending.HELD, NOW + 5 * DAY)
        assert [call.method for call in process.calls.made if call.method.startswith("ca.")] == []
    world.clock.wait_until(NOW + 5 * DAY)
    assert world.process().run()[NAME].ending is Ending.STORED


def test_orders_for_one_certificate_are_counted_whatever_the_database_says() -> None:
    """Somebody takes away all that a failure leaves in the database: the third order within an hour is held, another
    certificate goes on, and an hour after the first there is room again."""
    world = World()
    world.enrol()
    world.enrol(OTHER)
    endings = []
    for minute in (0, 20, 40, 61):
        world.clock.wait_until(NOW + minute * 60)
        world.change(due_at=None, failures=0, failure=None)
        world.tables.orders.clear()
        process = paced(world.process(), CaLimits(of_one_name=Limit(2, 3600)))
        process.calls.before(Call("ca.finalize"), raising(refusal("badCSR", "no", 400)))
        endings.append(process.attempt())
    assert [ended.ending for ended in endings] == [Ending.FAILED, Ending.FAILED, Ending.HELD, Ending.FAILED]
    assert (endings[2].retry_at, endings[2].failure and endings[2].failure.what) == (NOW + 3600, OFTEN.what)
    assert world.process().attempt(OTHER).ending is Ending.STORED


def test_an_account_that_the_ca_refuses_is_asked_for_once() -> None:
    """One certificate fails; the others are held until it is tried again, also by another issuer, and then one asks."""
    world = World()
    names = [world.enrol(f"n{number}.example.test") for number in range(10)]
    asked = []

    def refuse() -> None:
        asked.append(world.clock())
        raise refusal("externalAccountRequired", "an account binding is needed", 403, resource="newAccount")

    def disturbed(owner: str) -> Process:
        process = world.process(owner)
        for turn in range(1, len(names) + 1):
            process.calls.before(Call("ca.account_url", turn), refuse)
        return process

    ended = disturbed("one").run()
    assert [each.ending for each in ended.values()] == [Ending.FAILED] + [Ending.HELD] * 9
    told = [failure.sentence for name in names if (failure := ended[name].failure)]
    assert "`run --retry` once it is mended" in told[0]
    assert all("an account binding is needed" in sentence and "run --retry" in sentence for sentence in told)
    assert {ended[name].detail for name in names[1:]} == {"the refusal of our account"}
    assert [world.row(name).failures for name in names] == [1] + [0] * 9
    assert world.tables.states() == [OrderState.FAILED]
    assert disturbed("two").run() == {}
    world.clock.wait_until(NOW + DAY)
    again = disturbed("two").run()
    assert (len(again), asked) == (10, [NOW, NOW + DAY])
    world.clock.wait_until(NOW + 2 * DAY)
    assert {each.ending for each in world.process().run().values()} == {Ending.STORED}


def test_a_ca_that_refuses_our_account_is_passed_over_in_need() -> None:
    """A certificate that needs it is ordered elsewhere, without failures of its own."""
    world = World(CA, OTHER_CA)
    world.enrol()
    world.enrol(OTHER)
    process = world.process()
    no = refusal("unauthorized", "no such binding", 403, resource="newAccount")
    process.calls.before(Call("ca.account_url"), raising(no))
    assert process.attempt().ending is Ending.FAILED
    assert world.process().attempt(OTHER).ending is Ending.STORED
    assert (world.row(OTHER).directory, world.row(OTHER).failures) == (OTHER_CA, 0)


@pytest.mark.parametrize(("kind", "status"), [("rateLimited", 429), ("", 503)])
@pytest.mark.parametrize("left", [None, 5], ids=["first", "little life"])
def test_a_ca_that_names_a_moment_is_passed_over_in_need(kind: str, status: int, left: int | None) -> None:
    """Once it has said so it is not asked again before; the fallback is, within minutes."""
    world = World(CA, OTHER_CA)
    world.enrol()
    world.enrol(OTHER)
    if left is not None:
        world.process().run()
        world.clock.wait_until(NOW + (90 - left) * DAY)
        world.forget_what_was()
    process = world.process()
    no = refusal(kind, "too many new orders", status, retry_after=world.clock() + DAY)
    process.calls.before(Call("ca.open_order"), raising(no))
    ended = process.attempt()
    assert (ended.ending, ended.retry_at, ended.failures) == (Ending.FAILED, int(world.clock()) + 60, 1)
    world.clock.wait_until(ended.retry_at)
    assert world.process().attempt().ending is Ending.STORED
    assert world.process().attempt(OTHER).ending is Ending.STORED
    assert {world.row(name).directory for name in (NAME, OTHER)} == {OTHER_CA}
    assert world.ca.opened == []


def test_where_all_cas_name_a_moment_the_first_to_be_free_is_asked() -> None:
    """At that moment, however often both have refused before."""
    world = World(CA, OTHER_CA)
    world.enrol()
    for seconds in (7 * DAY, 1800):  # of the first CA and of the other
        process = world.process()
        busy = refusal("", "busy", 503, retry_after=world.clock() + seconds)
        process.calls.before(Call("ca.open_order"), raising(busy))
        ended = process.attempt()
        assert ended.ending is Ending.FAILED
        world.clock.wait_until(ended.retry_at)
    ended = world.process().attempt()
    if ended.ending is not Ending.STORED:
        world.clock.wait_until(ended.retry_at)
        ended = world.process().attempt()
    assert (ended.ending, world.row().directory) == (Ending.STORED, OTHER_CA)
    assert world.clock() <= NOW + 60 + 1800 + 1


def test_with_life_left_a_moment_of_the_ca_is_waited_for() -> None:
    """However many CAs there are: it is no failure, and the first CA is asked at that moment."""
    world = World(CA, OTHER_CA)
    world.enrol()
    world.ca.offers_ari = False
    world.process().run()
    world.clock.wait_until(NOW + 65 * DAY)
    now = int(world.clock())
    process = world.process()
    limited = refusal("rateLimited", "too many new orders", 429, retry_after=now + 2000)
    process.calls.before(Call("ca.open_order"), raising(limited))
    ended = process.attempt()
    assert (ended.ending, ended.retry_at, of_ending(ended)) == (Ending.HELD, now + 2000, None)
    assert world.process().attempt().ending is Ending.NOT_DUE
    world.clock.wait_until(now + 2000)
    assert world.process().attempt().ending is Ending.STORED
    assert world.row().directory == CA


def test_a_hold_that_leaves_little_life_is_told() -> None:
    """By mail, as a failure is: also where the hold is that of another certificate, and before it has expired."""
    world = World()
    world.enrol()
    world.enrol(OTHER)
    world.ca.offers_ari = False
    world.process().run()
    world.clock.wait_until(NOW + 80 * DAY)
    process = world.process()
    limited = refusal("rateLimited", "too many new orders", 429, retry_after=world.clock() + DAY)
    process.calls.before(Call("ca.open_order"), raising(limited))
    for ended in (process.attempt(), process.attempt(OTHER)):
        told = of_ending(ended)
        assert told is not None
        assert (ended.ending, told.kind, told.next_attempt) == (Ending.HELD, EventKind.FAILED, ended.retry_at)
        assert "too many new orders" in f"{told.told.what} {told.told.why}"


def test_a_limit_is_kept_by_the_rows_of_all_issuers() -> None:
    """Two an hour: the third waits until the first leaves the span, whoever opens it, and no row of it stays."""
    world = World()
    limits = CaLimits(new_orders=Limit(2, 3600))
    names = [world.enrol(f"n{number}.example.test") for number in range(3)]
    endings = [paced(world.process(f"issuer{name}"), limits).attempt(name) for name in names]
    assert [ended.ending for ended in endings] == [Ending.STORED, Ending.STORED, Ending.HELD]
    assert endings[2].retry_at == world.row(names[2]).due_at == NOW + 3600
    assert world.tables.states(names[2]) == []
    assert len(world.ca.opened) == 2
    world.clock.wait_until(NOW + 3601)
    assert paced(world.process(), limits).attempt(names[2]).ending is Ending.STORED


@pytest.mark.parametrize(("failures", "expected"), [(1, CA), (2, OTHER_CA), (3, CA)])
def test_another_ca_in_need(failures: int, expected: str) -> None:
    """After two failures at the first CA the next attempt is another one's, then the first one's again."""
    world = World(CA, OTHER_CA)
    world.enrol()
    world.change(failures=failures, failure=Failure("no", reference="acme-unauthorized"))
    assert world.process().attempt().ending is Ending.STORED
    assert world.row().directory == expected
    assert [event.kind.value for event in world.events] == (["ca-changed"] if expected == OTHER_CA else [])


def test_an_order_that_is_out_stays_with_its_ca() -> None:
    """Another CA's turn comes for new orders only."""
    world = World(CA, OTHER_CA)
    world.enrol()
    process = world.process()
    process.calls.before(Call("ca.finalize"), raising(refusal("serverInternal", "oh", 500)))
    process.attempt()
    world.change(failures=2, failure=Failure("no", reference="acme-unauthorized"), due_at=None)
    assert world.process().attempt().ending is Ending.STORED
    assert world.row().directory == CA
    assert world.authorities[OTHER_CA].opened == []


def test_a_renewal_says_what_it_replaces() -> None:
    """To the CA that issued it (RFC 9773 §5); the pair before moves aside."""
    world = renewal()
    before = world.row()
    assert world.process().run()[NAME].ending is Ending.STORED
    [order] = world.ca.opened
    assert order.replaces != ""
    assert world.tables.old_pairs[NAME] == (before.crt, before.ca)
    assert world.row().crt != before.crt


def test_a_window_that_has_passed_long_before_our_own_moment() -> None:
    """The CA wants it replaced now: it is, people hear of it, and it counts for no limit."""
    world = World()
    world.enrol()
    world.process().run()
    [pem] = world.ca.certificates
    leaf = leaf_of(pem)
    assert isinstance(leaf, Leaf)
    world.ca.windows[leaf.ari_id] = RenewalInfo(NOW, NOW + 3600, "", None)
    world.clock.wait_until(NOW + DAY)
    process = paced(world.process(), CaLimits(new_orders=Limit(1, 7 * DAY)))
    assert process.run()[NAME].ending is Ending.STORED
    assert [event.kind.value for event in world.events] == ["incident"]
    assert world.tables.states() == [OrderState.STORED] * 2


@pytest.mark.parametrize("span", [(-3600, -1800), (-DAY, 60)], ids=["passed", "open"])
def test_a_ca_that_wants_every_certificate_replaced_at_once(span: tuple[int, int]) -> None:
    """It gets one order. Then each certificate lives for a tenth of its life first, and that is told."""
    world = World()
    world.enrol()
    world.process().run()

    def always(_: str) -> RenewalInfo:
        return RenewalInfo(int(world.clock()) + span[0], int(world.clock()) + span[1], "", None)

    world.ca.renewal_info = always  # type: ignore[method-assign,assignment]
    for _ in range(4 * 8):  # eight days, one run every six hours
        world.clock.wait_until(world.clock() + 6 * 3600 + 1)
        world.process().run()
    assert len(world.ca.opened) == 2
    row, now = world.row(), int(world.clock())
    step = forecast(row, now, RenewalSettings())
    leaf = row.present
    assert isinstance(leaf, Leaf)
    assert (row.early, step.at) == (True, leaf.starts + 9 * DAY)
    assert "put off: the certificate before was replaced early for it too" in step.why
    world.clock.wait_until(leaf.starts + 9 * DAY + 1)
    world.process().run()
    assert len(world.ca.opened) == 3


def test_renewal_information_that_is_not_to_be_had() -> None:
    """It is asked for again later; until then our own rule decides."""
    world = World()
    world.enrol()
    world.process().run()
    world.clock.wait_until(world.row().due_at or 0)
    process = world.process()
    process.calls.before(Call("ca.renewal_info"), raising(refusal("serverInternal", "oh", 500)))
    assert process.attempt().ending is Ending.NOT_DUE
    assert (world.row().failures, world.row().ari_at) == (0, None)
    assert world.row().due_at == world.row().ari_ask_at == int(world.clock()) + 6 * 3600


def test_nothing_is_asked_for_a_certificate_that_is_fine() -> None:
    """Not due, and its next moment is saved."""
    world = World()
    world.enrol()
    world.ca.offers_ari = False
    world.process().run()
    process = world.process()
    assert process.run() == {}
    assert process.attempt().ending is Ending.NOT_DUE
    assert [call for call in process.calls.made if call.method.startswith(("ca.", "zone."))] == []
