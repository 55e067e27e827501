"""The present certificate of a row, parsed once into plain values. Pure."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from common import base64url
from common.certificate import (
    Bundle,
    certified_names,
    fingerprint,
    issuer_text,
    not_after,
    not_before,
    parse_bundle,
    readable_extension,
    serial_text,
    spki_sha256,
)
from common.clock import utc_text


@dataclass(frozen=True, slots=True)
class Damaged:
    """Bytes that are no sound certificate or signing request; *why* is a sentence."""

    why: str


@dataclass(frozen=True, slots=True)
class Leaf:
    """One certificate. *starts* and *ends* are epoch seconds; *serial* is upper-case hex, as openssl prints it; *names*
    are its DNS names and IP addresses; *sha256* is that of its DER form, *spki_sha256* that of its public key; *ari_id*
    names it to its CA (RFC 9773 §4.1), "" without an issuer's key identifier."""

    starts: int
    ends: int
    serial: str
    issuer: str
    names: frozenset[str]
    sha256: str
    spki_sha256: str
    key_type: str
    ari_id: str

    @property
    def halfway(self) -> int:
        """The middle of its life: before it no CA plans a renewal."""
        return (self.starts + self.ends) // 2


def bundle_of(leaf_pem: bytes, chain_pem: bytes = b"") -> Bundle | Damaged:
    """The certificate and chain in two PEM texts."""
    try:
        return parse_bundle(leaf_pem, chain_pem)
    except ValueError as error:
        return Damaged(str(error))


def leaf_of(pem: bytes) -> Leaf | Damaged:
    """The first certificate of a PEM text."""
    bundle = bundle_of(pem)
    return bundle if isinstance(bundle, Damaged) else facts_of(bundle.leaf)


def facts_of(certificate: x509.Certificate) -> Leaf:
    """The facts of a parsed certificate."""
    key = certificate.public_key()
    return Leaf(
        starts=not_before(certificate),
        ends=not_after(certificate),
        serial=serial_text(certificate),
        issuer=issuer_text(certificate),
        names=certified_names(certificate),
        sha256=fingerprint(certificate),
        spki_sha256=spki_sha256(key),
        key_type=key_type(key),
        ari_id=_ari_id(certificate),
    )


def key_type(key: CertificatePublicKeyTypes) -> str:
    """The type of a key in the words of `certfleet-agent request`; "" for neither RSA nor ECDSA."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"rsa{key.key_size}"
    return f"ecdsa-p{key.curve.key_size}" if isinstance(key, ec.EllipticCurvePublicKey) else ""


def in_short(certificate: x509.Certificate) -> str:
    """Serial number and end, for people."""
    return f"serial {serial_text(certificate)}, valid until {utc_text(not_after(certificate))}"


def _ari_id(certificate: x509.Certificate) -> str:
    """base64url(key identifier) "." base64url(serial's DER value), RFC 9773 §4.1; "" without an AKI."""
    identifier = readable_extension(certificate, x509.AuthorityKeyIdentifier)
    if identifier is None or not identifier.key_identifier:
        return ""
    serial = certificate.serial_number
    octets = serial.to_bytes(serial.bit_length() // 8 + 1, "big", signed=True)
    return f"{base64url.encode(identifier.key_identifier)}.{base64url.encode(octets)}"
