"""Facts about certificates from their bytes alone: no clock, no network, no file.

The chain rules are those that every TLS client applies first: each certificate signed by the next, issuer and subject
names chained, issuers allowed to sign (RFC 5280 §6.1, §4.2.1.9). Roots are not needed: a server does not send them.
"""

import functools
import hashlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from common.dataclasses import dataclass
from common.load_x509 import load_certificate, load_request
from common.pem import LARGEST, is_der, plain

E = TypeVar("E", bound=x509.ExtensionType)
_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
_MOST_CERTIFICATES = 32
_WEAK_HASHES = ("md5", "sha1")
_LEAST_RSA, _LEAST_EC = 2048, 256  # bits (Baseline Requirements §6.1.5)

PARSE_ERRORS = (
    *(ValueError, TypeError, OverflowError, UnsupportedAlgorithm),
    *(x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
    KeyError,  # of a name with a text of an unknown type, before cryptography 49
)
"""Errors of the library for bytes that are no sound certificate or request, at once or at the first look."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A leaf and its chain, the leaf's issuer first, as handed from issuer to agent."""

    leaf: x509.Certificate
    chain: tuple[x509.Certificate, ...]

    @property
    def leaf_pem(self) -> bytes:
        return pem(self.leaf)

    @property
    def chain_pem(self) -> bytes:
        return b"".join(map(pem, self.chain))


def parse_bundle(leaf_pem: bytes, chain_pem: bytes = b"") -> Bundle:
    """The bundle in two PEM texts; *leaf_pem* alone may hold the full chain. Raises ValueError with a sentence."""
    leaves = load_certificates(leaf_pem)
    if not leaves:
        raise ValueError("there is no certificate in it")
    if chain_pem and len(leaves) > 1:
        raise ValueError(f"one leaf was expected and {len(leaves)} certificates were found")
    if leaves[0].serial_number < 0:
        raise ValueError("its serial number is negative (RFC 5280 §4.1.2.2)")
    return Bundle(leaves[0], (*leaves[1:], *load_certificates(chain_pem)))


def extension(extensions: x509.Extensions, kind: type[E]) -> E | None:
    """The extension of that *kind*; None without one."""
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def readable_extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    """The same; None too where the extensions of *certificate* cannot be parsed."""
    try:
        return extension(certificate.extensions, kind)
    except PARSE_ERRORS:
        return None


def must_staple(certificate: x509.Certificate) -> bool:
    """Does it demand a staple (RFC 7633)?"""
    return x509.TLSFeatureType.status_request in (readable_extension(certificate, x509.TLSFeature) or ())


def leaf_validity(leaf_pem: bytes) -> tuple[int, int]:
    """Start and end of the first certificate in a PEM text (epoch seconds), ten times faster than :func:`parse_bundle`,
    for many that were parsed before. Raises ValueError with a sentence."""
    leaf = _first(leaf_pem)
    return not_before(leaf), not_after(leaf)


def leaf_fingerprint(leaf_pem: bytes) -> str:
    """The :func:`fingerprint` of the first certificate in a PEM text, as fast as :func:`leaf_validity`. Raises
    ValueError with a sentence."""
    return fingerprint(_first(leaf_pem))


@functools.lru_cache(maxsize=16)  # several facts about a row are asked for, each by its own function
def _first(pem_text: bytes) -> x509.Certificate:
    for block in _blocks(pem_text):
        try:
            return load_certificate(block)
        except PARSE_ERRORS as error:
            raise ValueError("the certificate cannot be parsed") from error
    raise ValueError("there is no certificate in it")


def is_for_request(leaf_pem: bytes, request: bytes) -> bool | None:
    """Is the first certificate of a PEM text for the key of that signing request? As fast as :func:`leaf_validity`.
    None where one of them cannot be read."""
    try:
        key = _first(leaf_pem).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return key in load_request(request).tbs_certrequest_bytes
    except PARSE_ERRORS:
        return None


def load_certificates(pem_text: bytes) -> list[x509.Certificate]:
    """Every certificate of a PEM text, in order, or the one in DER. Raises ValueError if one cannot be parsed, or the
    text is too large. The library parses late, so every part is looked at here once: nothing can fail later."""
    if len(pem_text) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST} bytes")
    found: list[x509.Certificate] = []
    for block in _blocks(pem_text):
        if len(found) == _MOST_CERTIFICATES:
            raise ValueError(f"it holds more than {_MOST_CERTIFICATES} certificates")
        try:
            certificate = load_certificate(block)
            _look_through(certificate)
        except PARSE_ERRORS as error:
            raise ValueError("a certificate in it cannot be parsed") from error
        found.append(certificate)
    return found


def _blocks(content: bytes) -> Iterator[bytes]:
    """Each certificate of a PEM text, or the one in DER."""
    pem_text = plain(content)
    if is_der(pem_text):
        yield pem_text
        return
    position = 0
    while (start := pem_text.find(_BEGIN, position)) >= 0:
        end = pem_text.find(_END, start)
        if end < 0 or _BEGIN in pem_text[start + len(_BEGIN) : end]:
            raise ValueError("a certificate in it is cut off")
        position = end + len(_END)
        yield pem_text[start:position]


def _look_through(certificate: x509.Certificate) -> None:
    spki_sha256(certificate.public_key())
    list(certificate.extensions)
    certified_names(certificate)
    for name in (certificate.subject, certificate.issuer):
        name.rfc4514_string()
    not_before(certificate)
    not_after(certificate)
    serial_text(certificate)


