"""Who stands behind a certificate: what is news, and what is not."""

from functools import cache

import pytest

from common.certificate import Bundle, parse_bundle
from issuer.model.events import Event, EventKind
from issuer.model.leaf import Damaged
from issuer.rules.ca_change import change_of_ca, is_other_issuer
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority, asked_at

NAME, FIRST, SECOND = "www.example.test", "https://first/dir", "https://second/dir"


@cache
def issued(root: str, issuer: str, hosts: str = "", kind: str = "ecdsa-p256") -> Bundle:
    """A certificate from an intermediate with these names, whose CRL and issuer are at *hosts*."""
    authority = Authority(root).intermediate(issuer)
    authority.added = asked_at(crl=f"http://c.{hosts}/1.crl", issuer=f"http://i.{hosts}/") if hosts else []
    return parse_bundle(authority.sign(csr([NAME], kind)).fullchain_pem)


def news(
    before: Bundle | Damaged, after: Bundle, known: Bundle | None = None, old: str = FIRST, new: str = FIRST
) -> Event | None:
    return change_of_ca(NAME, before, after, directories=(old, new), configured=[FIRST, SECOND], known=known)


@pytest.mark.parametrize(
    ("before", "after", "known", "why"),
    [
        (("R", "A", "a.test"), ("R", "A", "a.test"), None, ""),
        (("R", "A"), ("R", "B"), None, "issuer A → B"),
        (("R", "A", "a.test"), ("R", "B", "b.test"), ("R", "B", "b.test"), ""),  # chosen at random among known ones
        (("R", "A"), ("S", "B"), ("R", "B"), "root R → S"),
        (("R", "A"), ("S", "A"), None, "root R → S"),
        (
            ("R", "A", "a.test"),
            ("R", "A", "b.test"),
            None,
            "hosts that servers and clients must now reach: c.b.test:80, i.b.test:80; "
            "no longer: c.a.test:80, i.a.test:80",
        ),
        (
            ("R", "A", "a.test"),
            ("R", "B", "new.test"),
            ("R", "B", "b.test"),
            "hosts that servers and clients must now reach: c.new.test:80, i.new.test:80; "
            "no longer: c.b.test:80, i.b.test:80",
        ),
        (("R", "A"), ("R", "A", "", "rsa2048"), None, "type of key ecdsa-p256 → rsa2048"),
    ],
)
def test_what_is_news(before: tuple[str, ...], after: tuple[str, ...], known: tuple[str, ...] | None, why: str) -> None:
    """Another intermediate only where no certificate came from it before; root, hosts and type of key always."""
    event = news(issued(*before), issued(*after), issued(*known) if known else None)
    assert (event.told.why if event is not None else "") == why
    assert event is None or (event.kind is EventKind.CA_CHANGED and event.told.hint != "")
    assert is_other_issuer(issued(*before), issued(*after)) == (before[1] != after[1])


def test_another_directory_is_told_with_everything_that_differs() -> None:
    """Also what the new CA has signed for other names before: the operator looks at both CAs."""
    event = news(issued("R", "A"), issued("S", "B"), issued("S", "B"), new=SECOND)
    assert event is not None
    assert event.told.what == f"issued by the fallback {SECOND} instead of {FIRST}"
    assert event.told.why == "issuer A → B; root R → S"


def test_a_damaged_certificate_before_tells_of_the_directory_alone() -> None:
    """There is nothing to compare with."""
    assert news(Damaged("cut off"), issued("R", "A")) is None
    event = news(Damaged("cut off"), issued("R", "A"), new=SECOND)
    assert event is not None
    assert event.told.why == ""
