"""`on_ca_change = "hold"`: the first certificate from another CA is kept, and hosts get it after an approval, after
`hold_for`, or when the life of the present one gets short."""

import dataclasses

import pytest

from common.certificate import fingerprint, issuer_text
from common.errors import RefusedError
from issuer.journey.approval import offer
from issuer.model.config import AWAIT_APPROVAL, RenewalSettings
from issuer.model.enrolment import Enrolment
from issuer.model.events import EventKind
from issuer.model.leaf import Damaged
from issuer.model.orders import Cause, new_order
from issuer.model.outcomes import Ended, Ending
from issuer.rules.acceptance import Past
from issuer.rules.approval import approval_wanted_until, offered_at
from issuer.rules.forecast import forecast, waits_longer
from tests.issuer.fakes.calls import Call, Killed
from tests.issuer.fakes.clock import NOW
from tests.issuer.fakes.world import NAME, Process, World
from tests.servers.authority import Authority

DAY = 86400
POLICY = RenewalSettings(on_ca_change=AWAIT_APPROVAL)
OTHER = "other.example.test"


def process(world: World, policy: RenewalSettings = POLICY) -> Process:
    """An issuer process with that policy."""
    made = world.process()
    made.tools = dataclasses.replace(made.tools, settings=dataclasses.replace(made.tools.settings, renewal=policy))
    return made


def run(world: World, policy: RenewalSettings = POLICY) -> dict[str, Ended]:
    return process(world, policy).run()


def issuer_of(row: Enrolment) -> str:
    """The issuer of the present certificate."""
    bundle = row.bundle
    assert not isinstance(bundle, Damaged)
    return issuer_text(bundle.leaf)


@pytest.fixture
def aged() -> World:
    """Two certificates whose renewal has just come, at a CA that signs with another intermediate from now on."""
    world = World()
    world.ca.offers_ari = False
    world.enrol()
    world.enrol(OTHER)
    run(world)
    world.clock.wait_until(NOW + 62 * DAY)
    world.forget_what_was()
    world.events.clear()
    world.ca.signer = Authority("Memory Root").intermediate("Next CA")
    return world


def test_the_first_certificate_from_another_ca_waits(aged: World) -> None:
    """For every name, until one of them is approved; people hear of each, with the command that approves it. Nothing is
    ordered again meanwhile, and hosts go on with the certificate that they have."""
    before = aged.row()
    ended = run(aged)[NAME]
    assert (ended.ending, "waits for approval until" in ended.detail) == (Ending.STORED, True)
    row = aged.row()
    assert (row.crt, row.statement, row.directory) == (before.crt, before.statement, before.directory)
    assert row.waiting is not None
    assert aged.row(OTHER).waiting is not None
    told = {event.name: event for event in aged.events if event.kind is EventKind.CA_CHANGED}
    assert set(told) == {NAME, OTHER}
    assert "hosts get it at" in told[NAME].told.what
    assert f"approve {NAME}" in told[NAME].told.hint
    assert run(aged) == {}
    assert aged.process().run() == {}, "nor by an issuer that only notifies"
    assert (len(aged.ca.opened), aged.left) == (2, [])


def test_it_is_offered_when_its_time_is_over(aged: World) -> None:
    """With all that it would have got at once; then its CA is known, and certificates of others wait no more."""
    run(aged)
    opened = len(aged.ca.opened)
    aged.clock.wait_until(NOW + 62 * DAY + POLICY.hold_for - 60)
    assert run(aged) == {}
    aged.clock.wait_until(NOW + 62 * DAY + POLICY.hold_for + 60)
    assert {ended.ending for ended in run(aged).values()} == {Ending.STORED}
    row = aged.row()
    assert "Next CA" in issuer_of(row)
    assert (row.unapproved, row.directory, row.account) == ("", aged.ca.directory, aged.ca.account_id)
    assert fingerprint(row.bundle.leaf) in aged.seals.past(NAME).stored  # type: ignore[union-attr]
    assert len(aged.ca.opened) == opened
    third = aged.enrol("third.example.test")
    assert run(aged)[third].ending is Ending.STORED
    assert aged.row(third).crt


def test_without_a_time_it_waits_until_life_gets_short(aged: World) -> None:
    """Then half of the time from the renewal to the end has passed, which would be an alarm."""
    patient = RenewalSettings(on_ca_change=AWAIT_APPROVAL, hold_for=0)
    run(aged, patient)
    at = offered_at(aged.row(), patient)
    assert at is not None
    left = aged.row().ends - at
    assert 14 * DAY < left < 16 * DAY
    aged.clock.wait_until(at - 60)
    assert run(aged, patient) == {}
    assert not waits_longer(aged.row(), int(aged.clock()), patient), "it is no hold of a limit"
    assert forecast(aged.row(), int(aged.clock()), patient).at == at
    aged.clock.wait_until(at)
    assert run(aged, patient)[NAME].ending is Ending.STORED
    assert "Next CA" in issuer_of(aged.row())


