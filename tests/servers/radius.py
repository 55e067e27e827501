"""What a RADIUS server says, made without our own code: RFC 2865 §3, RFC 3579 §3.2."""

import hashlib
import hmac
import struct

ACCEPT, REJECT, CHALLENGE = 2, 3, 11


def eap_request(identifier: int, kind: int, body: bytes) -> bytes:
    """A request of EAP (RFC 3748 §4.1)."""
    return struct.pack("!BBHB", 1, identifier, 5 + len(body), kind) + body


def answered(
    request: bytes, secret: bytes, code: int, eap: bytes = b"", state: bytes = b"", *, signed: bool = True
) -> bytes:
    """The answer to a request; with a Message-Authenticator only if *signed*."""
    parts = [(79, eap[at : at + 253]) for at in range(0, len(eap), 253)]
    parts += [(24, state)] if state else []
    attributes = b"".join(struct.pack("!BB", kind, 2 + len(value)) + value for kind, value in parts)
    length = 20 + len(attributes) + (18 if signed else 0)
    head = struct.pack("!BBH", code, request[1], length)
    if signed:
        attributes += b"\x50\x12"
        attributes += hmac.digest(secret, head + request[4:20] + attributes + bytes(16), "md5")
    return head + hashlib.md5(head + request[4:20] + attributes + secret, usedforsecurity=False).digest() + attributes
