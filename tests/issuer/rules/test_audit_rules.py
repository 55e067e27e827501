"""What the audit finds in a stored certificate, and for what of that a new one is ordered."""

import dataclasses
import functools
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from issuer.model.audit import Finding, Kind, Severity
from issuer.model.config import RenewalSettings
from issuer.model.enrolment import Enrolment, Validation
from issuer.model.watch import Watch
from issuer.rules.audit import AUDIT_EVERY, next_audit, of_certificate, of_names, usual_audit, wanted
from tests.common.der_by_hand import ED25519_KEY, RSA_PSS, certificate_pem
from tests.issuer.signing_requests import csr

NAME, DAY = "www.example.test", 86400
BEGIN = datetime(2026, 4, 1, tzinfo=UTC)
NOW = int(BEGIN.timestamp()) + 5 * DAY
POLICY = RenewalSettings()
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
DOMAIN_VALIDATED = "2.23.140.1.2.1"
KEYS = {cn: ec.generate_private_key(ec.SECP256R1()) for cn in ("root", "issuing", "leaf", "other")}


@functools.cache
def made(
    cn: str,
    by: str,
    *,
    key: str = "",
    begin: datetime = BEGIN,
    days: float = 90,
    usage: x509.ObjectIdentifier | None = SERVER,
    san: bool = True,
    policy: str = "",
) -> bytes:
    """A certificate of *cn*, signed by *by*, which is a CA if its name is that of one."""
    subject, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, word)]) for word in (cn, by))
    signer = KEYS.get(by, KEYS["leaf"])
    builder = x509.CertificateBuilder(issuer, subject, KEYS[key or (cn if cn in KEYS else "leaf")].public_key())
    builder = builder.serial_number(7).not_valid_before(begin)
    builder = builder.not_valid_after(begin + timedelta(days=days) - timedelta(seconds=1))
    if cn in KEYS:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    elif san:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
    if cn not in KEYS and usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if policy:
        policies = [x509.PolicyInformation(x509.ObjectIdentifier(policy), None)]
        builder = builder.add_extension(x509.CertificatePolicies(policies), critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)


@functools.cache
def by_openssl(*options: str) -> bytes:
    """A self-signed certificate such as the library makes no more."""
    command = ["openssl", "req", "-x509", "-nodes", "-keyout", "/dev/null", "-subj", f"/CN={NAME}", *options]
    command += ["-addext", f"subjectAltName=DNS:{NAME}", "-addext", "extendedKeyUsage=serverAuth"]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


def good(**changes: Any) -> bytes:
    return made(NAME, "issuing", **changes)


def issuing(**changes: Any) -> bytes:
    return made("issuing", "root", **{"begin": BEGIN - timedelta(days=400), "days": 3000} | changes)


def row(crt: bytes, ca: bytes | None = None, **changes: Any) -> Enrolment:
    given: dict[str, Any] = {"name": NAME, "enabled": True, "validation": Validation(), "csr": b"", "crt": crt}
    given |= {"ca": issuing() if ca is None else ca, "ts_expire": None, "ts_last_update": 1, "failures": 0}
    return Enrolment(**given | {"due_at": None, "reissue_reason": "", "directory": "https://ca/dir"} | changes)


def kinds(found: list[Finding]) -> list[str]:
    return [one.kind.value for one in found]


