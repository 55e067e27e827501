"""What is said of what was shown: problems, doubts, conclusions, verdicts, the forms of monitoring."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from common.certificate import fingerprint
from common.errors import Finding
from common.nagios import State
from common.probe.conclude import conclusions
from common.probe.document import facts, whole
from common.probe.plugin import plugin_line, state_of, textfile
from common.probe.shown import Place, Shown, Staple, shown_at
from common.probe.tally import Tally
from common.probe.target import parse_target
from common.probe.verdict import Match, Stored, Verdict, stored_for, stored_of, unverifiable, verdict
from common.probe.view import Seen, View
from common.probe.words import lines
from common.revocation import Revocation
from tests.servers.authority import Authority

NAME = "w.example.test"
START = datetime(2026, 11, 1, tzinfo=UTC)
NOW = START.timestamp() + 10 * 86400
CA = Authority("CA")
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OLD = CA.issue([NAME], not_before=START)
RSA = CA.issue([NAME], KEY, not_before=START)
TARGET = parse_target(f"https://{NAME}")
V4, V6 = Place(TARGET, NAME, "192.0.2.1:443", "IPv4"), Place(TARGET, NAME, "[2001:db8::1]:443", "IPv6")
REVOKED = Revocation(("http://c.example.test",), True, True, int(NOW) - 60, "keyCompromise", int(NOW) + 60)
UNKNOWN = Revocation(("http://c.example.test",), problems=(Finding("http://c.example.test", "no route"),))


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def shown(place: Place, certificate: x509.Certificate = OLD.certificate) -> Shown:
    return shown_at(place, View(Seen.SERVED, "", (der(certificate), der(CA.certificate)), "TLSv1.3", 0.25))


def missing(place: Place, seen: Seen = Seen.DOWN, why: str = "Connection refused") -> Shown:
    return shown_at(place, View(seen, why))


@pytest.mark.parametrize(
    ("one", "now", "problem"),
    [
        (shown(V4), NOW, ""),
        (shown(V4), NOW + 90 * 86400, "it expired at 2027-01-30"),
        (shown(V4), NOW - 11 * 86400, "it is not valid before 2026-11-01"),
        (shown(replace(V4, name="x.example.test")), NOW, "it does not cover x.example.test"),
        (replace(shown(V4), revocation=REVOKED), NOW, "it is revoked since 2026-11-10T23:59:00Z (keyCompromise)"),
        (replace(shown(V4), staple=Staple(True, REVOKED)), NOW, "it is revoked since"),
        (replace(shown(V4), revocation=UNKNOWN), NOW, ""),
        (missing(V4), NOW, "Connection refused"),
        (shown_at(V4, View(Seen.SERVED, "", (b"x",))), NOW, "cannot be parsed"),
    ],
)
def test_what_is_wrong(one: Shown, now: float, problem: str) -> None:
    """Each in a sentence; that nobody can say whether it is revoked is no fault of the service."""
    said = "; ".join(one.problems(now))
    assert problem in said
    assert bool(said) == bool(problem)
    assert facts(one, now)["well"] is not bool(problem)


def test_a_staple_that_is_demanded() -> None:
    """A certificate may demand one (RFC 7633): then its absence is a fault, else not."""
    feature = x509.TLSFeature([x509.TLSFeatureType.status_request])
    demanding = shown(V4, CA.issue([NAME], not_before=START, more=[feature]).certificate)
    assert replace(demanding, staple=Staple(False)).problems(NOW) == [
        "it demands a stapled OCSP answer, and there is none"
    ]
    assert not replace(demanding, staple=Staple(None)).problems(NOW)
    assert not replace(shown(V4), staple=Staple(False)).problems(NOW)


OTHER = CA.issue([NAME], not_before=START).certificate


@pytest.mark.parametrize(
    ("looks", "said"),
    [
        ([shown(V4), shown(V6)], []),
        ([shown(V4), missing(V6)], ["only IPv6 is broken"]),
        ([missing(V4), shown(V6)], ["only IPv4 is broken"]),
        ([missing(V4), missing(V6)], []),
        ([shown(V4), missing(V6, Seen.UNKNOWN, "Network is unreachable")], ["IPv6 could not be asked from here"]),
        ([shown(V4), shown(V6, OTHER)], ["IPv4 and IPv6 show different certificates"]),
        ([shown(V4), shown(V4, RSA.certificate), shown(V6)], []),
        ([shown(V4), missing(V4)], []),
    ],
)
def test_what_the_families_say_together(looks: list[Shown], said: list[str]) -> None:
    """One that is broken alone is said so; one that this host does not have is not broken."""
    assert conclusions(looks, NOW) == [f"https://{NAME}: {one}" for one in said]


def test_services_are_concluded_apart() -> None:
    """IPv6 of one and IPv4 of another are not one service; nor are two names of one."""
    other = Place(parse_target("https://x.example.test"), "x.example.test", "[2001:db8::2]:443", "IPv6")
    assert conclusions([shown(V4), missing(other)], NOW) == []
    named = [replace(place, name="a.example.test") for place in (V4, V6)]
    assert conclusions([missing(named[0]), missing(V6), shown(V4)], NOW) == [f"https://{NAME}: only IPv6 is broken"]


def stored(*issued: x509.Certificate, earlier: Sequence[x509.Certificate] = ()) -> list[Stored]:
    digests = frozenset(fingerprint(one) for one in earlier)
    return [Stored(NAME, one, digests) for one in issued]


@pytest.mark.parametrize(
    ("has", "match", "why"),
    [
        (stored(OLD.certificate), Match.MATCH, ""),
        (stored(RSA.certificate, OLD.certificate), Match.MATCH, ""),
        ([], Match.NOT_VERIFIABLE, "no certificate for this name"),
        (stored(RSA.certificate), Match.MISMATCH, "another key; the database has serial"),
        (stored(OTHER, earlier=[OLD.certificate]), Match.MISMATCH, "an earlier one"),
    ],
)
def test_the_verdict_of_the_database(has: list[Stored], match: Match, why: str) -> None:
    """Match, mismatch with why, or not verifiable."""
    found = verdict(OLD.certificate, has)
    assert found.match is match
    assert why in found.why
    assert (found.name == NAME) == bool(has)


def test_older_and_newer_ones_of_the_same_key() -> None:
    """A service that was not reloaded shows the older one; one that somebody else renewed a newer one."""
    newer = CA.issue([NAME], KEY, not_before=datetime(2026, 11, 9, tzinfo=UTC)).certificate
    assert "it is older, with the same key" in verdict(RSA.certificate, stored(newer)).why
    assert "it is newer, with the same key" in verdict(newer, stored(RSA.certificate)).why


def test_all_rows_are_looked_through_only_for_what_does_not_match() -> None:
    """A row is found by its name; another row may have a certificate for the same host."""
    asked: list[str] = []

    def everything() -> list[Stored]:
        asked.append("all")
        return [Stored("label", RSA.certificate), Stored("x", CA.issue(["x.example.test"]).certificate)]

    own = list(stored_of(NAME, OLD.cert_pem))
    same, other = fingerprint(own[0].leaf), fingerprint(RSA.certificate)
    assert [one.name for one in stored_for({NAME: frozenset([same])}, own, everything)[NAME]] == [NAME]
    assert asked == []
    found = stored_for({NAME: frozenset([same, other])}, own, everything)
    assert [one.name for one in found[NAME]] == [NAME, "label"]
    assert list(stored_of(NAME, b"damaged -----BEGIN CERTIFICATE-----")) == []


def test_the_states_of_a_plugin() -> None:
    """What is wrong is critical, what ends soon or is another than in the database a warning, what nobody could ask
    unknown. That the CRL cannot be reached raises no alarm."""
    mismatch = replace(shown(V4), verdict=Verdict(Match.MISMATCH, "it is older"))
    assert state_of(shown(V4), NOW) is State.OK
    assert state_of(replace(shown(V4), revocation=UNKNOWN, verdict=unverifiable("x")), NOW) is State.OK
    assert state_of(shown(V4), NOW + 70 * 86400) is State.WARNING
    assert state_of(mismatch, NOW) is State.WARNING
    assert state_of(missing(V4), NOW) is State.CRITICAL
    assert state_of(missing(V4, Seen.UNKNOWN), NOW) is State.UNKNOWN


def test_the_line_of_several_looks() -> None:
    """One line: the worst state, what the looks say together, the numbers of each."""
    state, said = plugin_line([shown(V4), missing(V6)], NOW)
    assert state is State.CRITICAL
    assert said.startswith(f"PROBE CRITICAL - 1 of 2 looks are well; https://{NAME}: only IPv6 is broken; https://")
    assert f"'https://{NAME} 192.0.2.1:443 ecdsa days'=80;15:;0: " in said
    assert said.endswith("handshake'=0.25s")
    many = [missing(V4)] * 9
    assert "and 4 more" in plugin_line(many, NOW)[1]


def test_numbers_do_not_vanish_with_validity() -> None:
    """Of an expired, uncovered and revoked certificate every number is there; of one nobody can ask only that it is not
    there."""
    bad = replace(shown(replace(V4, name="x.example.test")), revocation=REVOKED, staple=Staple(False))
    text = textfile([bad, missing(V6)], NOW + 365 * 86400).decode()
    series = [line for line in text.splitlines() if not line.startswith("#")]
    of_bad = {line.partition("{")[0] for line in series if "192.0.2.1" in line}
    assert of_bad == {
        f"certfleet_probe_{name}"
        for name in (
            *("served", "well", "not_after_timestamp_seconds", "not_before_timestamp_seconds", "host_covered", "names"),
            *("handshake_seconds", "revocation_asked", "revocation_available", "revoked", "stapled"),
        )
    }
    assert [line.rpartition(" ")[2] for line in series if "2001:db8" in line] == ["0.0", "0.0"]
    assert text.endswith("\n")


def test_labels_are_escaped() -> None:
    """A quote, a backslash or a line end of a target ends no label, also of a reader who knows more line ends."""
    odd = replace(V4, address='a"b\\c\nd\re\x1bf\u2028g')
    text = textfile([missing(odd)], NOW).decode()
    assert 'address="a\\"b\\\\c\\\\nd\\\\re\\\\x1bf\\\\u2028g"' in text
    assert all(line.startswith(("#", "certfleet_probe_")) for line in text.splitlines())


def test_rounds_are_counted() -> None:
    """Each failure with its time, the slowest handshake with its own; unknown revocation is counted apart."""
    tally = Tally()
    assert tally.add([shown(V4), shown(V6)], NOW) == []
    assert len(tally.add([missing(V4), replace(shown(V6), revocation=UNKNOWN)], NOW + 60)) == 2
    slow = replace(shown(V4), view=replace(shown(V4).view, seconds=9.5))
    tally.add([slow], NOW + 120)
    document = tally.document()
    where = f"https://{NAME}  192.0.2.1:443  {NAME}"
    assert document["failures"] == [{"at": "2026-11-11T00:01:00Z", "where": where, "why": "Connection refused"}]
    assert document["slowest"] == {"seconds": 9.5, "at": "2026-11-11T00:02:00Z", "where": where}
    assert (document["rounds"], len(document["revocation_unknown"])) == (3, 1)
    assert f"slowest handshake 9500 ms  2026-11-11T00:02:00Z  {where}" in tally.lines()


def test_lines_for_people() -> None:
    """One look in full; several as a table with the fingerprints side by side, and each certificate once."""
    alone = lines([shown(V4)], NOW)
    assert alone[0] == f"https://{NAME}  192.0.2.1:443  ok"
    assert any(line.startswith("  handshake    TLSv1.3 (https), in 250 ms") for line in alone)
    several = lines([shown(V4), shown(V6), missing(V6)], NOW)
    digest = fingerprint(OLD.certificate)
    assert [digest[:16] in line for line in several[:4]] == [False, True, True, False]
    assert sum(f"  sha256       {digest}" == line for line in several) == 1
    assert f"https://{NAME}  [2001:db8::1]:443  NOT WELL: Connection refused" in several
    assert whole([shown(V4)], NOW)["conclusions"] == []
