"""The statement that an issuer signs for a certificate, and how an agent reads it. Pure.

A signed text is a compact JWS (RFC 7515 §7.1) with Ed25519 (RFC 8037 §3.1): the octets that were signed travel, and are
never made again for the check. Its header is one of two constants, so that neither the algorithm nor the kind of a text
can be chosen by who carries it. A statement is one line; the lines after it are endorsements: each change of the
issuer's key, the new one signed by the one before, the oldest first.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from common import base64url
from common.dataclasses import dataclass, fields
from common.issuer_key import issuer_key_text, parse_issuer_key
from common.strict_json import made

MOST_ENDORSEMENTS = 16
_MOST_CHARACTERS = 500_000  # a certificate of 256,000 bytes, base64 twice
_VERSION = 1
_LARGEST = 2**63 - 1

Sign = Callable[[bytes], bytes]
"""The Ed25519 signature of octets by the issuer's private key."""


class OtherKey(ValueError):
    """A text in the right form that another key has signed."""


@dataclass(frozen=True, slots=True)
class Statement:
    """The issuer's word for one certificate of *name*. *key*: SHA-256 (hex) of its SubjectPublicKeyInfo; *names*:
    sorted; *sha256*: of the leaf in DER (hex); *ends* and *moment*: epoch seconds. *sequence* only grows for a name.
    *older*: the issuer was told to go back to it."""

    name: str
    key: str
    names: tuple[str, ...]
    sha256: str
    ends: int
    sequence: int
    moment: int
    older: bool


@dataclass(frozen=True, slots=True)
class SignedText:
    """A statement as it travels: the signed *line*, and the *endorsements* after it."""

    line: str
    endorsements: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join((self.line, *self.endorsements))


def next_sequence(previous: int, now: int) -> int:
    """The sequence after *previous*, which is 0 without one: the present moment (epoch seconds), or one more. So two
    issuers whose clocks differ do not go backwards."""
    return max(previous + 1, now)


def signed(statement: Statement, sign: Sign) -> str:
    """The line of a statement."""
    return _jws(_STATEMENT, {"version": _VERSION} | {field: getattr(statement, field) for field in _FIELDS}, sign)


def endorsed(new_key: bytes, sign: Sign) -> str:
    """The line by which the key behind *sign* says that *new_key* takes its place."""
    return _jws(_ENDORSEMENT, {"version": _VERSION, "key": issuer_key_text(new_key)}, sign)


def parse_signed(text: str) -> SignedText:
    """The lines of a text. Nothing is checked yet but its size. Raises ValueError with a sentence."""
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"it is longer than {_MOST_CHARACTERS} characters")
    line, *endorsements = text.strip().split("\n")
    if len(endorsements) > MOST_ENDORSEMENTS:
        raise ValueError(f"it holds more than {MOST_ENDORSEMENTS} endorsements")
    return SignedText(line.strip(), tuple(each.strip() for each in endorsements))


def successor(key: bytes, endorsements: Sequence[str]) -> bytes:
    """The key that *endorsements* lead to from *key*; *key* itself where none of them is signed by it."""
    for line in endorsements:
        try:
            document = _verified(_ENDORSEMENT, line, key)
            key = parse_issuer_key(document.get("key", ""))
        except (ValueError, TypeError):  # of a key before this one, or of nobody
            continue
    return key


def verified(line: str, key: bytes) -> Statement:
    """The statement in a *line* that *key* has signed. Raises ValueError with a sentence."""
    document = _verified(_STATEMENT, line, key)
    try:
        found = made(Statement, document)
        if not all(map(_is_number, (found.ends, found.sequence, found.moment))):
            raise TypeError
    except TypeError as error:
        raise ValueError("a field in it is missing or of the wrong type") from error
    return found


def _is_number(value: int) -> bool:
    return not isinstance(value, bool) and 0 <= value <= _LARGEST


def _jws(header: str, document: dict[str, Any], sign: Sign) -> str:
    payload = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    signing_input = f"{header}.{base64url.encode(payload)}"
    return f"{signing_input}.{base64url.encode(sign(signing_input.encode()))}"


def _verified(header: str, line: str, key: bytes) -> dict[str, Any]:
    parts = line.split(".")
    if len(parts) != 3 or parts[0] != header or not line.isascii():
        raise ValueError("it is not in the form of such a text")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(base64url.decode(parts[2]), f"{parts[0]}.{parts[1]}".encode())
    except InvalidSignature as error:
        raise OtherKey("it is not signed by the issuer's key") from error
    try:
        document = json.loads(base64url.decode(parts[1]))
    except (ValueError, RecursionError) as error:
        raise ValueError("its content is not JSON") from error
    if not isinstance(document, dict):
        raise ValueError("its content is not a JSON object")
    if document.get("version") != _VERSION:
        raise ValueError("it is of another version: upgrade this certfleet")
    return document


def _header(kind: str) -> str:
    return base64url.encode(json.dumps({"alg": "EdDSA", "typ": kind}, separators=(",", ":")).encode())


_FIELDS = tuple(field.name for field in fields(Statement))
_STATEMENT, _ENDORSEMENT = _header("certfleet-statement"), _header("certfleet-issuer-key")
