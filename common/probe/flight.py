"""The messages that a server sends in clear before a handshake is encrypted, up to TLS 1.2 (RFC 5246 §7.4). Pure."""

from collections.abc import Iterator

_HANDSHAKE = 22
_SERVER_HELLO, _CERTIFICATE_REQUEST = 2, 13
_VERSIONS = {b"\x03\x00": "SSLv3", b"\x03\x01": "TLSv1", b"\x03\x02": "TLSv1.1", b"\x03\x03": "TLSv1.2"}


def wants_client_certificate(received: bytes) -> bool:
    """Does the server ask for one? In TLS 1.3 it says so where nobody else can read it."""
    return any(kind == _CERTIFICATE_REQUEST for kind, _ in _messages(received))


def version_of(received: bytes) -> str:
    """The version that the server chose, as in "TLSv1.2"."""
    chosen = (_VERSIONS.get(body[:2], "") for kind, body in _messages(received) if kind == _SERVER_HELLO)
    return next(chosen, "")


def _messages(received: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and content of each handshake message of the first records."""
    handshake, start = b"", 0
    while received[start : start + 1] == bytes((_HANDSHAKE,)):
        end = start + 5 + int.from_bytes(received[start + 3 : start + 5], "big")
        handshake += received[start + 5 : end]
        start = end
    start = 0
    while start + 4 <= len(handshake):
        end = start + 4 + int.from_bytes(handshake[start + 1 : start + 4], "big")
        yield handshake[start], handshake[start + 4 : end]
        start = end