CASES: dict[str, tuple[Any, list[str]]] = {
    "good": (lambda: row(good()), []),
    "nothing is stored": (lambda: row(b""), []),
    "damaged": (lambda: row(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), ["damaged"]),
    "expired": (lambda: row(good(days=3)), ["expired"]),
    "ends soon, and nobody renews it": (lambda: row(good(days=6)), ["expires-soon"]),
    "its renewal is due, which is no finding": (lambda: row(good(days=9)), []),
    "not yet valid": (lambda: row(good(begin=BEGIN + timedelta(days=9))), ["not-yet-valid"]),
    "the CA's clock is half an hour ahead": (lambda: row(good(begin=BEGIN + timedelta(days=5, minutes=30))), []),
    "self-signed": (lambda: row(made(NAME, NAME), b""), ["self-signed"]),
    "without names": (lambda: row(good(san=False)), ["no-names"]),
    "for clients": (lambda: row(good(usage=CLIENT)), ["no-server-auth"]),
    "without a usage": (lambda: row(good(usage=None)), ["no-server-auth"]),
    "any usage": (lambda: row(good(usage=ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)), []),
    "revoked by us": (lambda: row(good(), revoked=True), ["revoked"]),
    "for another key": (lambda: row(good(), csr=csr([NAME])), ["key-mismatch"]),
    "no chain": (lambda: row(good(), b""), ["chain"]),
    "a chain of another CA": (lambda: row(good(), made("other", "root", days=900)), ["chain"]),
    "the chain is upside down": (lambda: row(good(), made("root", "root", days=900) + issuing()), ["chain", "chain"]),
    "the chain has expired": (lambda: row(good(), issuing(days=402)), ["chain-ends"]),
    "the chain ends before, but not soon": (lambda: row(good(), issuing(days=480)), []),
    "the chain ends soon": (lambda: row(good(), issuing(days=408)), ["chain-ends"]),
    "the chain is not valid yet": (lambda: row(good(), issuing(begin=BEGIN + timedelta(days=8))), ["not-yet-valid"]),
    "imported, and ends soon": (lambda: row(good(days=7), imported=True), ["expires-soon"]),
    # CA/B ballot SC-081: 200 days from 2026-03-15, 100 from 2027-03-15, 47 from 2029-03-15
    "200 days": (lambda: row(good(days=200, policy=DOMAIN_VALIDATED)), []),
    "201 days": (lambda: row(good(days=201, policy=DOMAIN_VALIDATED)), ["lives-too-long"]),
    "201 days of a private CA": (lambda: row(good(days=201)), []),
    "398 days, the day before": (
        lambda: row(good(begin=datetime(2026, 3, 14, tzinfo=UTC), days=398, policy=DOMAIN_VALIDATED)),
        [],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_found(case: str) -> None:
    make, expected = CASES[case]
    found = of_certificate(make(), NOW, POLICY)
    assert kinds(found) == expected
    assert all(one.evidence and one.remedy for one in found)


@pytest.mark.parametrize(("year", "days"), [(2027, 100), (2029, 47)])
def test_how_long_a_public_ca_may_let_live_falls_in_steps(year: int, days: int) -> None:
    """By the day of issue; the day before, a certificate may live longer."""
    step = datetime(year, 3, 15, tzinfo=UTC)
    for begin, most in ((step, days), (step - timedelta(days=1), days + 1)):
        for life in (most, most + 1):
            one = row(good(begin=begin, days=life, policy=DOMAIN_VALIDATED), issuing(days=9999))
            is_long = life > days and begin == step
            assert kinds(of_certificate(one, int(begin.timestamp()) + DAY, POLICY)) == ["lives-too-long"] * is_long


def test_a_weak_key() -> None:
    """A new certificate for the same CSR has it too."""
    weak = by_openssl("-newkey", "rsa:1024", "-md5")
    found = of_certificate(row(weak, b""), NOW, POLICY)
    assert {"self-signed", "weak-key"} <= set(kinds(found))
    [key] = [one for one in found if one.kind is Kind.WEAK_KEY]
    assert (key.curable, "RSA with 1024 bits" in key.evidence, "populate --replace" in key.remedy) == (
        False,
        True,
        True,
    )


@pytest.fixture(scope="module")
def old_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a root and a request, both by openssl."""
    folder = tmp_path_factory.mktemp("old")
    run = functools.partial(subprocess.run, check=True, capture_output=True, timeout=60, cwd=folder)
    new = ["openssl", "req", "-nodes", "-newkey", "rsa:1024"]
    run([*new, "-x509", "-subj", "/CN=old root", "-keyout", "ca.key", "-out", "ca.pem"])
    run([*new, "-subj", f"/CN={NAME}", "-keyout", "key", "-out", "csr"])
    return folder


@pytest.mark.parametrize(("digest", "told"), [("md5", "MD5"), ("sha1", "SHA1"), ("sha256", "")])
def test_a_weak_signature(digest: str, told: str, old_root: Path) -> None:
    """A new certificate cures it."""
    sign = ["openssl", "x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca.key", f"-{digest}"]
    signed = subprocess.run(sign, check=True, capture_output=True, timeout=60, cwd=old_root).stdout
    found = [one for one in of_certificate(row(signed, b""), NOW, POLICY) if one.kind is Kind.WEAK_SIGNATURE]
    assert [one.evidence for one in found] == ([f"it is signed with {told}"] if told else [])
    assert all(one.curable for one in found)


def test_a_signature_of_a_hash_that_nobody_can_tell() -> None:
    """RSA-PSS without parameters, which anybody may write into a chain: it is no weak one, and proves nothing."""
    [found] = [
        one
        for one in of_certificate(row(certificate_pem(ED25519_KEY, RSA_PSS), b""), NOW, POLICY)
        if one.kind is Kind.CHAIN
    ]
    assert "the chain is empty" in found.evidence


@pytest.mark.parametrize(
    ("imported", "days", "left", "severity"),
    [
        (False, 90, 16, None),  # its renewal was due, and half of the time to its end has not passed
        (False, 90, 14, Severity.WARNING),
        (False, 90, 11, Severity.CRITICAL),
        (True, 398, 31, None),
        (True, 398, 29, Severity.WARNING),
        (True, 398, 4, Severity.WARNING),
        (True, 398, 2.9, Severity.CRITICAL),
    ],
)
def test_how_bad_an_end_is(*, imported: bool, days: float, left: float, severity: Severity | None) -> None:
    """Ours by the fraction of its life, an imported one by its days."""
    begin = BEGIN - timedelta(days=days)
    one = row(good(begin=begin, days=days), issuing(begin=begin), imported=imported)
    found = of_certificate(one, int((BEGIN - timedelta(days=left)).timestamp()), POLICY)
    assert [(each.kind, each.severity) for each in found] == ([(Kind.ENDS_SOON, severity)] if severity else [])


def test_the_worst_comes_first_with_remedy_and_contact() -> None:
    """A person's words stand in each finding; an imported certificate is renewed where it was bought."""
    watch = Watch(contact="shop team, tel. 23", renewal_note="log in at ca.example, order 17")
    bad = row(good(days=3, usage=None), imported=True, watch=watch)
    found = of_certificate(bad, NOW, POLICY)
    assert [(one.kind, one.severity) for one in found] == [
        (Kind.EXPIRED, Severity.CRITICAL),
        (Kind.NO_SERVER_AUTH, Severity.WARNING),
    ]
    for one in found:
        assert "log in at ca.example, order 17, then" in one.remedy
        assert one.sentence.endswith("contact: shop team, tel. 23")


WEAK = row(good(usage=CLIENT))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {Kind.NO_SERVER_AUTH}),
        ({"enabled": False}, set()),
        ({"imported": True}, set()),
        ({"reissue_reason": "asked for by hand"}, set()),
        ({"watch": Watch(served=frozenset({"no-server-auth"}))}, set()),
        ({"watch": Watch(served=frozenset({"chain"}))}, {Kind.NO_SERVER_AUTH}),
        ({"watch": Watch(muted_until=NOW + 1, no_replacing=True)}, set()),
        ({"watch": Watch(muted_until=NOW, no_replacing=True)}, {Kind.NO_SERVER_AUTH}),
        ({"watch": Watch(muted_until=NOW + 1, no_mails=True)}, {Kind.NO_SERVER_AUTH}),
    ],
)
def test_for_what_a_new_certificate_is_ordered(changes: dict[str, Any], expected: set[Kind]) -> None:
    """Once for each kind, of an enabled row that is ours and not muted. The remedy says what comes."""
    one = dataclasses.replace(WEAK, **changes)
    found = of_certificate(one, NOW, POLICY)
    assert wanted(one, found, NOW) == expected
    says_run = "the next `run` replaces it" in found[0].remedy
    assert says_run == bool(expected or one.reissue_reason)


