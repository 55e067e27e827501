"""When a certificate is renewed and when a failed attempt is made again: tables of cases."""

import dataclasses
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.certificate import not_after, parse_bundle, spki_sha256
from issuer.model.config import RenewalSettings
from issuer.model.enrolment import Enrolment
from issuer.model.failure import Failure
from issuer.model.orders import Cause
from issuer.model.watch import Watch
from issuer.rules.due import Due, NotDue, decide
from issuer.rules.health import health, severity, state_of
from issuer.rules.renewal import Remaining, remaining, renewal, renewal_moment
from issuer.rules.retry import retry_moment
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority

DAY = 86400
START = 1_800_000_000
POLICY = RenewalSettings()
NOW = int(time.time())
SOON = NOW + DAY - 60
NAME = "www.example.test"
AUTHORITY = Authority("Root").intermediate("CA")


@pytest.mark.parametrize(
    ("days", "fraction", "floor", "expected"),
    [
        (90, 0.333, 0, 90 * (1 - 0.333)),
        (45, 0.333, 0, 45 * (1 - 0.333)),
        (398, 0.25, 0, 398 * 0.75),
        (10, 0.333, 0, 10 * (1 - 0.333)),
        (9.9, 0.333, 0, 9.9 * 0.5),
        (6, 0.333, 0, 3),
        (6, 0.7, 0, 6 * 0.3),
        (90, 0.333, 40, 50),
        (90, 0.333, 20, 90 * (1 - 0.333)),  # the floor only moves it earlier
        (6, 0.333, 30, 0.6),  # a tenth of the life always passes first
        (90, 0.99, 0, 9),
    ],
)
def test_moments(days: float, fraction: float, floor: int, expected: float) -> None:
    """A fraction of the life is left, half of it below ten days; jitter moves it earlier by 2 % at the most."""
    policy = RenewalSettings(fraction_left=fraction, days_left=floor)
    moment = (renewal_moment(NAME, START, START + int(days * DAY), policy) - START) / DAY
    assert max(expected - 0.02 * days, 0.1 * days) - 0.001 <= moment <= max(expected, 0.1 * days) + 0.001


@pytest.mark.parametrize(
    ("life", "floor", "suggested", "expected"),
    [
        (90, 0, 28, 28),
        (90, 1, 28, 28),  # fraction_left would be 30: it does not count
        (90, 40, 28, 40),
        (6, 30, 2, 5.4),  # a tenth of the life always passes first
        (90, 0, 1, 4.5),
        (90, 2, 1, 4.5),
    ],
)
def test_moments_with_a_window_of_the_ca(life: int, floor: int, suggested: int, expected: float) -> None:
    """The CA's moment stands in place of fraction_left; days_left and the last twentieth of the life come before it."""
    ends = START + life * DAY
    row = enrolment(ari_at=ends - suggested * DAY)
    left = (ends - renewal(row, START, ends, RenewalSettings(days_left=floor)).at) / DAY
    assert expected <= left <= expected + (0.02 * life if expected == floor else 0)


def test_jitter_spreads_a_fleet_and_is_the_same_at_each_look() -> None:
    """A thousand certificates of one day are spread over most of the 2 %, each with a moment of its own for good."""
    names = [f"n{number}.example.test" for number in range(1000)]
    moments = [renewal_moment(name, START, START + 90 * DAY, POLICY) for name in names]
    assert moments == [renewal_moment(name, START, START + 90 * DAY, POLICY) for name in names]
    assert max(moments) - min(moments) > 0.019 * 90 * DAY
    latest = START + int(90 * DAY * (1 - POLICY.fraction_left))
    assert all(latest - 0.02 * 90 * DAY - 1 <= moment <= latest for moment in moments)


@pytest.mark.parametrize(
    ("failures", "expected"), [(1, 60), (2, 600), (3, 3600), (4, 86400), (5, 86400), (1000, 86400)]
)
def test_the_retry_schedule(failures: int, expected: int) -> None:
    """The waiting times of the schedule in their order; the last one for ever."""
    assert retry_moment(failures, START, POLICY.retry, None) == START + expected
    assert retry_moment(failures, START, POLICY.retry, Remaining(40 * DAY, 0.44)) == START + expected


@pytest.mark.parametrize(
    ("left", "fraction", "expected"),
    [(8 * 3600, 0.01, 3600), (480, 0.001, 60), (-5, -0.1, 60), (80 * 3600, 0.1, 36000)],
)
def test_little_life_left_is_a_reason_to_hurry(left: int, fraction: float, expected: int) -> None:
    """An eighth of what is left at the most, but never more often than the schedule begins."""
    assert retry_moment(9, START, POLICY.retry, Remaining(left, fraction)) == START + expected


