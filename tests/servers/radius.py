"""The answers of a RADIUS server, made without our own code: RFC 2865 §3, RFC 3579 §3.2."""

import hashlib
import hmac
import struct
from typing import Literal

ACCEPT, REJECT, CHALLENGE = 2, 3, 11
Seal = Literal["good", "bad", "none"]


def eap_request(identifier: int, kind: int, body: bytes) -> bytes:
    """A request of EAP (RFC 3748 §4.1)."""
    return struct.pack("!BBHB", 1, identifier, 5 + len(body), kind) + body


def answered(
    request: bytes, secret: bytes, code: int, eap: bytes = b"", state: bytes = b"", *, seal: Seal = "good"
) -> bytes:
    """The answer to a request; *seal*: its Message-Authenticator."""
    parts = [(79, eap[at : at + 253]) for at in range(0, len(eap), 253)]
    parts += [(24, state)] if state else []
    attributes = b"".join(struct.pack("!BB", kind, 2 + len(value)) + value for kind, value in parts)
    return packed(request, secret, code, attributes, seal=seal)


def packed(request: bytes, secret: bytes, code: int, attributes: bytes, *, seal: Seal) -> bytes:
    """The same with these attributes, whatever they are."""
    head = struct.pack("!BBH", code, request[1], 20 + len(attributes) + (18 if seal != "none" else 0))
    if seal != "none":
        attributes += b"\x50\x12"
        signed = head + request[4:20] + attributes + bytes(16)
        attributes += hmac.digest(secret if seal == "good" else b"another", signed, "md5")
    return head + hashlib.md5(head + request[4:20] + attributes + secret, usedforsecurity=False).digest() + attributes


def eap_in(request: bytes) -> bytes:
    """The packet of EAP that a request carries."""
    found, at = b"", 20
    while at < len(request):
        found += request[at + 2 : at + request[at + 1]] if request[at] == 79 else b""
        at += request[at + 1]
    return found
