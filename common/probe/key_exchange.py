"""How a server's messages of TLS 1.3 are opened before the handshake ends (RFC 8446 §7.1).

The keys protect nothing here: whom we talk to is not verified. They are needed to see what is shown.
"""

import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from common.probe.hello import ServerHello

_X25519 = 0x1D  # groups: RFC 8446 §4.2.7
_CURVES: dict[int, ec.EllipticCurve] = {0x17: ec.SECP256R1(), 0x18: ec.SECP384R1(), 0x19: ec.SECP521R1()}


_SUITES: dict[int, tuple[str, int, type[AESGCM] | type[ChaCha20Poly1305]]] = {
    0x1301: ("sha256", 16, AESGCM),
    0x1302: ("sha384", 32, AESGCM),
    0x1303: ("sha256", 32, ChaCha20Poly1305),
}


class OwnKeys:
    """A fresh private key for each group that we offer."""

    def __init__(self) -> None:
        self._x25519 = x25519.X25519PrivateKey.generate()
        self._on_curves = {group: ec.generate_private_key(curve) for group, curve in _CURVES.items()}

    @property
    def shares(self) -> dict[int, bytes]:
        """Our half for each group."""
        found = {_X25519: self._x25519.public_key().public_bytes_raw()}
        for group, key in self._on_curves.items():
            found[group] = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return found

    def shared(self, group: int, share: bytes) -> bytes:
        """The secret with a server that has sent this half. ValueError for a half that is none."""
        if group == _X25519:
            return self._x25519.exchange(x25519.X25519PublicKey.from_public_bytes(share))
        if group not in self._on_curves:
            raise ValueError("it uses a group that was not offered")
        public = ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[group], share)
        return self._on_curves[group].exchange(ec.ECDH(), public)


class Opener:
    """Opens the encrypted records of the server, in their order."""

    def __init__(self, chosen: ServerHello, shared: bytes, transcript: bytes):
        """*transcript*: both hellos. Raises ValueError."""
        if chosen.cipher not in _SUITES:
            raise ValueError("it uses a cipher that was not offered")
        self._hash, length, cipher = _SUITES[chosen.cipher]
        size = hashlib.new(self._hash).digest_size
        early = hmac.digest(bytes(size), bytes(size), self._hash)
        derived = self._expand(early, "derived", hashlib.new(self._hash).digest(), size)
        handshake = hmac.digest(derived, shared, self._hash)
        secret = self._expand(handshake, "s hs traffic", hashlib.new(self._hash, transcript).digest(), size)
        self._cipher = cipher(self._expand(secret, "key", b"", length))
        self._iv = int.from_bytes(self._expand(secret, "iv", b"", 12), "big")
        self._number = 0

    def opened(self, head: bytes, body: bytes) -> tuple[int, bytes]:
        """Type and content of a record. ValueError where it cannot be opened."""
        nonce = (self._iv ^ self._number).to_bytes(12, "big")
        self._number += 1
        try:
            inner = self._cipher.decrypt(nonce, body, head).rstrip(b"\0")
        except InvalidTag as error:
            raise ValueError("a message of its cannot be opened") from error
        if not inner:
            raise ValueError("it sends a message without a type")
        return inner[-1], inner[:-1]

    def _expand(self, secret: bytes, label: str, context: bytes, length: int) -> bytes:
        """HKDF-Expand-Label for what is no longer than the hash: one block (RFC 5869 §2.3)."""
        full = b"tls13 " + label.encode("ascii")
        info = length.to_bytes(2, "big") + bytes((len(full),)) + full + bytes((len(context),)) + context
        return hmac.digest(secret, info + b"\x01", self._hash)[:length]
