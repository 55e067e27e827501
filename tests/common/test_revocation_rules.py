"""What a revocation list or an OCSP response says about a certificate: judged from bytes and a clock."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as library
from cryptography.x509.oid import ExtendedKeyUsageOID

from common.revocation import Revocation, Status, crl, ocsp
from common.revocation.state import together, unknown
from tests.servers.authority import Authority
from tests.servers.revocation import answered_at, listed_at, response, revocation_list, scope

HERE, OTHER = "http://crl.example.test/7.crl", "http://crl.example.test/8.crl"
START = datetime(2026, 11, 20, tzinfo=UTC)
NOW = (START + timedelta(days=1)).timestamp()
CA, STRANGER = Authority("CA"), Authority("Another")
NAMESAKE = Authority("CA")  # the same name, another key
LEAF = CA.issue(["w.example.test"], more=[listed_at(HERE), answered_at("http://ocsp.example.test")]).certificate
(SOURCE,) = crl.sources(LEAF)


def by_list(content: bytes, now: float = NOW) -> Revocation:
    return listed(content, LEAF, CA.certificate, now)


def listed(content: bytes, leaf: x509.Certificate, issuer: x509.Certificate, now: float = NOW) -> Revocation:
    return crl.judge(crl.RevocationList(content), leaf, issuer, SOURCE, now)


def a_list(*revoked: x509.Certificate, by: Authority = CA, **how: object) -> bytes:
    return revocation_list(by, *revoked, since=START, **how)  # type: ignore[arg-type]


def test_a_certificate_that_is_on_no_list_is_good() -> None:
    """The list is fresh, signed, and for this place."""
    for content in (a_list(), a_list(critical=[scope(HERE)]), a_list(critical=[scope(OTHER, HERE)])):
        answer = by_list(content)
        assert (answer.status, answer.available, answer.revoked) == (Status.GOOD, True, False)
        assert (answer.asked, answer.by, answer.problems) == ((HERE,), HERE, ())
        assert answer.fresh_until == int((START + timedelta(days=7)).timestamp())
    assert by_list(x509.load_der_x509_crl(a_list()).public_bytes(Encoding.PEM)).status is Status.GOOD


def test_a_certificate_on_the_list_is_revoked() -> None:
    """With the moment and the reason; another serial number of the list is not ours."""
    answer = by_list(a_list(STRANGER.certificate, LEAF))
    assert (answer.status, answer.since, answer.reason) == (Status.REVOKED, int(START.timestamp()), "keyCompromise")
    assert by_list(a_list(STRANGER.certificate)).status is Status.GOOD


TAKEN_BACK = x509.CRLReason(x509.ReasonFlags.remove_from_crl)
OF_ANOTHER = x509.CertificateIssuer([x509.DirectoryName(STRANGER.certificate.subject)])


def with_entry(said: x509.ExtensionType, *, critical: bool = False, serial: int = LEAF.serial_number) -> bytes:
    """A list with one entry that says so."""
    entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(START)
    builder = x509.CertificateRevocationListBuilder().last_update(START).next_update(START + timedelta(days=7))
    return CA.sign_list(builder.add_revoked_certificate(entry.add_extension(said, critical=critical).build()))


def test_an_entry_that_says_more() -> None:
    """It is revoked whatever stands there that is not critical; numbers that only end alike are two certificates."""
    assert by_list(with_entry(OF_ANOTHER)).status is Status.REVOKED
    held = by_list(with_entry(x509.CRLReason(x509.ReasonFlags.certificate_hold), critical=True))
    assert (held.status, held.reason) == (Status.REVOKED, "certificateHold")
    assert by_list(with_entry(TAKEN_BACK, serial=LEAF.serial_number ^ 1 << 100)).status is Status.GOOD


def endless_list() -> bytes:
    """A list without nextUpdate, which the library does not make."""
    whole = x509.load_der_x509_crl(a_list())
    signed, end = whole.tbs_certlist_bytes, b"\x17\x0d" + f"{START + timedelta(days=7):%y%m%d%H%M%SZ}".encode()
    signed = der(0x30, signed[2:].replace(end, b""))
    algorithm = der(0x30, bytes.fromhex("06082a8648ce3d040302"))
    return der(0x30, signed + algorithm + der(0x03, b"\0" + CA.sign_bytes(signed)))


def der(tag: int, content: bytes) -> bytes:
    size = bytes((len(content),)) if len(content) < 128 else bytes((0x81, len(content)))
    return bytes((tag,)) + size + content


LISTS: dict[str, tuple[Callable[[], bytes], float, str]] = {
    "stale": (lambda: a_list(LEAF), NOW + 6 * 86400, "stale"),
    "of tomorrow": (a_list, NOW - 2 * 86400, "ahead of this machine's clock"),
    "of another CA": (lambda: a_list(by=STRANGER), NOW, "not that of 'CA'"),
    "of another key": (lambda: a_list(by=NAMESAKE), NOW, "not signed by 'CA'"),
    "of another shard": (lambda: a_list(critical=[scope(OTHER)]), NOW, "another place"),
    "of CAs": (lambda: a_list(critical=[scope(only_contains_ca_certs=True)]), NOW, "certificates of servers"),
    "of attributes": (lambda: a_list(critical=[scope(HERE, only_contains_attribute_certs=True)]), NOW, "of servers"),
    "indirect": (lambda: a_list(critical=[scope(HERE, indirect_crl=True)]), NOW, "other issuers"),
    "of some reasons": (lambda: a_list(critical=[scope(HERE, only_some_reasons=True)]), NOW, "some reasons"),
    "of changes alone": (lambda: a_list(critical=[x509.DeltaCRLIndicator(1)]), NOW, "a delta CRL"),
    "of changes, with it": (lambda: a_list(LEAF, critical=[x509.DeltaCRLIndicator(1)]), NOW, "a delta CRL"),
    "with a number that is critical": (lambda: a_list(critical=[x509.CRLNumber(1)]), NOW, "2.5.29.20"),
    "that takes it back": (lambda: with_entry(TAKEN_BACK), NOW, "takes its revocation back"),
    "of another issuer's": (lambda: with_entry(OF_ANOTHER, critical=True), NOW, "not understood (2.5.29.29)"),
    "without an end": (endless_list, NOW, "until when"),
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_that_does_not_count(kind: str) -> None:
    """It leaves the certificate unknown and never good, and says why."""
    content, now, why = LISTS[kind]
    answer = by_list(content(), now)
    assert (answer.status, answer.available, answer.revoked, answer.asked) == (Status.UNKNOWN, False, None, (HERE,))
    (problem,) = answer.problems
    assert why in problem.problem


def test_an_issuer_that_may_not_sign_lists() -> None:
    """Its certificate says so by its key usage (RFC 5280 §4.2.1.3)."""
    (problem,) = listed(a_list(), LEAF, CA.without_lists()).problems
    assert problem.problem == "'CA' may not sign revocation lists"


def test_a_list_of_servers_says_nothing_of_a_ca() -> None:
    """Nor does one of CAs of a server; each speaks of its own."""
    below = CA.intermediate("Below").certificate
    for kind, status in (("only_contains_user_certs", Status.UNKNOWN), ("only_contains_ca_certs", Status.GOOD)):
        content = a_list(critical=[scope(**{kind: True})])
        assert listed(content, below, CA.certificate).status is status
    assert by_list(a_list(critical=[scope(only_contains_user_certs=True)])).status is Status.GOOD


def test_some_reasons_are_enough_to_revoke() -> None:
    """Who is on such a list is revoked."""
    assert by_list(a_list(LEAF, critical=[scope(HERE, only_some_reasons=True)])).status is Status.REVOKED


def test_a_place_of_some_reasons_is_not_enough_to_be_good() -> None:
    """The certificate says so of the place, and the list need not repeat it (RFC 5280 §6.3.3 (d))."""
    reasons = frozenset([x509.ReasonFlags.key_compromise])
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(HERE)], None, reasons, None)
    leaf = CA.issue(["w.example.test"], more=[x509.CRLDistributionPoints([point])]).certificate
    (source,) = crl.sources(leaf)
    for content, status in ((a_list(), Status.UNKNOWN), (a_list(leaf), Status.REVOKED)):
        assert crl.judge(crl.RevocationList(content), leaf, CA.certificate, source, NOW).status is status


def test_only_http_is_asked() -> None:
    """Not LDAP, not https, and no list that another authority keeps."""
    mixed = listed_at("ldap://x.example.test/cn=1", "https://x.example.test/1", "HTTP://x.example.test/1")
    (source,) = crl.sources(CA.issue(["w.example.test"], more=[mixed]).certificate)
    assert (source.url, len(source.names)) == ("HTTP://x.example.test/1", 3)
    name = [x509.DirectoryName(x509.Name([]))]
    kept = x509.DistributionPoint([x509.UniformResourceIdentifier(HERE)], None, None, name)
    assert crl.sources(CA.issue(["w.example.test"], more=[x509.CRLDistributionPoints([kept])]).certificate) == []
    assert crl.sources(CA.issue(["w.example.test"]).certificate) == []


def by_response(content: bytes, now: float = NOW) -> Revocation:
    return ocsp.judge(content, LEAF, CA.certificate, "staple", now)


GOOD, REVOKED, UNHEARD = library.OCSPCertStatus.GOOD, library.OCSPCertStatus.REVOKED, library.OCSPCertStatus.UNKNOWN


def test_a_response_that_counts() -> None:
    """Good until its next update, or for a day without one; revoked with moment and reason."""
    good = by_response(response(CA, LEAF, since=START))
    assert (good.status, good.fresh_until) == (Status.GOOD, int((START + timedelta(days=7)).timestamp()))
    without_end = response(CA, LEAF, since=START, for_days=None)
    assert by_response(without_end, NOW - 3600).status is Status.GOOD
    assert by_response(without_end, NOW + 3600).status is Status.UNKNOWN
    revoked = by_response(response(CA, LEAF, REVOKED, since=START))
    assert (revoked.status, revoked.since, revoked.reason) == (Status.REVOKED, int(START.timestamp()), "superseded")


RESPONSES: dict[str, tuple[Callable[[], bytes], float, str]] = {
    "stale": (lambda: response(CA, LEAF, since=START), NOW + 7 * 86400, "stale"),
    "of tomorrow": (lambda: response(CA, LEAF, since=START), NOW - 2 * 86400, "ahead of"),
    "unheard of": (lambda: response(CA, LEAF, UNHEARD, since=START), NOW, "does not know"),
    "of another CA": (lambda: response(STRANGER, LEAF, since=START, issuer=CA.certificate), NOW, "not signed by"),
    "about another": (lambda: response(CA, CA.issue(["x.example.test"]).certificate, since=START), NOW, "another"),
    "of a namesake": (lambda: response(CA, LEAF, since=START, issuer=NAMESAKE.certificate), NOW, "another"),
    "an error": (
        lambda: library.OCSPResponseBuilder.build_unsuccessful(library.OCSPResponseStatus.TRY_LATER).public_bytes(
            Encoding.DER
        ),
        NOW,
        "try_later",
    ),
    "a page": (lambda: b"<html>", NOW, "no OCSP response"),
}


@pytest.mark.parametrize("kind", RESPONSES)
def test_a_response_that_does_not_count(kind: str) -> None:
    """It leaves the certificate unknown and never good, and says why."""
    content, now, why = RESPONSES[kind]
    answer = by_response(content(), now)
    assert (answer.status, answer.available, answer.revoked) == (Status.UNKNOWN, False, None)
    (problem,) = answer.problems
    assert why in problem.problem


@pytest.mark.parametrize(
    ("usage", "signer", "until", "status"),
    [
        (ExtendedKeyUsageOID.OCSP_SIGNING, CA, None, Status.GOOD),
        (ExtendedKeyUsageOID.OCSP_SIGNING, CA, START, Status.UNKNOWN),
        (ExtendedKeyUsageOID.SERVER_AUTH, CA, None, Status.UNKNOWN),
        (ExtendedKeyUsageOID.OCSP_SIGNING, STRANGER, None, Status.UNKNOWN),
    ],
)
def test_who_may_sign_for_the_issuer(
    usage: x509.ObjectIdentifier, signer: Authority, until: datetime | None, status: Status
) -> None:
    """A certificate of the issuer's own that says so and is good still, and no server of its customers."""
    key = ec.generate_private_key(ec.SECP256R1())
    delegate = signer.delegate(key.public_key(), usage, until=until)
    builder = library.OCSPResponseBuilder().add_response(
        LEAF, CA.certificate, hashes.SHA256(), GOOD, START, START + timedelta(days=7), None, None
    )
    builder = builder.certificates([delegate]).responder_id(library.OCSPResponderEncoding.NAME, delegate)
    content = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    assert by_response(content).status is status


def test_one_of_several_that_says_revoked_decides() -> None:
    """A list may be hours behind a responder; who could not be reached takes nothing away."""
    good, revoked, silent = by_list(a_list()), by_list(a_list(LEAF)), unknown(OTHER, "no route")
    assert together([good, revoked, silent]).status is Status.REVOKED
    both = together([silent, good])
    assert (both.status, both.asked, len(both.problems), both.by) == (Status.GOOD, (OTHER, HERE), 1, HERE)
    assert together([silent]).status is Status.UNKNOWN
    assert together([]).status is Status.NOT_ASKED
