"""The public key of an issuer as people copy it: the base64 text of its 32 octets (RFC 8032 §5.1.5). Pure, and without
the library of X.509, which a run of the agent without news does not load."""

import base64
import binascii
import hashlib

_OCTETS = 32


def parse_issuer_key(text: str) -> bytes:
    """The 32 octets in a text of `certfleet-issuer key show`. Raises ValueError with a sentence."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("must be the text that `certfleet-issuer key show` prints") from error
    if len(key) != _OCTETS:
        raise ValueError(f"must be the text of {_OCTETS} octets, as `certfleet-issuer key show` prints it")
    return key


def issuer_key_text(key: bytes) -> str:
    """The text of 32 octets that :func:`parse_issuer_key` reads: base64 (RFC 4648 §4)."""
    return base64.b64encode(key).decode()


def issuer_key_id(key: bytes) -> str:
    """A short name of the key, to compare by eye: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(key).hexdigest()[:16]
