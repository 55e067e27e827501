"""What an error means: tables of cases, and what holds for every error in every state."""

import dataclasses
import itertools
from datetime import UTC, datetime, timedelta

import pytest

from common.errors import CertfleetError, ConfigError, FileError, Finding, RefusedError, Retry
from issuer.model.config import RenewalSettings
from issuer.model.enrolment import Enrolment
from issuer.model.errors import (
    AcmeProblem,
    BeingTakenBack,
    CompromisedKey,
    DnsError,
    GivenUp,
    LeaseLost,
    NotRegistered,
    OtherAccount,
    Overtaken,
    StoreError,
    WebrootError,
    WrongCertificate,
)
from issuer.model.failure import Failure
from issuer.model.limits import ACCOUNT
from issuer.model.orders import OrderRecord, OrderState
from issuer.model.outcomes import NOT_AGAIN, Ended, Ending, Waiting
from issuer.rules.retry import Circumstances, Fate, authority_index, consequence, next_authority
from tests.issuer.rules.test_renewal_and_retry import AUTHORITY, NAME, enrolment

NOW, HOUR, DAY = 1_800_000_000, 3600, 86400
POLICY = RenewalSettings()
SET = "too many certificates (5) already issued for this exact set of identifiers"
ERRORS: dict[str, CertfleetError] = {
    "silent": AcmeProblem("no answer"),
    "no": AcmeProblem("the CA could not validate", hint="look", kind="unauthorized", retry=Retry.LATER),
    "wrong": WrongCertificate("the chain is empty", "report it to the CA"),
    "terms": AcmeProblem("agree", hint="do so", kind="userActionRequired", status=403, retry=Retry.NEVER),
    "orders": AcmeProblem("limited", why="too many new orders", kind="rateLimited", status=429, retry_after=NOW + 2000),
    "set": AcmeProblem("limited", why=SET, kind="rateLimited", status=429, retry_after=NOW + 5000),
    "week": AcmeProblem("limited", why=SET, kind="rateLimited", status=429, retry_after=NOW + 7 * DAY),
    "month": AcmeProblem("limited", why=SET, kind="rateLimited", status=429, retry_after=NOW + 30 * DAY),
    "all week": AcmeProblem(
        "limited", why="too many new orders", kind="rateLimited", status=429, retry_after=NOW + 7 * DAY
    ),
    "past": AcmeProblem("limited", kind="rateLimited", status=429, retry_after=NOW - 5),
    "limit": AcmeProblem("limited", why="slow down", kind="rateLimited", status=429),
    "busy": AcmeProblem("busy", kind="serverInternal", status=503, retry_after=NOW + 2),
    "maintenance": AcmeProblem("busy", kind="serverInternal", status=503, retry_after=NOW + 5000),
    "account": OtherAccount("the CA said so"),
    "refused": NotRegistered(NOW + 5000, "the contact is none"),
    "key": DnsError("BADSIG", hint="copy the key", retry=Retry.NEVER),
    "unseen": DnsError("not visible in time"),
    "server": DnsError("no answer", retry=Retry.SOON),
    "webroot": WebrootError("not served"),
    "database": StoreError("away"),
    "file": FileError("cannot use account.pem"),
    "settings": ConfigError("configuration", [Finding("dns", "wrong")]),
    "csr": RefusedError("not usable"),
    "compromised": CompromisedKey([NAME]),
    "taken": BeingTakenBack(NAME),
    "fault": CertfleetError("a fault in certfleet itself"),
}
UNDER_WAY = [state for state in OrderState if state not in (OrderState.STORED, OrderState.FAILED)]


def order(state: OrderState = OrderState.ORDERED, age: int = 0) -> OrderRecord:
    return OrderRecord(1, NAME, state, "https://ca.example/dir", NOW - age, url="" if state.value == "PLANNED" else "u")


def pem(left: float) -> bytes:
    """Of 90 days, *left* are left at NOW."""
    begin = datetime.fromtimestamp(NOW, UTC) - timedelta(days=90 - left)
    return AUTHORITY.issue([NAME], days=90, not_before=begin).cert_pem


