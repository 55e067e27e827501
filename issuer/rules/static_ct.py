"""Read the answers of a static Certificate Transparency log (c2sp.org/static-ct-api) from their bytes. Pure.

All of it is hostile input; each function raises ValueError with a sentence.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from common.certificate import PARSE_ERRORS
from common.load_x509 import load_certificate
from issuer.model.transparency import Checkpoint, Entry
from issuer.rules.merkle import leaf_hash

TILE = 256  # entries of a whole tile
_HASH = 32
_SIGNED_TREE_HEAD = b"\x05"  # the type of its signature in a note
_X509, _PRECERTIFICATE = 0, 1
_MOST_SIZE = 2**40  # of a tree
_UNSIGNED = bytes.fromhex("300506032b6570 030100")  # any algorithm, as nobody compares it, and no octet of a signature


def checkpoint(content: bytes, origin: str, key: bytes) -> Checkpoint:
    """The checkpoint in *content*, signed by the log *origin* with *key* (DER SubjectPublicKeyInfo); its moment
    in epoch seconds. Raises ValueError with a sentence for any other."""
    try:
        text, mark, signatures = content.decode("utf-8").partition("\n\n")
        first, size, root, *more = text.split("\n")
        found = Checkpoint(int(size), base64.b64decode(root, validate=True), 0)
    except (ValueError, binascii.Error) as error:
        raise ValueError("its checkpoint is none") from error
    if not mark or more or first != origin or not size.isdigit() or found.size > _MOST_SIZE or len(found.root) != _HASH:
        raise ValueError(f"its checkpoint is not that of {origin}")
    log_id = hashlib.sha256(key).digest()
    key_id = hashlib.sha256(origin.encode() + b"\n" + _SIGNED_TREE_HEAD + log_id).digest()[:4]
    for line in signatures.splitlines():
        try:
            dash, name, encoded = line.split(" ")
            signature = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            continue
        if (dash, name, signature[:4]) == ("—", origin, key_id):
            return _verified(found, signature[4:], key)
    raise ValueError("its checkpoint is not signed with the key that is configured")


def _verified(found: Checkpoint, signature: bytes, key: bytes) -> Checkpoint:
    """*found* with the moment of its signature, which is proven (RFC 6962 §3.5)."""
    reader = _Reader(signature)
    at = reader.number(8)
    reader.number(2)  # the algorithms: those of the key
    signed = reader.sized(2)
    content = b"\x00\x01" + at.to_bytes(8, "big") + found.size.to_bytes(8, "big") + found.root
    try:
        public = load_der_public_key(key)
        if isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(signed, content, ec.ECDSA(hashes.SHA256()))
        elif isinstance(public, rsa.RSAPublicKey):
            public.verify(signed, content, padding.PKCS1v15(), hashes.SHA256())
        else:
            raise ValueError("the key of a log is ECDSA or RSA")
    except (InvalidSignature, UnsupportedAlgorithm) as error:
        raise ValueError("the signature of its checkpoint is wrong") from error
    return Checkpoint(found.size, found.root, at / 1000)


def tile_path(level: str, number: int, width: int = TILE) -> str:
    """The path of a tile. *level*: "data" for entries, else a number for hashes; *width*: how many it holds."""
    digits = f"{number:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    parts = [digits[start : start + 3] for start in range(0, len(digits), 3)]
    path = "/".join([*(f"x{part}" for part in parts[:-1]), parts[-1]])
    return f"tile/{level}/{path}" + (f".p/{width}" if width < TILE else "")


def hashes_of(tile: bytes, width: int) -> list[bytes]:
    """The first *width* hashes of a tile. Raises ValueError where it is shorter."""
    if len(tile) < width * _HASH:
        raise ValueError("a tile of hashes is too short")
    return [tile[start : start + _HASH] for start in range(0, width * _HASH, _HASH)]


def entries_of(tile: bytes, width: int) -> list[Entry]:
    """The first *width* entries of a data tile. Raises ValueError with a sentence where they cannot be read."""
    reader = _Reader(tile)
    return [_entry(reader) for _ in range(width)]


def _entry(reader: "_Reader") -> Entry:
    start = reader.at
    reader.number(8)
    kind = reader.number(2)
    if kind not in (_X509, _PRECERTIFICATE):
        raise ValueError(f"an entry of type {kind} is not known")
    if kind == _PRECERTIFICATE:
        reader.octets(_HASH)
    content = reader.sized(3)
    reader.sized(2)
    timestamped = reader.data[start : reader.at]
    if kind == _PRECERTIFICATE:
        reader.sized(3)  # the precertificate itself: the tree does not cover it
    reader.sized(2)
    certificate = _certificate(content if kind == _X509 else _wrapped(content))
    return Entry(leaf_hash(b"\x00\x00" + timestamped), certificate)


def _certificate(der: bytes) -> x509.Certificate | None:
    try:
        found = load_certificate(der)
        found.public_key()
        list(found.extensions)
    except PARSE_ERRORS:
        return None
    return found


def _wrapped(content: bytes) -> bytes:
    """A TBSCertificate as a certificate without a signature, for a library that reads no other (RFC 5280 §4.1)."""
    inside = content + _UNSIGNED
    length = len(inside).to_bytes(4, "big").lstrip(b"\x00")
    return bytes([0x30, 0x80 | len(length)]) + length + inside


@dataclass(slots=True)
class _Reader:
    """Reads the structures of RFC 8446 §3."""

    data: bytes
    at: int = 0

    def octets(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise ValueError("it is cut off")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, octets: int) -> int:
        return int.from_bytes(self.octets(octets), "big")

    def sized(self, octets: int) -> bytes:
        return self.octets(self.number(octets))
