"""What `check` finds wrong with a certificate in the live files: each kind, alone."""

import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from agent.model.offer import Mark
from agent.model.result import Installed, Outcome, Result
from agent.model.waiting import Pause, Postponed
from agent.rules.audit import audit
from agent.rules.verify import installed_in
from common.certificate import pem, spki_sha256
from common.check_line import BAD, WARN
from tests.servers.process import program

NAME = "www.example.test"
NOW = datetime(2026, 11, 29, tzinfo=UTC)
CA_KEY = ec.generate_private_key(ec.SECP256R1())
KEY = ec.generate_private_key(ec.SECP256R1())
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def made(
    subject: str,
    key: CertificateIssuerPrivateKeyTypes = KEY,
    *,
    issuer: str = "CA",
    days: tuple[float, float] = (-10, 80),
    names: tuple[str, ...] = (NAME,),
    usage: x509.ObjectIdentifier = SERVER,
    ca: bool = False,
) -> x509.Certificate:
    """*days*: its start and its end from now."""
    start, end = (NOW + timedelta(days=one) for one in days)
    builder = x509.CertificateBuilder(named(issuer), named(subject), key.public_key(), 1, start, end)
    builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([*map(x509.DNSName, names)]), critical=False)
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return builder.sign(KEY if issuer == subject else CA_KEY, hashes.SHA256())


CA = made("CA", CA_KEY, issuer="Root", days=(-1000, 1000), names=(), ca=True)
OLD_CA = made("CA", CA_KEY, issuer="Root", days=(-1000, -1), names=(), ca=True)
PLACED = Result(NAME, Outcome.INSTALLED, installed=Installed("", "01", 0, Mark(1, 1), {}, ""))
SMALL = rsa.generate_private_key(65537, 1024)  # noqa: S505

FAULTS: dict[str, tuple[tuple[x509.Certificate, ...], set[str]]] = {
    "none": ((made("a"), CA), set()),
    "no usage at all": ((made("a", usage=ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE), CA), set()),
    "expired": ((made("a", days=(-90, -1)), CA), {"expired"}),
    "early": ((made("a", days=(1, 90)), CA), {"not-yet-valid"}),
    "soon": ((made("a", days=(-80, 10)), CA), {"expires-soon"}),
    "soon, of six days": ((made("a", days=(-5.5, 0.5)), CA), {"expires-soon"}),
    "half of six days": ((made("a", days=(-3, 3)), CA), set()),
    "weak key": ((made("a", SMALL), CA), {"weak-key"}),
    "self-signed": ((made("a", issuer="a"),), {"self-signed"}),
    "no names": ((made("a", names=()), CA), {"no-names"}),
    "another name": ((made("a", names=("other.example.test",)), CA), {"name-missing"}),
    "for clients": ((made("a", usage=CLIENT), CA), {"no-server-auth"}),
    "no chain": ((made("a"),), {"chain"}),
    "old chain": ((made("a"), OLD_CA), {"chain-ends"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_kind(fault: str) -> None:
    certificates, expected = FAULTS[fault]
    content = b"".join(map(pem, certificates))
    bundle = installed_in([content], spki_sha256(certificates[0].public_key()), placeholder=True)
    assert bundle is not None
    found = audit(PLACED, (NAME,), bundle, NOW.timestamp(), whole=True)
    assert {line.kind for line in found} == expected, found
    assert all(line.level == BAD and line.sentence and line.hint for line in found)
    # before the first install it is a placeholder
    assert {line.level for line in audit(Result(NAME), (NAME,), bundle, NOW.timestamp(), whole=True)} <= {WARN}


@pytest.mark.parametrize("left", [10, -1], ids=["soon", "expired"])
def test_a_newer_one_that_waits_for_its_window_or_a_person(left: float) -> None:
    """What `run` does not call late, `check` does not; both say what lets the newer one in."""
    leaf = made("a", days=(-80, left))
    bundle = installed_in([pem(leaf), pem(CA)], spki_sha256(leaf.public_key()), placeholder=True)
    assert bundle is not None
    now = int(NOW.timestamp())
    waits = replace(PLACED, postponed=Postponed("02", "Sun 02:00-04:00", now + 86400))
    held = replace(PLACED, pause=Pause(now + 86400, "fair", now))
    by_record = [audit(one, (NAME,), bundle, now, whole=True) for one in (PLACED, waits, held)]
    assert [len(found) for found in by_record] == [1, int(left < 0), 1]
    assert "overdue" in by_record[0][0].hint
    assert "certfleet-agent release" in by_record[2][0].hint


def test_the_certificate_of_another_key_is_none() -> None:
    other = spki_sha256(ec.generate_private_key(ec.SECP256R1()).public_key())
    assert installed_in([pem(made("a")), b"rubbish", b"-----BEGIN CERTIFICATE-----"], other, placeholder=True) is None


def test_a_weak_signature(tmp_path: Path) -> None:
    """openssl still makes one, where the library does not."""
    for name, key in (("ca", CA_KEY), ("own", KEY)):
        (tmp_path / name).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "ca.pem").write_bytes(pem(CA))
    command = [program("openssl", "openssl"), "req", "-x509", "-key", "own", "-subj", "/CN=a", "-sha1", "-days", "90"]
    command += ["-CA", "ca.pem", "-CAkey", "ca", "-addext", f"subjectAltName=DNS:{NAME}"]
    leaf = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    bundle = installed_in([leaf, pem(CA)], spki_sha256(KEY.public_key()), placeholder=True)
    assert bundle is not None
    (line,) = audit(PLACED, (NAME,), bundle, bundle.leaf.not_valid_before_utc.timestamp() + 60, whole=True)
    assert (line.kind, line.sentence) == ("weak-signature", "its certificate is signed with SHA1")
