"""Packets of RADIUS that carry EAP, as a client makes and believes them (RFC 2865 §3, RFC 3579 §3). Pure.

It uses no library: the only maintained one knows the attributes of every vendor, but of EAP only how to split it into
attributes.
"""

import hashlib
import hmac
import struct
from collections.abc import Iterator

from common.dataclasses import dataclass

LONGEST_PACKET = 4096  # bytes, RFC 2865 §3
LONGEST_VALUE = 253  # bytes, RFC 2865 §5
CHALLENGE = 11  # the code of an answer that asks for more; the other codes end a login
_REQUEST, _ANSWERS = 1, (2, 3, CHALLENGE)
_HEAD = struct.Struct("!BBH16s")  # code, identifier, length, authenticator

_USER_NAME, _FRAMED_MTU, _STATE, _NAS_IDENTIFIER, _EAP_MESSAGE, _MESSAGE_AUTHENTICATOR = 1, 12, 24, 32, 79, 80
_UNSIGNED = bytes(16)
_MTU = 1200  # bytes of EAP that the server may send at once: with RADIUS around them they fit any path (RFC 3579 §2.4)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a server. *eap*: the packet of EAP in it, b"" for none; *state*: the next request has to send it
    back; None without one."""

    code: int
    eap: bytes
    state: bytes | None


def access_request(
    identifier: int, authenticator: bytes, secret: bytes, *, user: bytes, state: bytes | None, eap: bytes
) -> bytes:
    """An Access-Request. *identifier*: 0 to 255; *authenticator*: 16 random bytes; *user*: the name that the EAP
    identity has; *state*: of the answer before, None at first."""
    attributes = [
        (_MESSAGE_AUTHENTICATOR, _UNSIGNED),  # the first of all, which draft-ietf-radext-deprecating-radius wants
        (_USER_NAME, user),
        (_NAS_IDENTIFIER, b"certfleet"),
        (_FRAMED_MTU, _MTU.to_bytes(4, "big")),
        *((_EAP_MESSAGE, eap[start : start + LONGEST_VALUE]) for start in range(0, len(eap), LONGEST_VALUE)),
        *([] if state is None else [(_STATE, state)]),
    ]
    body = b"".join(bytes((kind, 2 + len(value))) + value for kind, value in attributes)
    head = _HEAD.pack(_REQUEST, identifier, _HEAD.size + len(body), authenticator)
    seal = hmac.digest(secret, head + body, "md5")
    return head + body.replace(_UNSIGNED, seal, 1)


def answer_to(request: bytes, data: bytes, secret: bytes) -> Answer | None:
    """The answer to *request* in a datagram; None for anything that no server with this *secret* would send.

    EAP without a Message-Authenticator is dropped, as RFC 3579 §3.2 demands: the authenticator of a whole answer can be
    forged by chosen prefixes (CVE-2024-3596).
    """
    if len(data) < _HEAD.size:
        return None
    code, identifier, length, authenticator = _HEAD.unpack_from(data)
    data = data[:length]  # what follows is padding
    if code not in _ANSWERS or identifier != request[1] or not _HEAD.size <= length == len(data):
        return None
    head, body = data[:4] + request[4:20], data[_HEAD.size :]
    own = hashlib.md5(head + body + secret, usedforsecurity=False).digest()
    if not hmac.compare_digest(own, authenticator):
        return None
    try:
        attributes = list(_attributes(body))
    except ValueError:
        return None
    eap = b"".join(value for kind, value, _ in attributes if kind == _EAP_MESSAGE)
    seals = [(value, start) for kind, value, start in attributes if kind == _MESSAGE_AUTHENTICATOR]
    if (eap and not seals) or not all(_fits(head + body, secret, *seal) for seal in seals):
        return None
    return Answer(code, eap, next((value for kind, value, _ in attributes if kind == _STATE), None))


def _fits(data: bytes, secret: bytes, seal: bytes, start: int) -> bool:
    """Is *seal* the Message-Authenticator of *data*, in whose attributes it begins at *start*?"""
    start += _HEAD.size
    unsigned = data[:start] + _UNSIGNED + data[start + len(_UNSIGNED) :]
    return hmac.compare_digest(hmac.digest(secret, unsigned, "md5"), seal)


def _attributes(body: bytes) -> Iterator[tuple[int, bytes, int]]:
    """(type, value, position of the value) of each attribute. Raises ValueError for a malformed one."""
    start = 0
    while start < len(body):
        kind, length = body[start], int.from_bytes(body[start + 1 : start + 2], "big")
        value = body[start + 2 : start + length]
        if length < 2 or len(value) != length - 2:
            raise ValueError("malformed attribute")
        yield kind, value, start + 2
        start += length