def pem(certificate: x509.Certificate) -> bytes:
    """*certificate* in PEM, with a line end behind it."""
    return certificate.public_bytes(Encoding.PEM)


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER form, lower-case hex: the identity of a certificate."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def spki_sha256(key: CertificatePublicKeyTypes) -> str:
    """SHA-256 of the DER SubjectPublicKeyInfo, lower-case hex: the identity of a key of any type."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def certified_names(certificate: x509.Certificate) -> frozenset[str]:
    """The DNS names and IP addresses of the subject alternative name, canonical as in :mod:`common.names`."""
    names = readable_extension(certificate, x509.SubjectAlternativeName)
    if names is None:
        return frozenset()
    return frozenset(
        [
            *(name.lower() for name in names.get_values_for_type(x509.DNSName)),
            *(str(address) for address in names.get_values_for_type(x509.IPAddress)),
        ]
    )


def common_names(certificate: x509.Certificate) -> frozenset[str]:
    """The common names of its subject and of its issuer, as they are written."""
    names, kind = (certificate.subject, certificate.issuer), x509.NameOID.COMMON_NAME
    return frozenset(str(item.value) for name in names for item in name.get_attributes_for_oid(kind))


def serial_text(certificate: x509.Certificate) -> str:
    """The serial number as openssl prints it: upper-case hex, whole octets."""
    digits = f"{abs(certificate.serial_number):X}"
    return ("-" if certificate.serial_number < 0 else "") + digits.zfill(len(digits) + len(digits) % 2)


def serial_number(text: str) -> int | None:
    """The number in hex text, with colons or without; None if it is none."""
    try:
        return int(text.replace(":", ""), 16)
    except ValueError:
        return None


def issuer_text(certificate: x509.Certificate) -> str:
    """The issuer for people: its common name, else the whole name."""
    return _name_text(lambda: certificate.issuer)


def not_before(certificate: x509.Certificate) -> int:
    """Start of validity in epoch seconds."""
    return int(certificate.not_valid_before_utc.timestamp())


def not_after(certificate: x509.Certificate) -> int:
    """End of validity in epoch seconds."""
    return int(certificate.not_valid_after_utc.timestamp())


def validity_faults(bundle: Bundle, now: float) -> list[str]:
    """Sentences about the dates of leaf and chain at *now* (epoch seconds); empty when all is well."""
    faults = []
    for position, certificate in enumerate((bundle.leaf, *bundle.chain)):
        what = (
            "the certificate" if position == 0 else f"the chain's certificate {position} ({subject_text(certificate)})"
        )
        if not_after(certificate) <= now:
            faults.append(f"{what} expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC")
        elif not_before(certificate) > now:
            faults.append(f"{what} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%S} UTC")
    return faults


def chain_faults(bundle: Bundle) -> list[str]:
    """Sentences about order, names, signatures and CA flags of the chain; empty when all is well."""
    faults = []
    if not bundle.chain and not is_signed_by(bundle.leaf, bundle.leaf):
        faults.append(f"the chain is empty; the certificate of the issuer {issuer_text(bundle.leaf)!r} is missing")
    below = bundle.leaf
    for position, issuer in enumerate(bundle.chain, start=1):
        what = f"the chain's certificate {position} ({subject_text(issuer)})"
        if below.issuer != issuer.subject:
            faults.append(f"{what} is not the issuer of the one before it, which names {issuer_text(below)!r}")
        elif not is_signed_by(below, issuer):
            faults.append(f"{what} did not sign the one before it")
        if not is_ca(issuer):
            faults.append(f"{what} is not a CA certificate")
        below = issuer
    return faults


def is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Does *certificate* name *issuer*, and is its signature made by that key?"""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *PARSE_ERRORS):
        return False
    return True


def is_ca(certificate: x509.Certificate) -> bool:
    """May it issue others (RFC 5280 section 4.2.1.9)?"""
    constraints = readable_extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def weak_hash(certificate: x509.Certificate) -> str:
    """ "MD5" or "SHA1" where *certificate* is signed with it; "" for others. Nobody looks at a root's own."""
    if certificate.issuer == certificate.subject:
        return ""
    try:
        used = certificate.signature_hash_algorithm
    except PARSE_ERRORS:  # also of RSA-PSS without parameters
        return ""
    return used.name.upper() if used is not None and used.name in _WEAK_HASHES else ""


def weak_key(key: CertificatePublicKeyTypes) -> str:
    """The type and the bits of a weak key; "" for one that is not weak."""
    if isinstance(key, dsa.DSAPublicKey):
        return f"DSA with {key.key_size} bits"
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _LEAST_RSA:
        return f"RSA with {key.key_size} bits"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < _LEAST_EC:
        return f"EC with {key.key_size} bits"
    return ""


def extended_usages(certificate: x509.Certificate) -> frozenset[x509.ObjectIdentifier] | None:
    """The extended key usages; None without the extension: every usage is allowed then (RFC 5280 §4.2.1.12)."""
    usages = readable_extension(certificate, x509.ExtendedKeyUsage)
    return None if usages is None else frozenset(usages)


def subject_text(certificate: x509.Certificate) -> str:
    """The subject for people: its common name, else the whole name."""
    return _name_text(lambda: certificate.subject)


def _name_text(name_of: Callable[[], x509.Name]) -> str:
    """The library parses late, and not every text: an old CA writes Latin-1 into a T61String."""
    try:
        name = name_of()
        common = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return str(common[0].value) if common else name.rfc4514_string()
    except PARSE_ERRORS:
        return "(unreadable)"
