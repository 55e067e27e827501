"""A static Certificate Transparency log (c2sp.org/static-ct-api) as files for a web server. It is written from the
specification and RFC 6962 alone, with none of our own code."""

import base64
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class CtLog:
    """*origin* is the first line of its checkpoint. Entries are added, then :meth:`publish` writes every file."""

    def __init__(self, folder: Path, origin: str) -> None:
        self.folder, self.origin = folder, origin
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.key = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self._leaves: list[bytes] = []  # TimestampedEntry
        self._tails: list[bytes] = []  # the rest of each TileLeaf
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, certificate: x509.Certificate) -> None:
        """A certificate as it was issued."""
        der = certificate.public_bytes(Encoding.DER)
        self._leaves.append(_moment() + b"\x00\x00" + _sized(der, 3) + self._extension())
        self._tails.append(_sized(hashlib.sha256(b"issuer").digest(), 2))

    def add_precertificate(self, certificate: x509.Certificate, submitted: bytes) -> None:
        """The precertificate *submitted* (DER), whose content is that of *certificate*."""
        tbs = certificate.tbs_certificate_bytes
        issuer = hashlib.sha256(b"key").digest()
        self._leaves.append(_moment() + b"\x00\x01" + issuer + _sized(tbs, 3) + self._extension())
        self._tails.append(_sized(submitted, 3) + _sized(b"", 2))

    def publish(self, *, age: float = 0) -> None:
        """Write tiles and the checkpoint, signed *age* seconds ago."""
        level = [hashlib.sha256(b"\x00\x00\x00" + leaf).digest() for leaf in self._leaves]
        root = mth([b"\x00\x00" + leaf for leaf in self._leaves])
        entries = [leaf + tail for leaf, tail in zip(self._leaves, self._tails, strict=True)]
        self._tiles("data", entries)
        height = 0
        while level:
            self._tiles(str(height), level)
            level = [_tree(level[at : at + 256]) for at in range(0, len(level) - 255, 256)]
            height += 1
        self._checkpoint(root, age)

    def _tiles(self, level: str, parts: Sequence[bytes]) -> None:
        for number, at in enumerate(range(0, len(parts), 256)):
            some = parts[at : at + 256]
            path = self.folder / "tile" / level / f"{number:03d}"
            if len(some) < 256:
                path = path.with_name(f"{number:03d}.p") / str(len(some))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"".join(some))

    def _checkpoint(self, root: bytes, age: float) -> None:
        at = int((time.time() - age) * 1000).to_bytes(8, "big")
        size = len(self._leaves)
        signed = self._key.sign(b"\x00\x01" + at + size.to_bytes(8, "big") + root, ec.ECDSA(hashes.SHA256()))
        log_id = hashlib.sha256(self.key).digest()
        key_id = hashlib.sha256(self.origin.encode() + b"\n\x05" + log_id).digest()[:4]
        note = base64.b64encode(key_id + at + b"\x04\x03" + _sized(signed, 2)).decode()
        witness = base64.b64encode(b"abcd" + bytes(72)).decode()
        text = f"{self.origin}\n{size}\n{base64.b64encode(root).decode()}\n\n"
        text += f"— witness.example.com {witness}\n— {self.origin} {note}\n"
        (self.folder / "checkpoint").write_text(text, encoding="utf-8")

    def _extension(self) -> bytes:
        """leaf_index."""
        return _sized(b"\x00" + _sized(len(self._leaves).to_bytes(5, "big"), 2), 2)


def mth(leaves: Sequence[bytes]) -> bytes:
    """The Merkle tree hash as RFC 6962 §2.1 defines it."""
    return _tree([hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves])


def _tree(nodes: Sequence[bytes]) -> bytes:
    if len(nodes) < 2:
        return nodes[0] if nodes else hashlib.sha256().digest()
    split = 1 << ((len(nodes) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + _tree(nodes[:split]) + _tree(nodes[split:])).digest()


def _moment() -> bytes:
    return int(time.time() * 1000).to_bytes(8, "big")


def _sized(content: bytes, octets: int) -> bytes:
    return len(content).to_bytes(octets, "big") + content