@pytest.mark.parametrize(("days_left", "little"), [(11.3, False), (11.2, True), (0, True), (-1, True)])
def test_little_is_less_than_an_eighth(days_left: float, little: bool) -> None:
    """Of 90 days, that is less than 11.25."""
    left = remaining(enrolment(crt=OURS), int(not_after(parse_bundle(OURS).leaf) - days_left * DAY))
    assert left is not None
    assert left.little is little


def enrolment(**changes: object) -> Enrolment:
    """A row as it is after `populate` and `enable`, with these values instead."""
    empty: dict[str, object] = {}
    for field in dataclasses.fields(Enrolment):
        kind = getattr(field.type, "__name__", "")
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            plain: dict[str, object] = {"str": "", "bytes": b"", "int": 0, "bool": False}
            empty[field.name] = plain.get(kind)
    return Enrolment(**(empty | {"name": NAME, "enabled": True, "csr": csr([NAME])} | changes))  # type: ignore[arg-type]


def pem(days: float, age: float) -> bytes:
    """A certificate of that lifetime that began *age* days ago."""
    return AUTHORITY.sign(csr([NAME]), days, datetime.now(UTC) - timedelta(days=age)).cert_pem


OURS = GOOD = pem(90, 1)
FOREIGN = AUTHORITY.issue([NAME], days=90).cert_pem
HIDDEN = {"ts_expire": 9_999_999_999, "due_at": 9_999_999_999}
OH = Failure("oh")
KEY = frozenset([spki_sha256(parse_bundle(OURS).leaf.public_key())])


