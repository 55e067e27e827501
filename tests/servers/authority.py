"""A throw-away certificate authority in memory, for servers that need TLS and for tests that need certificates.

ECDSA P-256 throughout, with the extensions a strict verifier asks for (RFC 5280 section 4.2). The chain it hands
out is what an ACME server would deliver: intermediates, nearest first, without the root.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificateIssuerPublicKeyTypes,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

CLOCK_SKEW = timedelta(hours=1)
CA_LIFETIME = timedelta(days=3650)
COMMON_NAME_LIMIT = 64
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True, slots=True)
class Files:
    """Where the parts of one certificate were written."""

    cert: Path
    chain: Path
    fullchain: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate, the intermediates above it (nothing when the root signed it), and its key."""

    cert_pem: bytes
    chain_pem: bytes
    key_pem: bytes

    @property
    def fullchain_pem(self) -> bytes:
        """What a server presents: the certificate, then the chain."""
        return self.cert_pem + self.chain_pem

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate, parsed."""
        return x509.load_pem_x509_certificate(self.cert_pem)

    def write(self, folder: Path) -> Files:
        """Write cert.pem, chain.pem, fullchain.pem and privkey.pem (0600 from the start)."""
        folder.mkdir(parents=True, exist_ok=True)
        files = Files(*(folder / f"{part}.pem" for part in ("cert", "chain", "fullchain", "privkey")))
        files.cert.write_bytes(self.cert_pem)
        files.chain.write_bytes(self.chain_pem)
        files.fullchain.write_bytes(self.fullchain_pem)
        files.key.unlink(missing_ok=True)
        with open(files.key, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as key:
            key.write(self.key_pem)
        return files


class Authority:
    """A root, or with `parent` an intermediate, that signs whatever a test asks for."""

    def __init__(self, cn: str, *, parent: "Authority | None" = None, subject: x509.Name | None = None) -> None:
        self.parent = parent
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = subject or _common_name(cn)
        self.added: list[x509.ExtensionType] = []  # what each certificate has beside, from now on
        self.certificate = self._signed_by(self if parent is None else parent)

    @property
    def pem(self) -> bytes:
        """This authority's own certificate."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def chain_pem(self) -> bytes:
        """This certificate and those above it, without the root: nothing when this is the root."""
        return b"" if self.parent is None else self.pem + self.parent.chain_pem

    def intermediate(self, cn: str, *, subject: x509.Name | None = None) -> "Authority":
        """An authority below this one: what it issues comes with a chain. Its name is *cn*, or all of *subject*."""
        return Authority(cn, parent=self, subject=subject)

    def crossed(self, other: "Authority") -> bytes:
        """Name and key of this authority, certified by *other* too; PEM."""
        return self._signed_by(other).public_bytes(Encoding.PEM)

    def _signed_by(self, signer: "Authority") -> x509.Certificate:
        start = datetime.now(UTC) - CLOCK_SKEW
        return signer._sign(
            _builder(self._subject, self._key.public_key(), start, start + CA_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage("digital_signature", "key_cert_sign", "crl_sign"), critical=True)
        )

    def issue(
        self,
        names: list[str],
        key: CertificateIssuerPrivateKeyTypes | None = None,
        days: float = 90,
        not_before: datetime | None = None,
        more: Sequence[x509.ExtensionType] = (),
    ) -> Issued:
        """A server certificate for DNS names or IP addresses, valid for `days` from `not_before` (an hour ago), with
        *more* extensions."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self._issue(names, key.public_key(), key_pem, days, not_before, more=more)

    def delegate(
        self, key: ec.EllipticCurvePublicKey, usage: x509.ObjectIdentifier, *, until: datetime | None = None
    ) -> x509.Certificate:
        """A certificate for *key* with this extended usage alone, good for the years around now or *until* then."""
        now = datetime.now(UTC)
        builder = _builder(_common_name("Delegate"), key, now - CA_LIFETIME, until or now + CA_LIFETIME)
        return self._sign(builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False))

    def responder(self) -> Issued:
        """A certificate and a key that sign OCSP responses in place of this authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        certificate = self.delegate(key.public_key(), ExtendedKeyUsageOID.OCSP_SIGNING)
        return Issued(certificate.public_bytes(Encoding.PEM), self.chain_pem, key_pem)

    def without_lists(self) -> x509.Certificate:
        """Another certificate for its name and key, which lets it sign certificates and no lists."""
        start = datetime.now(UTC) - CLOCK_SKEW
        builder = _builder(self._subject, self._key.public_key(), start, start + CA_LIFETIME)
        return self._sign(builder.add_extension(_usage("key_cert_sign"), critical=True))

    def sign_bytes(self, content: bytes) -> bytes:
        """The signature of anything."""
        return self._key.sign(content, ec.ECDSA(hashes.SHA256()))

    def sign_list(self, builder: x509.CertificateRevocationListBuilder) -> bytes:
        """A revocation list of this authority, in DER."""
        return builder.issuer_name(self._subject).sign(self._key, hashes.SHA256()).public_bytes(Encoding.DER)

    def sign_response(self, builder: ocsp.OCSPResponseBuilder) -> bytes:
        """An OCSP response of this authority, in DER."""
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.certificate)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.DER)

    def sign(
        self,
        csr_pem: bytes,
        days: float = 90,
        not_before: datetime | None = None,
        serial: int | None = None,
        names: list[str] | None = None,
        *,
        more: Sequence[x509.ExtensionType] = (),
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
    ) -> Issued:
        """A certificate for a signing request: its key, its alternative names or those *names*. The key stays where it
        is. The serial number is random unless a test gives one. *more*: extensions. *usage*: the extended one."""
        csr = x509.load_pem_x509_csr(csr_pem)
        wanted = names or [str(name.value) for name in _alternative_names(csr)]
        public_key = csr.public_key()
        if not isinstance(public_key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
            raise TypeError(f"this authority signs no keys of type {type(public_key).__name__}")
        return self._issue(wanted, public_key, b"", days, not_before, serial=serial, more=more, usage=usage)

    def write(self, folder: Path) -> Path:
        """Write this authority's certificate as ca.pem; its key never leaves memory."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "ca.pem"
        path.write_bytes(self.pem)
        return path

    def _issue(
        self,
        names: list[str],
        public_key: CertificateIssuerPublicKeyTypes,
        key_pem: bytes,
        days: float,
        not_before: datetime | None,
        *,
        serial: int | None = None,
        more: Sequence[x509.ExtensionType] = (),
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
    ) -> Issued:
        start = not_before or datetime.now(UTC) - CLOCK_SKEW
        subject = _common_name(names[0])
        alternative = x509.SubjectAlternativeName([_general_name(name) for name in names])
        usages = ["digital_signature"]
        if not isinstance(public_key, ec.EllipticCurvePublicKey):
            usages.append("key_encipherment")
        builder = _builder(subject, public_key, start, start + timedelta(days=days), serial)
        for extension in more:
            builder = builder.add_extension(extension, critical=False)
        certificate = self._sign(
            builder.add_extension(alternative, critical=not list(subject))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(*usages), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        return Issued(certificate.public_bytes(Encoding.PEM), self.chain_pem, key_pem)

    def _sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.issuer_name(self._subject).add_extension(identifier, critical=False)
        for extension in self.added:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def asked_at(*, ocsp: str = "", crl: str = "", issuer: str = "") -> list[x509.ExtensionType]:
    """The extensions that say at which URL something is asked about a certificate, for :attr:`Authority.added`."""
    methods = {AuthorityInformationAccessOID.OCSP: ocsp, AuthorityInformationAccessOID.CA_ISSUERS: issuer}
    places = [
        x509.AccessDescription(method, x509.UniformResourceIdentifier(url)) for method, url in methods.items() if url
    ]
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(crl)], None, None, None)
    found: list[x509.ExtensionType] = [x509.AuthorityInformationAccess(places)] if places else []
    return [*found, x509.CRLDistributionPoints([point])] if crl else found


def names_in(csr: x509.CertificateSigningRequest, *, with_common_name: bool) -> set[str]:
    """The names that a CA finds in a request, in lower case: those of Boulder with the common name, those of Pebble
    without it."""
    common = csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[-1:] if with_common_name else []
    found = [*(name.value for name in _alternative_names(csr)), *(name.value for name in common)]
    return {str(name).lower() for name in found}


def _alternative_names(csr: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    try:
        return list(csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def _builder(
    subject: x509.Name,
    public_key: CertificateIssuerPublicKeyTypes,
    start: datetime,
    end: datetime,
    serial: int | None = None,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _common_name(name: str) -> x509.Name:
    """The name as CN; longer ones do not fit there and stand in the alternative names only."""
    if len(name) > COMMON_NAME_LIMIT:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*usages: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in usages for usage in _USAGES})
