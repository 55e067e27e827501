"""Certificates as good and bad CAs make them, for one key: roots, intermediates and leaves, each as a test wants it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from common.names import is_address

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Extension = tuple[x509.ExtensionType, bool]  # with whether it is critical
SERVER, CLIENT = ([each] for each in (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH))
CA = (x509.BasicConstraints(ca=True, path_length=None), True)
NOT_CA = (x509.BasicConstraints(ca=False, path_length=None), True)
UNKNOWN = (x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"), True)


def private(pem: bytes) -> Key:
    """The private key in a PEM file."""
    key = load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    return key


@dataclass(frozen=True)
class Maker:
    """A CA with little of its own: its certificate has just the extensions given, as old tools make it."""

    certificate: x509.Certificate
    key: Key
    above: tuple["Maker", ...] = field(default=())

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def chain_pem(self) -> bytes:
        """What a server sends: this CA and those above it, without the root; the root where that signs leaves."""
        return self.pem + b"".join(one.pem for one in self.above[:-1])

    def below(self, name: str, extensions: Sequence[Extension] = (CA,)) -> "Maker":
        key = ec.generate_private_key(ec.SECP256R1())
        return Maker(self.certify(name, key.public_key(), extensions), key, (self, *self.above))

    def certify(
        self,
        name: str,
        public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
        extensions: Sequence[Extension],
        *,
        days: float = 90,
        start: datetime | None = None,
    ) -> x509.Certificate:
        subject = self.certificate.subject
        return _certify(subject, self.key, _name(name), public_key, extensions=extensions, days=days, start=start)

    def leaf(
        self,
        key: Key,
        names: Sequence[str],
        *extensions: Extension,
        usages: list[ObjectIdentifier] | None = SERVER,
        days: float = 90,
        start: datetime | None = None,
    ) -> bytes:
        """A certificate in PEM for *key*, with the *extensions* besides its names and the *usages* of its key."""
        general = [x509.IPAddress(ip_address(one)) if is_address(one) else x509.DNSName(one) for one in names]
        own: list[Extension] = [(x509.SubjectAlternativeName(general), False)]
        own += [(x509.ExtendedKeyUsage(usages), False)] if usages else []
        return self.certify("leaf", key.public_key(), [*own, *extensions], days=days, start=start).public_bytes(
            Encoding.PEM
        )


def root(name: str, extensions: Sequence[Extension] = (CA,), key: Key | None = None) -> Maker:
    """A root; with little else than its name unless more *extensions* are given."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    own = _certify(_name(name), key, _name(name), key.public_key(), extensions=extensions, days=3650)
    return Maker(own, key)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _certify(
    issuer: x509.Name,
    signer: Key,
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    *,
    extensions: Sequence[Extension],
    days: float,
    start: datetime | None = None,
) -> x509.Certificate:
    start = start or datetime.now(UTC) - timedelta(hours=1)
    builder = x509.CertificateBuilder(issuer, subject, public_key, x509.random_serial_number())
    builder = builder.not_valid_before(start).not_valid_after(start + timedelta(days=days))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(signer, hashes.SHA256())
