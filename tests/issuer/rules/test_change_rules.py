"""Which CSR does an attempt order, the present one or the one that waits? A table over both sides."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from issuer.model.config import RenewalSettings
from issuer.model.enrolment import AT_ONCE, Change, Enrolment, Validation, csr_digest
from issuer.model.failure import Failure
from issuer.model.orders import Cause, OrderRecord, OrderState
from issuer.rules.change import advised, append_faults, difference, lacking, of_order, other_moment, shares, turn
from issuer.rules.csr import read_csr
from issuer.rules.due import Due, decide
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority

NAME, ADDED = "www.example.test", "added.example.test"
OLD, NEW, THIRD = csr([NAME]), csr([NAME, ADDED], "ecdsa-p384"), csr([NAME, "third.example.test"])
DAY, NOW = 86400, 1_800_000_000
POLICY = RenewalSettings()
AUTHORITY = Authority("Root").intermediate("CA")
FAILURE = Failure("no zone")


def row(change: Change | None, *, left: float = 80, **more: object) -> Enrolment:
    """A certificate of 90 days with so many *left*; a directory keeps it from being consulted about."""
    begin = datetime.fromtimestamp(NOW, UTC) - timedelta(days=90 - left)
    crt = AUTHORITY.sign(OLD, 90, begin).cert_pem
    ends = NOW + int(left * DAY)
    plain = Enrolment(NAME, True, Validation(), OLD, crt, b"", ends, NOW, 0, None, "", directory="https://ca.test")
    return dataclasses.replace(plain, change=change, **more)  # type: ignore[arg-type]


def waiting(due_at: int, failures: int = 1) -> Change:
    return Change(NEW, due_at, failures, FAILURE if failures else None)


@pytest.mark.parametrize(
    ("change", "left", "due_at", "ordered", "expected"),
    [
        (Change(NEW, AT_ONCE), 80, NOW + DAY, b"", NEW),
        (Change(NEW, AT_ONCE), 20, NOW - 5, b"", NEW),  # one order renews everything
        (Change(NEW, AT_ONCE), -1, None, b"", NEW),
        (waiting(NOW + 60), 80, NOW + DAY, b"", OLD),  # the change waits for its moment
        (waiting(NOW + 60), 20, None, b"", OLD),
        (waiting(NOW - 60), 80, NOW + DAY, b"", NEW),
        (waiting(NOW - 60), 20, None, b"", OLD),  # it is due since before
        (waiting(NOW - 60), 20, NOW - 120, b"", OLD),
        (waiting(NOW - 120), 20, NOW - 60, b"", NEW),  # both fail: the one that waited longer
        (waiting(NOW + 400 * DAY), 80, NOW + DAY, b"", NEW),  # no moment of ours is so far ahead
        (waiting(NOW - 60), 80, NOW + DAY, OLD, OLD),  # an order is under way
        (waiting(NOW + 60), 20, NOW - 120, NEW, NEW),
        (waiting(NOW - 60), 80, NOW + DAY, THIRD, NEW),  # one for neither is given up
    ],
)
def test_whose_turn_it_is(change: Change, left: float, due_at: int | None, ordered: bytes, expected: bytes) -> None:
    """The change first, each at its own moment, and an order under way before everything."""
    digest = csr_digest(ordered) if ordered else ""
    seen = turn(row(change, left=left, due_at=due_at, ordered=digest), NOW, POLICY)
    assert (seen.csr, seen.changing) == (expected, expected == NEW)


@pytest.mark.parametrize(
    ("more", "cause"),
    [
        ({}, Cause.CHANGE),
        ({"imported": True}, Cause.CHANGE),
        ({"enabled": False, "reissue_reason": "by hand"}, Cause.CHANGE),
        ({"enabled": False}, None),
    ],
)
def test_when_a_change_is_due(more: dict[str, Any], cause: Cause | None) -> None:
    """Whatever the present certificate is; never for a disabled row, unless a person asks."""
    decision = decide(turn(row(Change(NEW, AT_ONCE), **more), NOW, POLICY), NOW, POLICY)
    assert (decision.cause if isinstance(decision, Due) else None) is cause


def test_a_compromised_key_is_never_its_turn() -> None:
    """Also where it is due since before."""
    known = frozenset([read_csr(OLD).spki_sha256])
    assert turn(row(waiting(NOW - 60), left=20, compromised=known), NOW, POLICY).csr == NEW


@pytest.mark.parametrize(("ordered", "expected"), [(OLD, OLD), (NEW, NEW), (THIRD, None), (b"", OLD)])
def test_an_order_goes_on_with_its_own_csr(ordered: bytes, expected: bytes | None) -> None:
    """An earlier version did not write down which that was."""
    digest = csr_digest(ordered) if ordered else ""
    order = OrderRecord(1, NAME, OrderState.ORDERED, "https://ca.test", NOW, csr_sha256=digest)
    seen = of_order(row(Change(NEW, AT_ONCE)), order)
    assert (seen.csr if seen is not None else None) == expected


def test_the_next_moment_of_the_other_one() -> None:
    """After the attempt for one of the two, it is told when the other is tried."""
    here = row(waiting(NOW + 60), left=20, due_at=NOW - 5)
    assert other_moment(here, here, NOW, POLICY) == NOW + 60
    changing = turn(row(Change(NEW, AT_ONCE), left=20), NOW, POLICY)
    assert other_moment(changing, row(Change(NEW, AT_ONCE), left=20), NOW, POLICY) == NOW
    well = row(Change(NEW, AT_ONCE), due_at=NOW + 500)
    assert other_moment(turn(well, NOW, POLICY), well, NOW, POLICY) == NOW + 500
    assert other_moment(row(None), row(None), NOW, POLICY) is None


def test_what_a_change_changes() -> None:
    """Names that come and go, and the key; --append takes names alone."""
    here = row(None)
    assert str(difference(here, read_csr(NEW))) == f"adds {ADDED}, has another key"
    assert str(difference(here, read_csr(csr([ADDED])))) == f"adds {ADDED}, drops {NAME}"
    assert str(difference(here, read_csr(csr([NAME])))) == "has the same names and key"
    assert append_faults(here, read_csr(csr([NAME, ADDED]))) == []
    assert append_faults(row(None, csr=b""), read_csr(csr([NAME, ADDED]))) == []
    assert append_faults(row(None, csr=b"", crt=b""), read_csr(NEW)) == [
        "the CSR that is enrolled is not usable: it is empty"
    ]
    assert append_faults(here, read_csr(csr([ADDED], "ecdsa-p384"))) == ["its key is another one", f"it lacks {NAME}"]


def test_names_that_the_present_certificate_lacks() -> None:
    """A wildcard carries the names that it covers."""
    assert lacking(row(None)) == []
    assert lacking(row(None, csr=NEW)) == [ADDED]
    wild = AUTHORITY.issue(["*.example.test"]).cert_pem
    assert lacking(row(None, csr=NEW, crt=wild)) == []


def test_each_remark_has_its_own_advice() -> None:
    """A change that fails does not need "no action"."""
    assert advised(row(None)) == []
    [(_, why)] = advised(row(None, csr=NEW))
    assert f"reissue {NAME}" in why
    [(_, waits)] = advised(row(Change(NEW, AT_ONCE)))
    assert waits.startswith("no action needed")
    [(_, disabled)] = advised(row(Change(NEW, AT_ONCE), enabled=False))
    assert f"enable {NAME}" in disabled
    [_, (failed, mended)] = advised(row(waiting(NOW)))
    assert FAILURE.sentence in failed
    assert f"issue {NAME}" in mended


def test_ways_that_are_looked_at_while_a_change_waits() -> None:
    """Both are ordered: each name with the way of the change, and with that of the row where it has one there."""
    files = Validation(certbot=True, webroot_path="/var/www")
    waits = Change(NEW, AT_ONCE, validation=Validation(exceptions=((NAME, "/var/www"),)))
    assert shares(row(waits)) == [(files, [NAME]), (Validation(), [ADDED, NAME])]
    assert shares(row(None)) == [(Validation(), [NAME])]
    assert shares(row(Change(b"damaged", AT_ONCE))) == [(Validation(), [NAME])]