@pytest.mark.parametrize(
    ("changes", "decision", "reason"),
    [
        ({}, Due, Cause.FIRST),
        ({"enabled": False}, NotDue, "disabled"),
        ({"enabled": False, "reissue_reason": "by hand"}, Due, Cause.WISH),
        ({"reissue_reason": "by hand", "due_at": SOON}, NotDue, "valid"),
        ({"due_at": SOON, "failures": 1}, NotDue, "waiting to try again"),
        ({"due_at": 1, "failures": 1}, Due, Cause.FIRST),
        ({"crt": b"damaged"}, Due, Cause.DAMAGED),
        ({"crt": pem(90, 1)}, NotDue, "valid"),
        ({"crt": pem(90, 65)}, Due, Cause.RENEWAL),
        ({"crt": pem(90, 91)}, Due, Cause.EXPIRED),
        ({"crt": pem(6, 2)}, NotDue, "valid"),
        ({"crt": pem(6, 3.5)}, Due, Cause.RENEWAL),
        ({"crt": pem(90, 65), "due_at": SOON}, NotDue, "valid"),
        # a window of the CA that is open, one that has passed, one of the year 1, and one that nobody could read
        ({"crt": pem(90, 1), "ari_at": 5, "ari_window": (1, SOON)}, Due, Cause.SUGGESTED),
        ({"crt": pem(90, 1), "ari_at": 5, "ari_window": (1, 9)}, Due, Cause.INCIDENT),
        ({"crt": pem(90, 1), "ari_at": -62135596800, "ari_window": (-62135596800, -62135596800)}, Due, Cause.INCIDENT),
        ({"crt": pem(90, 1), "ari_at": SOON, "ari_window": None}, NotDue, "valid"),
        # a window for a certificate that was itself ordered early counts from a tenth of its life on
        ({"crt": pem(90, 8), "ari_at": 5, "ari_window": (1, SOON), "early": True}, NotDue, "valid"),
        ({"crt": pem(90, 8), "ari_at": 5, "ari_window": (1, 9), "early": True}, NotDue, "valid"),
        ({"crt": pem(90, 10), "ari_at": 5, "ari_window": (1, 9), "early": True}, Due, Cause.INCIDENT),
        ({"crt": pem(90, 65), "ari_at": 5, "ari_window": (1, SOON), "early": True}, Due, Cause.SUGGESTED),
        # what somebody set by hand, or an old script
        ({"crt": GOOD, "ts_expire": 1}, Due, Cause.FORCED),
        ({"crt": GOOD, "ts_expire": 0}, Due, Cause.FORCED),
        ({"crt": GOOD, "ts_expire": -9}, Due, Cause.FORCED),
        ({"crt": GOOD, "ts_expire": SOON - DAY}, Due, Cause.FORCED),
        ({"crt": GOOD, "ts_expire": 1, "due_at": SOON}, Due, Cause.FORCED),  # saved before that
        ({"crt": GOOD, "ts_expire": 1, "due_at": SOON, "failures": 2}, Due, Cause.FORCED),  # counted by an old script
        ({"crt": GOOD, "ts_expire": 1, "due_at": SOON, "failures": 2, "failure": OH}, NotDue, "waiting to try again"),
        ({"crt": GOOD, "ts_expire": 1, "enabled": False}, NotDue, "disabled"),
        ({"crt": GOOD, "ts_expire": 1, "imported": True}, NotDue, "imported"),
        ({"crt": GOOD, "ts_expire": None}, NotDue, "valid"),  # no number says nothing
        ({"crt": GOOD, "ts_expire": SOON}, NotDue, "valid"),  # neither does another end that is still to come
        ({"crt": pem(90, 91), "ts_expire": 1}, Due, Cause.EXPIRED),
        ({"crt": pem(90, 91), "ts_expire": 1, "due_at": SOON}, Due, Cause.EXPIRED),  # whoever puts an overdue one off
        ({"crt": pem(90, 80), "due_at": SOON}, Due, Cause.RENEWAL),
        ({"crt": b"damaged", "ts_expire": 1}, Due, Cause.DAMAGED),
        ({"ts_expire": 1}, Due, Cause.FIRST),
        ({"ts_expire": 1, "due_at": SOON}, NotDue, "valid"),
        # what a clock left that was wrong
        ({"reissue_reason": "by hand", "due_at": SOON + DAY}, Due, Cause.WISH),
        ({"due_at": SOON + DAY, "failures": 1, "failure": Failure("x")}, Due, Cause.FIRST),
        ({"due_at": SOON + DAY}, NotDue, "valid"),  # one of many first certificates that a CA's limit holds up
        ({"due_at": SOON + 7 * DAY}, Due, Cause.FIRST),
        ({"crt": pem(90, 65), "due_at": SOON + DAY}, Due, Cause.RENEWAL),
        ({"crt": pem(90, 1), "due_at": SOON + 30 * DAY}, NotDue, "valid"),
        ({"crt": b"damaged", "due_at": SOON + DAY}, Due, Cause.DAMAGED),
        # another certificate in the place of ours, and one that was meant
        ({"crt": FOREIGN, "directory": "ca"}, Due, Cause.MISFIT),
        ({"crt": FOREIGN, "directory": "ca", "due_at": SOON + DAY}, Due, Cause.MISFIT),
        ({"crt": FOREIGN, "directory": "ca", "due_at": SOON}, NotDue, "valid"),  # a retry, or a limit of the CA
        ({"crt": FOREIGN, "directory": "ca", "rolled_back": "sha"}, NotDue, "valid"),
        ({"crt": FOREIGN}, NotDue, "valid"),  # adopted: its CSR is for the next renewal
        ({"crt": FOREIGN, "directory": "ca", "csr": b"damaged"}, NotDue, "valid"),
    ],
)
def test_what_is_due(changes: dict[str, object], decision: type, reason: str | Cause) -> None:
    """Each row is due or not, with the reason."""
    found = decide(enrolment(**changes), int(time.time()), POLICY, consulted=True)
    assert isinstance(found, decision)
    assert (found.cause if isinstance(found, Due) else getattr(found, "reason", "")) == reason