def test_an_approval_offers_it_at_once(aged: World) -> None:
    """Once: it is not stored twice. The other name waits for an approval of its own."""
    run(aged)
    tools, row = process(aged).tools, aged.row()
    done = offer(row, tools.approvals, tools.seals, POLICY, int(aged.clock()))
    assert done is not None
    assert done.startswith("serial ")
    assert "Next CA" in issuer_of(aged.row())
    with pytest.raises(RefusedError, match="it was stored before"):
        offer(row, tools.approvals, tools.seals, POLICY, int(aged.clock()))
    aged.seals.pasts.clear()
    assert offer(row, tools.approvals, tools.seals, POLICY, int(aged.clock())) is None
    assert "Memory CA" in issuer_of(aged.row(OTHER)), "each name is approved for itself"
    assert run(aged) == {}


def test_a_newer_one_takes_its_place(aged: World) -> None:
    """A person wants another one meanwhile: that waits now. Back at the CA from before, nothing waits any more."""
    run(aged)
    first = aged.row().waiting
    process(aged).tools.certificates.request_reissue([NAME], "by hand")
    assert run(aged)[NAME].ending is Ending.STORED
    second = aged.row().waiting
    assert first is not None
    assert second is not None
    assert second.sha256 != first.sha256
    assert aged.row().reissue_reason == ""
    aged.ca.signer = Authority("Memory Root").intermediate("Memory CA")
    process(aged).tools.certificates.request_reissue([NAME], "by hand")
    run(aged)
    assert aged.row().unapproved == ""
    assert "Memory CA" in issuer_of(aged.row())


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("moment", ["certificates.store", "approvals.offer"])
def test_killed_beside_it(aged: World, moment: str, when: str) -> None:
    """Before or after the database has it: the next process goes on, and no certificate is ordered twice."""
    if moment == "approvals.offer":
        run(aged)
        aged.clock.wait_until(aged.clock() + POLICY.hold_for + 60)
    dying = process(aged)
    getattr(dying.calls, when)(Call(moment), dying.calls.kill)
    with pytest.raises(Killed):
        dying.run()
    for _ in range(2):
        aged.clock.wait_until(aged.clock() + 3600)
        run(aged)
    assert (len(aged.ca.opened), aged.left) == (2, [])
    assert {bool(aged.row(name).unapproved) for name in (NAME, OTHER)} == {moment == "certificates.store"}


def test_the_words_of_others_count_for_nothing(aged: World) -> None:
    """A line that no issuer wrote, or one of another name, keeps no renewal away, and offers nothing."""
    run(aged)
    line = aged.row().unapproved
    planted = line.replace("key mac", "key forged")
    nested = f"key mac {'[' * 100_000}"
    for name, text in ((NAME, planted), (OTHER, line), (NAME, "garbage"), (NAME, nested)):
        aged.change(name, unapproved=text, due_at=None)
        aged.ca.signer = Authority("Memory Root").intermediate("Memory CA")
        assert run(aged)[name].ending is Ending.STORED
        assert aged.row(name).unapproved == ""
        assert "Memory CA" in issuer_of(aged.row(name))
        aged.clock.wait_until(aged.clock() + 62 * DAY)


@pytest.mark.parametrize("past", ["revoked", "stored"])
def test_one_that_must_not_be_used_gives_way(aged: World, past: str) -> None:
    """It was revoked meanwhile, or was the present one before and somebody went back from it: a new one is ordered."""
    run(aged)
    row = aged.row()
    assert row.waiting is not None
    before = aged.seals.past(NAME)
    known = before.stored | {row.waiting.sha256} if past == "stored" else before.stored
    aged.seals.pasts[NAME] = Past(known, frozenset([row.waiting.sha256] if past == "revoked" else ()), before.issued)
    tools = process(aged).tools
    with pytest.raises(RefusedError, match="cannot be used"):
        offer(row, tools.approvals, tools.seals, POLICY, int(aged.clock()))
    opened = len(aged.ca.opened)
    aged.clock.wait_until(aged.clock() + POLICY.hold_for + 60)
    assert run(aged)[NAME].ending is Ending.STORED
    assert len(aged.ca.opened) == opened + 1


@pytest.mark.parametrize(
    ("state", "waits"),
    [
        ({}, True),
        ({"revoked": True}, False),
        ({"crt": b"damaged"}, False),
        ({"imported": True}, False),
        ({"crt": b""}, False),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_may_wait(aged: World, state: dict[str, object], waits: bool) -> None:
    """Only beside a present certificate that is good."""
    aged.change(NAME, **state)
    record = aged.process().tools.orders.open(new_order(NAME, aged.ca.directory, int(aged.clock()), Cause.RENEWAL), [])
    assert record is not None
    assert bool(approval_wanted_until(aged.row(), record, int(aged.clock()), POLICY)) is waits
    assert approval_wanted_until(aged.row(), record, int(aged.clock()), RenewalSettings()) == 0
