"""The messages of a TLS handshake up to the server's certificate (RFC 5246 §7.4, RFC 8446 §4). Pure.

Python's ssl can neither ask for a stapled OCSP answer (RFC 6066 §8) nor, in TLS 1.3, for a certificate with a certain
type of key. Both are asked for in the first message of a client.
"""

import struct
from collections.abc import Iterator, Mapping

from common.dataclasses import dataclass
from common.probe.view import KeyType

HANDSHAKE, ALERT, CHANGE_CIPHER_SPEC, APPLICATION_DATA = 22, 21, 20, 23  # types of records
SERVER_HELLO, CERTIFICATE, CERTIFICATE_STATUS, SERVER_HELLO_DONE = 2, 11, 22, 14  # types of messages
TLS_1_3 = 0x0304
VERSIONS = {TLS_1_3: "TLSv1.3", 0x0303: "TLSv1.2", 0x0302: "TLSv1.1", 0x0301: "TLSv1"}
_CLIENT_HELLO, _CERTIFICATE_REQUEST, _OCSP = 1, 13, 1
_SERVER_NAME, _STATUS_REQUEST, _GROUPS, _POINTS, _SIGNATURES = 0, 5, 10, 11, 13
_SUPPORTED_VERSIONS, _KEY_SHARE, _RENEGOTIATION = 43, 51, 0xFF01
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")  # RFC 8446 §4.1.3
_CIPHERS_1_3 = (0x1301, 0x1302, 0x1303)
_CIPHERS: dict[KeyType, tuple[int, ...]] = {
    "ecdsa": (0xC02B, 0xC02C, 0xCCA9, 0xC023, 0xC024, 0xC009, 0xC00A),
    "rsa": (
        *(0xC02F, 0xC030, 0xCCA8, 0x9E, 0x9F, 0xCCAA, 0xC027, 0xC028, 0x67, 0x6B, 0xC013, 0xC014, 0x33, 0x39),
        *(0x9C, 0x9D, 0x3C, 0x3D, 0x2F, 0x35),
    ),
}
_SCHEMES: dict[KeyType, tuple[int, ...]] = {
    "ecdsa": (0x0403, 0x0503, 0x0603, 0x0203),
    "rsa": (0x0804, 0x0805, 0x0806, 0x0809, 0x080A, 0x080B, 0x0401, 0x0501, 0x0601, 0x0201),
}
_OTHER_SCHEMES = (0x0807, 0x0808)  # Ed25519 and Ed448, where any type of key will do


@dataclass(frozen=True, slots=True)
class ServerHello:
    """*version*: one of VERSIONS. *group* and *share*: of the key exchange in TLS 1.3, else 0 and nothing."""

    version: int
    cipher: int
    group: int = 0
    share: bytes = b""


@dataclass(frozen=True, slots=True)
class Answered:
    """Certificates in DER, the leaf first. *staple*: the OCSP response beside the leaf, in DER, b"" without one."""

    shown: tuple[bytes, ...]
    staple: bytes = b""


def client_hello(server_name: str, key_type: KeyType, random: bytes, shares: Mapping[int, bytes]) -> bytes:
    """The first message. *random*: 64 bytes; *shares*: our half of the key exchange for each group. Raises
    ValueError for a name that TLS cannot carry."""
    types: tuple[KeyType, ...] = (key_type,) if key_type else ("ecdsa", "rsa")
    ciphers = (*_CIPHERS_1_3, *(cipher for one in types for cipher in _CIPHERS[one]))
    schemes = (*(scheme for one in types for scheme in _SCHEMES[one]), *(() if key_type else _OTHER_SCHEMES))
    half = b"".join(struct.pack("!H", group) + _sized(2, share) for group, share in shares.items())
    extensions = [
        _extension(_STATUS_REQUEST, bytes((_OCSP, 0, 0, 0, 0))),
        _extension(_GROUPS, _sized(2, _numbers(tuple(shares)))),
        _extension(_POINTS, _sized(1, b"\0")),
        _extension(_SIGNATURES, _sized(2, _numbers(schemes))),
        _extension(_RENEGOTIATION, b"\0"),
        _extension(_SUPPORTED_VERSIONS, _sized(1, _numbers(tuple(VERSIONS)))),
        _extension(_KEY_SHARE, _sized(2, half)),
    ]
    if server_name:
        name = server_name.encode("ascii" if server_name.isascii() else "idna")
        extensions.insert(0, _extension(_SERVER_NAME, _sized(2, b"\0" + _sized(2, name))))
    body = b"\x03\x03" + random[:32] + _sized(1, random[32:]) + _sized(2, _numbers(ciphers)) + _sized(1, b"\0")
    return bytes((_CLIENT_HELLO,)) + _sized(3, body + _sized(2, b"".join(extensions)))