def test_what_is_due_anyway_is_not_ordered_twice() -> None:
    """An end and a foreign key make the row due by themselves; a weak key wants another CSR."""
    for one in (row(good(days=3)), row(good(days=6)), row(good(), csr=csr([NAME])), row(b"damaged")):
        assert wanted(one, of_certificate(one, NOW, POLICY), NOW) == set()


def test_the_next_audit() -> None:
    """Within a week, spread; at the moment from which on a member of the chain ends too soon, if that is sooner."""
    usual = [usual_audit(f"n{number}", NOW) - NOW for number in range(100)]
    assert AUDIT_EVERY / 2 <= min(usual) < 0.6 * AUDIT_EVERY < 0.9 * AUDIT_EVERY < max(usual) <= AUDIT_EVERY
    assert next_audit(row(good()), NOW + AUDIT_EVERY, NOW, POLICY) == NOW + AUDIT_EVERY
    ending = row(good(), issuing(days=412))
    at = next_audit(ending, NOW + AUDIT_EVERY, NOW, POLICY)
    assert NOW < at < NOW + AUDIT_EVERY
    assert [kinds(of_certificate(ending, moment, POLICY)) for moment in (at - 1, at)] == [[], ["chain-ends"]]


@pytest.mark.parametrize(
    ("addresses", "hosts", "expected"),
    [
        (["198.41.0.4"], {"web1": ["198.41.0.4"]}, []),
        (["198.41.0.4"], {}, []),
        ([], {}, ["name-unresolved"]),
        ("192.0.2.1: no answer", {}, ["name-unresolved"]),
        (["199.7.83.42"], {"web1": ["198.41.0.4"]}, ["name-elsewhere"]),
        (["199.7.83.42"], {"web1": ["10.0.0.4"]}, []),  # NAT
        (["199.7.83.42"], {"web1": ["198.41.0.4"], "web2": []}, []),  # one of them is not known
        (["199.7.83.42", "198.41.0.4"], {"web1": ["198.41.0.4"]}, []),
    ],
)
def test_where_a_name_leads(addresses: list[str] | str, hosts: dict[str, list[str]], expected: list[str]) -> None:
    """Nowhere, or elsewhere than to the hosts that report it."""
    assert kinds(of_names(row(good()), {NAME: addresses}, hosts)) == expected
