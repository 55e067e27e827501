"""What the next certificates will come from, and what CAs have announced: pure."""

from datetime import UTC, datetime

import pytest

from common.certificate import parse_bundle
from issuer.model.config import CaSettings
from issuer.model.enrolment import Enrolment, Validation
from issuer.rules.ca_ahead import NO_PROFILE, look_ahead
from issuer.rules.ca_calendar import CALENDAR, announced
from tests.servers.authority import Authority, asked_at

OLD, NEW = "https://old.example/dir", "https://new.example/dir"
LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
AUTHORITY = Authority("Root").intermediate("CA")


def row(
    name: str, directory: str = NEW, profile: str = "", *, enabled: bool = True, imported: bool = False
) -> Enrolment:
    bundle = parse_bundle(AUTHORITY.issue([name]).fullchain_pem)
    return Enrolment(
        name=name,
        enabled=enabled,
        validation=Validation(),
        csr=b"",
        crt=bundle.leaf_pem,
        ca=bundle.chain_pem,
        ts_expire=0,
        ts_last_update=0,
        failures=0,
        due_at=None,
        reissue_reason="",
        directory=directory,
        profile=profile,
        imported=imported,
    )


@pytest.mark.parametrize(
    ("directory", "profile", "wanted", "chain", "what"),
    [
        (NEW, NO_PROFILE, "", "", []),
        ("", "", "", "", []),  # adopted: nobody knows where it came from
        (OLD, "a", "b", "X", [f"will come from another CA, {OLD} → {NEW}"]),
        (NEW, "", "b", "", []),  # of an earlier version, which did not keep it
        (NEW, "a", "b", "", ["will have another profile, a → b"]),
        (NEW, NO_PROFILE, "b", "", ["will have another profile, the CA's default → b"]),
        (NEW, "a", "", "", ["will have another profile, a → the CA's default"]),
        (NEW, NO_PROFILE, "", "Root", []),
        (NEW, NO_PROFILE, "", "CA", []),
        (NEW, NO_PROFILE, "", "Other", [f"will have the chain of Other, if {NEW} offers it"]),
    ],
)
def test_what_will_differ(directory: str, profile: str, wanted: str, chain: str, what: list[str]) -> None:
    """The directory, the profile with which it was ordered, and the end of its chain."""
    ca = CaSettings(directory=NEW, profile=wanted, preferred_chain=chain)
    assert [one.what for one in look_ahead([row("a.test", directory, profile)], ca)] == what


def test_names_are_counted_and_hosts_are_those_of_a_certificate_that_came_already() -> None:
    """What is not renewed is not told: disabled, imported, without a certificate."""
    AUTHORITY.added = asked_at(crl="http://c.example.org/")
    try:
        already = row("b.test", NEW)
    finally:
        AUTHORITY.added = []
    rows = [row("a.test", OLD), already, row("c.test", OLD), row("d.test", OLD, enabled=False)]
    [one] = look_ahead([*rows, row("e.test", OLD, imported=True)], CaSettings(directory=NEW))
    assert (one.names, one.hosts, one.other_ca) == (["a.test", "c.test"], frozenset({"c.example.org:80"}), True)
    assert one.sentence == (
        f"2 certificates will come from another CA, {OLD} → {NEW}: a.test, c.test; "
        "these hosts become necessary: c.example.org:80"
    )


@pytest.mark.parametrize(
    ("directory", "profile", "day", "days"),
    [
        (LETS_ENCRYPT, "", "2026-11-29", ["2026-07-08", "2027-02-10"]),
        (LETS_ENCRYPT, "tlsserver", "2026-11-29", ["2026-07-08"]),
        (LETS_ENCRYPT, "classic", "2027-12-01", ["2027-02-10", "2028-02-16"]),
        (LETS_ENCRYPT, "", "2030-01-01", []),
        ("https://api.buypass.com/acme/directory", "", "2025-06-01", ["2025-10-31"]),
        ("https://api.buypass.com/acme/directory", "", "2030-01-01", ["2025-10-31"]),  # it has ended, and is configured
        ("https://api.buypass.com/acme/directory", "", "2025-01-01", []),
        (NEW, "", "2026-11-29", []),
    ],
)
def test_what_was_announced(directory: str, profile: str, day: str, days: list[str]) -> None:
    """Half a year before its day and a year after it; what concerns one profile is told of that one alone."""
    now = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
    found = announced([CaSettings(directory=directory, profile=profile)], now)
    assert [one.day.isoformat() for one in found] == days


def test_each_line_of_the_calendar_says_what_to_do_and_where_it_was_read() -> None:
    """A person acts on it."""
    assert all(one.what and one.hint and one.source for one in CALENDAR)
