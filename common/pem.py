"""Certificates, signing requests and keys as other programs leave them: PEM (RFC 7468), also in UTF-16, or DER. Pure.

The caller says which one it expects.
"""

import re

LARGEST = 256_000
"""Bytes of a leaf with its chain: far more than any needs, and what a hostile one costs at most."""

_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_PRIVATE_KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)
_EMPTY_LINES = re.compile(rb"[\r\n][\s]*[\r\n]")
_BEHIND = b"\0 \t\r\n"
_INTEGER, _BIT_STRING, _OBJECT_IDENTIFIER = b"\x02", b"\x03", b"\x06"
_SEQUENCE = b"\x30"  # the first octet of a certificate, a request or a key in DER; no PEM text starts so


def der_value(content: bytes) -> bytes:
    """DER (X.690 §8.1) without the NULs, blanks or line ends that a column of fixed width, a block of a medium or an
    editor left behind it. Anything else stays as it is."""
    _, end = _bounds(content)
    return content[:end] if not content[end:].strip(_BEHIND) else content


def kind_of_key(content: bytes) -> str:
    """The label that a key in DER would have in PEM, by its shape alone: whoever loads a private key has its primes
    proven, for hours if they are large. "" for anything else, such as a certificate or a request."""
    start, _ = _bounds(content)
    inner = content[start:]
    if inner.startswith(_INTEGER):  # a version in PKCS #8, PKCS #1, SEC 1, DH and DSA; a modulus in a public key
        return "PRIVATE KEY" if inner[1:2] == b"\x01" else "PUBLIC KEY"
    start, end = _bounds(inner)
    if not inner[start:].startswith(_OBJECT_IDENTIFIER):
        return ""
    return "PUBLIC KEY" if inner[end:].startswith(_BIT_STRING) else "ENCRYPTED PRIVATE KEY"


def _bounds(content: bytes) -> tuple[int, int]:
    """Where the value of the first element begins, and where it ends."""
    size = content[1] if len(content) > 1 else 0
    octets = size - 0x80 if size > 0x80 else 0  # of the length, where it has several
    return 2 + octets, 2 + octets + (int.from_bytes(content[2 : 2 + octets]) if octets else size)


def is_der(content: bytes) -> bool:
    """Is it DER, if it is a certificate, a request or a key at all?"""
    return content.startswith(_SEQUENCE)


def has_whole(content: bytes, label: str) -> bool:
    """Does it hold a PEM block with *label* from its begin to its end, or all the octets of a value in DER? One of 127
    octets, which a text that begins with a zero may look like, is no certificate."""
    if content[:1] == _SEQUENCE and content[1:2] > b"\x80":
        return _bounds(content)[1] <= len(content)
    begin = content.find(f"-----BEGIN {label}-----".encode())
    return begin >= 0 and content.find(f"-----END {label}-----".encode(), begin) >= 0


def plain(content: bytes) -> bytes:
    """DER with nothing behind it, and a PEM text in ASCII. PEM has ASCII characters only: in UTF-16 and UTF-32 each of
    them is one octet among NULs. A byte order mark stays, as text before the first block. Line ends that a shell or
    JSON left as the two characters ``\\n`` become line ends. Empty lines, which parsers refuse inside a block, go."""
    if is_der(content):
        return der_value(content)
    text = content.replace(b"\0", b"").replace(b"\\r", b"").replace(b"\\n", b"\n")
    return _EMPTY_LINES.sub(b"\n", text)


def labels(content: bytes) -> list[str]:
    """The labels of the PEM blocks, such as "CERTIFICATE REQUEST", in their order."""
    return [label.decode() for label in _LABEL.findall(content)]


def private_key(content: bytes) -> bytes:
    """The first block of *content* that is a private key, with a line end, and nothing of what stands around it:
    certificates, parameters of curves, attributes in text. b"" if there is none."""
    found = _PRIVATE_KEY.search(content)
    return found[0] + b"\n" if found else b""
