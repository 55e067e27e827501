"""ACME renewal information, RFC 9773: the certificate's identifier, and one moment drawn in the CA's window. Pure."""

import base64
import dataclasses
import hashlib

from cryptography import x509

from issuer.model.acme import RenewalInfo
from issuer.model.enrolment import Enrolment

_ASK_AGAIN = 6 * 3600  # seconds, where the CA names none
_SOONEST, LATEST = 60, 86400  # seconds between two questions


def certificate_id(certificate: x509.Certificate) -> str:
    """base64url(key identifier) "." base64url(serial's DER value), RFC 9773 §4.1; "" without an AKI."""
    try:
        key_id = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except (x509.ExtensionNotFound, ValueError):
        return ""
    serial = certificate.serial_number
    octets = serial.to_bytes(serial.bit_length() // 8 + 1, "big")  # with the leading zero of a positive INTEGER
    return f"{_base64url(key_id)}.{_base64url(octets)}" if key_id else ""


def draw(row: Enrolment, info: RenewalInfo, now: int) -> Enrolment:
    """*row* with a moment drawn in the window, the same for every look at the same window (RFC 9773 §4.2)."""
    window = (info.start, info.end)
    drawn = row.ari_at
    if drawn is None or row.ari_window != window:
        seed = (
            int.from_bytes(hashlib.sha256(f"{row.name} {info.start}-{info.end}".encode()).digest()[:6], "big") / 2**48
        )
        drawn = info.start + int((info.end - info.start) * seed)
    return dataclasses.replace(row, ari_at=drawn, ari_window=window, ari_ask_at=ask_again_at(info.ask_again_at, now))


def ask_again_at(wanted: float | None, now: int) -> int:
    """When to ask again: the CA's Retry-After within sane bounds, else in six hours."""
    return now + _ASK_AGAIN if wanted is None else min(max(int(wanted), now + _SOONEST), now + LATEST)


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