@pytest.mark.parametrize(
    ("window", "cause"),
    [((59, 61), Cause.SUGGESTED), ((45, 46), Cause.SUGGESTED), ((20, 44), Cause.INCIDENT), ((0, 0), Cause.INCIDENT)],
)
def test_a_window_that_passed_before_our_own_moment(window: tuple[int, int], cause: Cause) -> None:
    """Where a fifth of 90 days is to be left, a planned window passes first, between two runs a day apart: that is no
    incident. One that ended in the first half of the life is."""
    start = NOW - 62 * DAY
    policy, (opens, ends) = RenewalSettings(fraction_left=0.2), (start + day * DAY for day in window)
    row = enrolment(crt=pem(90, 62), ari_at=opens, ari_window=(opens, ends))
    assert decide(row, NOW, policy, consulted=True) == Due(NAME, cause)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("waiting for its first certificate", True)),
        ({"failures": 1, "failure": Failure("x")}, ("failing", False)),
        ({"failures": 10, "failure": Failure("x")}, ("stuck", False)),
        ({"failures": 3, "crt": OURS}, ("valid", True)),  # counted by an old script
        ({"revoked": True, "crt": b"x", "ts_expire": NOW + 1}, ("revoked", False)),
        ({"crt": OURS, "watch": Watch(audit_at=NOW, found=frozenset({"revoked"}))}, ("revoked", False)),  # by its CA
        ({"crt": OURS, "watch": Watch(found=frozenset({"revoked"}))}, ("valid", True)),  # a new one since that audit
        ({"crt": b"x", "ts_expire": NOW + 1}, ("damaged", False)),
        ({"crt": b"x", "ts_expire": NOW + 1, "failures": 1, "failure": OH}, ("failing", False)),
        ({"crt": b"x", "ts_expire": NOW + 1, "enabled": False}, ("disabled", True)),
        ({"crt": b"x", "ts_expire": NOW}, ("expired", False)),
        ({"crt": b"x", "ts_expire": NOW, "enabled": False}, ("disabled, expired", True)),
        ({"crt": OURS, "ts_expire": 1}, ("valid", True)),  # set by hand: the certificate knows its end better
        # one UPDATE by somebody who wants to hide an end: the certificate knows it
        ({"crt": pem(90, 91), **HIDDEN}, ("expired", False)),
        ({"crt": pem(90, 91), **HIDDEN, "imported": True}, ("expired", False)),
        ({"crt": pem(90, 80), **HIDDEN, "imported": True}, ("ends soon", False)),
        ({"crt": pem(90, 80), **HIDDEN}, ("ends soon", False)),
        ({"crt": pem(90, 88), **HIDDEN, "ari_at": NOW + 999 * DAY}, ("ends soon", False)),
        ({"crt": pem(90, 70), **HIDDEN}, ("valid", True)),  # a third of the time in which it is renewed has passed
        ({"crt": pem(6, 5), **HIDDEN}, ("ends soon", False)),
        ({"crt": pem(90, 80), "failures": 1, "failure": OH}, ("failing", False)),
        # another certificate in the place of ours
        ({"crt": FOREIGN}, ("wrong key", False)),
        ({"crt": FOREIGN, "enabled": False}, ("disabled", True)),
        ({"crt": FOREIGN, "imported": True}, ("valid", True)),
        ({"crt": FOREIGN, "rolled_back": "sha"}, ("valid, rolled back", True)),
        ({"crt": FOREIGN, "csr": b""}, ("valid", True)),
        ({"failures": 3, "enabled": False}, ("disabled", True)),
        ({"crt": OURS, "ts_expire": NOW + 1, "compromised": KEY}, ("key compromised", False)),
        (
            {"crt": OURS, "ts_expire": NOW + 1, "compromised": KEY, "enabled": False},
            ("disabled, key compromised", False),
        ),
        ({"crt": OURS, "ts_expire": NOW + 1, "compromised": frozenset(["another"])}, ("valid", True)),
    ],
)
def test_health(changes: dict[str, object], expected: tuple[str, bool]) -> None:
    """What `status` says of a row, and whether that is well."""
    row = enrolment(**changes)
    assert health(row, state_of(row, NOW, POLICY)) == expected


def test_the_worst_comes_first() -> None:
    """Not well, then well, then disabled; among them by state; then what is due."""
    failure = Failure("x")
    later: dict[str, object] = {"due_at": NOW + DAY}
    valid: dict[str, object] = {"crt": OURS}
    worst_first: list[tuple[dict[str, object], dict[str, Any]]] = [
        ({"crt": b"x", "ts_expire": NOW, "failures": 3, "failure": failure}, {}),
        ({"crt": b"x", "ts_expire": NOW + 1}, {}),
        ({"crt": FOREIGN}, {}),
        (valid | {"failures": 10, "failure": failure}, {}),
        (valid | {"failures": 1, "failure": failure}, {}),
        (valid | {"failures": 1, "failure": failure} | later, {}),
        ({"crt": pem(90, 80)}, {}),
        (valid | later, {"held": True}),
        (valid | later, {"hosts_not_well": 1}),
        ({}, {}),
        (valid, {}),
        (valid | later, {}),
        ({"crt": b"x", "ts_expire": NOW, "enabled": False}, {"hosts_not_well": 1}),
        (valid | {"enabled": False}, {}),
    ]
    ranks = []
    for changes, seen in worst_first:
        row = enrolment(**changes)
        state = state_of(row, NOW, POLICY, held=seen.get("held", False))
        ranks.append(severity(row, state, NOW, hosts_not_well=seen.get("hosts_not_well", 0)))
    assert ranks == sorted(set(ranks))