def record(message: bytes) -> bytes:
    """A message in its record. Old servers want version 1.0 here (RFC 8446 §5.1)."""
    return bytes((HANDSHAKE, 3, 1)) + _sized(2, message)


def server_hello(body: bytes) -> ServerHello:
    """The content of the message ServerHello. Raises ValueError for one that is malformed, or asks for another try."""
    reader = Reader(body)
    version, random = reader.number(2), reader.take(32)
    if random == _RETRY:
        raise ValueError("it wants another group for the key exchange")
    reader.sized(1)
    cipher, _compression = reader.number(2), reader.number(1)
    extensions = dict(_extensions(reader)) if reader.left else {}
    if _SUPPORTED_VERSIONS in extensions:
        version = Reader(extensions[_SUPPORTED_VERSIONS]).number(2)
    if version not in VERSIONS:
        raise ValueError(f"it chooses version {version:#06x} of TLS")
    if version != TLS_1_3:
        return ServerHello(version, cipher)
    share = Reader(extensions.get(_KEY_SHARE, b""))
    return ServerHello(version, cipher, share.number(2), share.sized(2))


def certificates(body: bytes) -> Answered:
    """The content of the message Certificate up to TLS 1.2 (RFC 5246 §7.4.2). Raises ValueError where it is malformed,
    as the functions below do."""
    entries = Reader(Reader(body).sized(3))
    shown = []
    while entries.left:
        shown.append(entries.sized(3))
    return Answered(tuple(shown))


def certificates_1_3(body: bytes) -> Answered:
    """The same of TLS 1.3, in which each certificate has extensions (RFC 8446 §4.4.2)."""
    reader = Reader(body)
    reader.sized(1)
    entries = Reader(reader.sized(3))
    shown, staples = [], []
    while entries.left:
        shown.append(entries.sized(3))
        staples.append(dict(_extensions(entries)).get(_STATUS_REQUEST, b""))
    return Answered(tuple(shown), status(staples[0]) if staples and staples[0] else b"")


def status(body: bytes) -> bytes:
    """The OCSP response of a CertificateStatus (RFC 6066 §8)."""
    reader = Reader(body)
    return reader.sized(3) if reader.number(1) == _OCSP else b""


def wants_client_certificate(received: bytes) -> bool:
    """Does the server ask for one? In TLS 1.3 it says so where nobody else can read it."""
    return any(kind == _CERTIFICATE_REQUEST for kind, _ in _in_clear(received))


def version_of(received: bytes) -> str:
    """The version that the server chose, as in "TLSv1.2"."""
    chosen = (body[:2] for kind, body in _in_clear(received) if kind == SERVER_HELLO)
    return VERSIONS.get(int.from_bytes(next(chosen, b"")), "")


def _in_clear(received: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and content of each handshake message of the first records, before a handshake is encrypted."""
    handshake, start = b"", 0
    while received[start : start + 1] == bytes((HANDSHAKE,)):
        end = start + 5 + int.from_bytes(received[start + 3 : start + 5])
        handshake += received[start + 5 : end]
        start = end
    start = 0
    while start + 4 <= len(handshake):
        end = start + 4 + int.from_bytes(handshake[start + 1 : start + 4])
        yield handshake[start], handshake[start + 4 : end]
        start = end


class Reader:
    """Bytes from the front. A method raises ValueError where there are fewer."""

    def __init__(self, data: bytes):
        self.left = data

    def take(self, count: int) -> bytes:
        if len(self.left) < count:
            raise ValueError("it sends a message that is cut off")
        data, self.left = self.left[:count], self.left[count:]
        return data

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def sized(self, count: int) -> bytes:
        """The bytes after a length of *count* bytes, as many as that says."""
        return self.take(self.number(count))


def _extensions(reader: Reader) -> Iterator[tuple[int, bytes]]:
    inner = Reader(reader.sized(2))
    while inner.left:
        yield inner.number(2), inner.sized(2)


def _extension(kind: int, body: bytes) -> bytes:
    return struct.pack("!H", kind) + _sized(2, body)


def _sized(count: int, data: bytes) -> bytes:
    try:
        return len(data).to_bytes(count, "big") + data
    except OverflowError as error:
        raise ValueError("it is too long for TLS") from error


def _numbers(numbers: tuple[int, ...]) -> bytes:
    return b"".join(struct.pack("!H", number) for number in numbers)