HOURS, LITTLE, MUCH = pem(0.1), pem(4), pem(40)


def met(**changes: object) -> Circumstances:
    """In the middle of an order of an enabled certificate, and of a row with these values instead."""
    names = {field.name for field in dataclasses.fields(Enrolment)}
    row = enrolment(**{name: value for name, value in changes.items() if name in names})
    base: dict[str, object] = {"order": order(), "asked": True, "now": NOW, "policy": POLICY}
    rest = {name: value for name, value in changes.items() if name not in names}
    return Circumstances(row, **(base | rest))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "changes", "ends", "says"),
    [
        # no answer: the order goes on, the schedule counts, the lease is given back
        ("silent", {}, (Ending.FAILED, Fate.GOES_ON, 60), ""),
        ("silent", {"failures": 3}, (Ending.FAILED, Fate.GOES_ON, DAY), ""),
        ("silent", {"order": None}, (Ending.FAILED, Fate.FORGOTTEN, 60), ""),
        ("silent", {"order": order(OrderState.PLANNED), "asked": False}, (Ending.FAILED, Fate.FORGOTTEN, 60), ""),
        ("silent", {"order": order(OrderState.PLANNED)}, (Ending.FAILED, Fate.GOES_ON, 60), ""),
        ("silent", {"stopping": True}, (Ending.STOPPED, Fate.GOES_ON, None), ""),
        # too old
        ("silent", {"order": order(age=DAY)}, (Ending.FAILED, Fate.ENDS, 60), ""),
        ("silent", {"order": order(OrderState.FINALIZING, DAY)}, (Ending.FAILED, Fate.GOES_ON, 60), ""),
        ("silent", {"order": order(OrderState.FINALIZING, 7 * DAY)}, (Ending.FAILED, Fate.ENDS, 60), ""),
        ("silent", {"order": order(OrderState.FINALIZING, DAY), "crt": LITTLE}, (Ending.FAILED, Fate.ENDS, 60), ""),
        # a disabled certificate is tried again only for the sake of its order
        ("silent", {"enabled": False}, (Ending.FAILED, Fate.GOES_ON, 60), ""),
        ("no", {"enabled": False}, (Ending.FAILED, Fate.ENDS, 60), f"look; {NOT_AGAIN}"),
        # the CA said no
        ("no", {}, (Ending.FAILED, Fate.ENDS, 60), "look"),
        ("no", {"stopping": True}, (Ending.FAILED, Fate.ENDS, 60), "look"),
        ("no", {"failures": 9, "crt": LITTLE}, (Ending.FAILED, Fate.ENDS, 4 * DAY // 8), "look"),
        ("no", {"failures": 9, "crt": MUCH}, (Ending.FAILED, Fate.ENDS, DAY), "look"),
        # a certificate that cannot be taken costs the next order another one
        ("wrong", {}, (Ending.FAILED, Fate.ENDS, DAY), "report it to the CA; tried every 24h only"),
        ("wrong", {"crt": LITTLE, "authorities": 2}, (Ending.FAILED, Fate.ENDS, DAY), "tried every 24h only"),
        ("wrong", {"policy": RenewalSettings(retry=(60, HOUR))}, (Ending.FAILED, Fate.ENDS, DAY), "tried every 24h"),
        ("fault", {}, (Ending.FAILED, Fate.ENDS, 60), ""),
        ("unseen", {}, (Ending.FAILED, Fate.ENDS, 60), ""),
        ("webroot", {}, (Ending.FAILED, Fate.ENDS, 60), ""),
        # what only a person can mend waits for the longest time, unless another CA may accept it
        ("terms", {}, (Ending.FAILED, Fate.ENDS, DAY), "do so; tried every 24h only; `issue NAME` once it is mended"),
        ("terms", {"crt": LITTLE}, (Ending.FAILED, Fate.ENDS, DAY), "do so; tried every 24h only"),
        ("terms", {"authorities": 2}, (Ending.FAILED, Fate.ENDS, 60), "do so"),
        ("terms", {"authorities": 2, "crt": LITTLE}, (Ending.FAILED, Fate.ENDS, 60), "do so"),
        ("terms", {"authorities": 2, "crt": MUCH}, (Ending.FAILED, Fate.ENDS, DAY), "tried every"),
        ("terms", {"enabled": False}, (Ending.FAILED, Fate.ENDS, DAY), NOT_AGAIN),
        ("key", {}, (Ending.FAILED, Fate.ENDS, DAY), "copy the key; tried every"),
        ("csr", {"order": None}, (Ending.FAILED, Fate.FORGOTTEN, DAY), "tried every"),
        ("compromised", {"order": None}, (Ending.FAILED, Fate.FORGOTTEN, DAY), "make a new key"),
        # our own trouble ends no order
        ("database", {}, (Ending.FAILED, Fate.GOES_ON, 60), ""),
        ("file", {}, (Ending.FAILED, Fate.GOES_ON, 60), ""),
        ("settings", {}, (Ending.FAILED, Fate.GOES_ON, DAY), "tried every"),
        ("server", {}, (Ending.FAILED, Fate.GOES_ON, 60), ""),
        ("taken", {}, (Ending.FAILED, Fate.GOES_ON, 60), ""),
        # another account's order is left to the issuer that has its key, but not for ever
        ("account", {}, (Ending.FAILED, Fate.GOES_ON, 60), "copy the account key"),
        ("account", {"failures": 3}, (Ending.FAILED, Fate.GOES_ON, DAY), "copy"),
        ("account", {"failures": 4}, (Ending.FAILED, Fate.ENDS, DAY), "copy"),
        # a moment that the CA names
        ("orders", {}, (Ending.HELD, Fate.GOES_ON, 2000), "--lift-hold"),
        ("orders", {"order": order(OrderState.PLANNED), "asked": False}, (Ending.HELD, Fate.FORGOTTEN, 2000), "lift"),
        ("orders", {"order": order(age=DAY)}, (Ending.HELD, Fate.ENDS, 2000), "lift"),
        ("orders", {"stopping": True}, (Ending.HELD, Fate.GOES_ON, 2000), "lift"),
        ("orders", {"enabled": False, "order": order(age=DAY)}, (Ending.HELD, Fate.ENDS, 2000), NOT_AGAIN),
        ("busy", {"order": order(OrderState.FINALIZING)}, (Ending.HELD, Fate.GOES_ON, 2), "lift"),
        ("past", {}, (Ending.HELD, Fate.GOES_ON, 1), "lift"),
        ("week", {}, (Ending.HELD, Fate.GOES_ON, 7 * DAY), "lift"),
        ("month", {}, (Ending.HELD, Fate.GOES_ON, 7 * DAY), "lift"),
        ("week", {"crt": MUCH}, (Ending.HELD, Fate.GOES_ON, 7 * DAY), "lift"),
        ("week", {"crt": pem(14)}, (Ending.HELD, Fate.GOES_ON, int(2.75 * DAY)), "lift"),
        ("week", {"crt": pem(12)}, (Ending.HELD, Fate.GOES_ON, DAY), "lift"),
        ("all week", {}, (Ending.HELD, Fate.GOES_ON, DAY), "lift"),
        ("set", {}, (Ending.HELD, Fate.GOES_ON, 5000), "lift"),
        ("orders", {"crt": pem(0.1)}, (Ending.HELD, Fate.GOES_ON, 2000), "lift"),
        ("set", {"crt": pem(0.1)}, (Ending.HELD, Fate.GOES_ON, 1080), "lift"),
        ("week", {"crt": LITTLE}, (Ending.HELD, Fate.GOES_ON, 4 * DAY // 8), "lift"),
        ("set", {"crt": HOURS}, (Ending.HELD, Fate.GOES_ON, int(0.1 * DAY) // 8), "lift"),
        ("orders", {"crt": HOURS}, (Ending.HELD, Fate.GOES_ON, 2000), "lift"),
        ("orders", {"order": None}, (Ending.FAILED, Fate.FORGOTTEN, 60), ""),
        # in need another CA may be asked meanwhile, but for an order that the CA knows
        ("orders", {"authorities": 2, "order": order(OrderState.PLANNED)}, (Ending.FAILED, Fate.GOES_ON, 60), "CA is"),
        ("orders", {"authorities": 2, "order": order(age=DAY)}, (Ending.FAILED, Fate.ENDS, 60), "another CA"),
        ("orders", {"authorities": 2}, (Ending.HELD, Fate.GOES_ON, 2000), "lift"),
        ("busy", {"authorities": 2, "order": order(OrderState.FINALIZING)}, (Ending.HELD, Fate.GOES_ON, 2), "lift"),
        (
            "orders",
            {"authorities": 2, "order": order(OrderState.PLANNED), "crt": LITTLE},
            (Ending.FAILED, Fate.GOES_ON, 60),
            "another CA is asked next",
        ),
        (
            "orders",
            {"authorities": 2, "order": order(OrderState.PLANNED), "crt": MUCH},
            (Ending.HELD, Fate.GOES_ON, 2000),
            "lift",
        ),
        # a moment before the first retry is waited for, and one before the next retry is kept to
        ("busy", {"authorities": 2, "order": order(OrderState.PLANNED)}, (Ending.HELD, Fate.GOES_ON, 2), "lift"),
        (
            "orders",
            {"authorities": 2, "order": order(OrderState.PLANNED), "failures": 9},
            (Ending.FAILED, Fate.GOES_ON, 2000),
            "another CA is asked next",
        ),
        ("refused", {"order": None}, (Ending.HELD, Fate.FORGOTTEN, 5000), "--retry"),
        ("refused", {"order": None, "authorities": 2}, (Ending.FAILED, Fate.FORGOTTEN, 60), "another CA is asked next"),
        ("limit", {}, (Ending.FAILED, Fate.GOES_ON, 60), ""),
    ],
)
def test_what_an_error_means(
    error: str, changes: dict[str, object], ends: tuple[Ending, Fate, int | None], says: str
) -> None:
    """How the attempt ends, what becomes of the order, when it is tried again, and what people are told to do."""
    found = consequence(ERRORS[error], met(**changes))
    assert isinstance(found.outcome, Ended)
    seconds = found.outcome.retry_at - NOW if found.outcome.retry_at else None
    assert (found.outcome.ending, found.fate, seconds) == ends
    assert says in (found.outcome.failure.hint if found.outcome.failure else "")


@pytest.mark.parametrize("state", UNDER_WAY)
@pytest.mark.parametrize(
    ("error", "ending", "fate"),
    [
        (LeaseLost("gone"), Ending.ELSEWHERE, Fate.ELSEWHERE),
        (GivenUp(NAME, "its key was revoked", to_revoke="0A"), Ending.GIVEN_UP, Fate.ENDED_BEFORE),
        (Overtaken(NAME), Ending.NOT_DUE, Fate.ENDED_BEFORE),
    ],
)
def test_an_order_that_is_not_ours_any_more(
    error: CertfleetError, ending: Ending, fate: Fate, state: OrderState
) -> None:
    """It is no failure of the certificate, in whichever state and also where everything ends."""
    for changes in ({}, {"stopping": True}, {"enabled": False}, {"crt": LITTLE}):
        found = consequence(error, met(order=order(state), quick_tries=3, **changes))
        assert isinstance(found.outcome, Ended)
        assert (found.outcome.ending, found.fate, found.outcome.retry_at) == (ending, fate, 0)


@pytest.mark.parametrize(
    ("error", "blinks"),
    [
        *((name, True) for name in ("silent", "server", "taken")),
        *((name, False) for name in ("no", "limit", "orders", "database", "file", "settings", "account", "unseen")),
    ],
)
def test_a_blink_costs_no_failure(error: str, blinks: bool) -> None:
    """No answer: the step is repeated at once, each time after twice the pause, but not for ever."""
    pauses = []
    for tries in range(4):
        found = consequence(ERRORS[error], met(tries=tries, quick_tries=3))
        if isinstance(found.outcome, Waiting):
            pauses.append(found.outcome.at - NOW)
    assert pauses == ([0.5, 1.0, 2.0] if blinks else [])


EVERY = list(itertools.product([None, *UNDER_WAY], [None, LITTLE, MUCH], [True, False], [1, 2], [0, 9], [True, False]))


@pytest.mark.sampled
@pytest.mark.parametrize("error", sorted(ERRORS.keys() - {"refused"}))  # that one meets a hold which stands already
def test_whatever_happens(error: str) -> None:
    """Each error in each state, with little life left and much, enabled and not, of one and two CAs, at the first and
    the tenth failure, asked for or not: there is a moment in the future, a promise only where somebody keeps it, no
    order that the CA cannot know of is kept, and nothing but an answer by the CA or its age ends one."""
    no = {"wrong", "no", "terms", "key", "unseen", "webroot", "csr", "compromised", "fault", "account"}
    for state, crt, enabled, authorities, failures, in_doubt in EVERY:
        record = None if state is None else order(state)
        asked = in_doubt or state not in (None, OrderState.PLANNED)
        case = met(
            order=record, crt=crt or b"", enabled=enabled, authorities=authorities, failures=failures, asked=asked
        )
        found = consequence(ERRORS[error], case)
        outcome = found.outcome
        assert isinstance(outcome, Ended)
        assert NOW < outcome.retry_at <= NOW + (7 * DAY if found.held == NAME else DAY)
        assert outcome.by_itself == (enabled or found.fate is Fate.GOES_ON)
        assert outcome.failure is not None
        assert (NOT_AGAIN in outcome.failure.hint) == (not outcome.by_itself)
        assert (found.fate is Fate.FORGOTTEN) >= (state is None)
        if state is OrderState.PLANNED and not asked:
            assert found.fate is not Fate.GOES_ON
        if found.fate is Fate.ENDS:
            assert error in no
        if outcome.ending is Ending.FAILED:
            assert outcome.failures == failures + 1
            assert found.held == "" or (authorities > 1 and crt != MUCH and state is OrderState.PLANNED)
        else:
            assert outcome.ending is Ending.HELD
            assert found.held in (ACCOUNT, NAME)
            assert found.until == outcome.retry_at
            assert outcome.urgent == (crt == LITTLE)


@pytest.mark.parametrize(
    ("failures", "reference", "crt", "count", "index"),
    [
        (0, "", b"", 2, 0),
        (1, "acme-unauthorized", b"", 2, 0),
        (2, "acme-unauthorized", b"", 2, 1),
        (3, "acme-problem", b"", 2, 0),
        (3, "acme-problem", b"", 3, 2),
        (2, "acme-problem", b"", 1, 0),
        (2, "wrong-certificate", b"", 2, 1),
        (2, "dns", b"", 2, 0),
        (2, "acme-problem", LITTLE, 2, 1),
        (2, "acme-problem", MUCH, 2, 0),
    ],
)
def test_whose_turn_it_is(failures: int, reference: str, crt: bytes, count: int, index: int) -> None:
    """The first CA until it failed twice in need; then each in turn."""
    failure = Failure("failed", reference=reference) if failures else None
    case = met(failures=failures, failure=failure, crt=crt)
    assert authority_index(case.row, count, case.left) == index


@pytest.mark.parametrize(
    ("crt", "held", "asked"),
    [
        (b"", {}, "one"),
        (b"", {"one": DAY}, "two"),
        (b"", {"one": 60}, "one"),
        (b"", {"one": DAY, "two": DAY}, "three"),
        (b"", {"one": 7 * DAY, "two": DAY, "three": 2 * DAY}, "two"),
        (LITTLE, {"one": DAY}, "two"),
        (MUCH, {"one": DAY}, "one"),
    ],
)
def test_one_that_is_held_is_passed_over_in_need(crt: bytes, held: dict[str, int], asked: str) -> None:
    """Unless it is free soon. Where all are held, the first to be free is asked."""
    case = met(crt=crt)
    found = next_authority(case.row, ["one", "two", "three"], case.left, lambda ca: NOW + held.get(ca, -NOW), NOW + 60)
    assert found == asked
