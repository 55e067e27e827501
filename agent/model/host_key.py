"""The private key of a certificate, as the journeys see it."""

from common.dataclasses import dataclass, field

KEY_TYPES = ("rsa2048", "rsa3072", "rsa4096", "ecdsa-p256", "ecdsa-p384")  # those that are made


@dataclass(frozen=True, slots=True)
class HostKey:
    """*content* is the key alone in PEM, whatever else is in its file; for one on another host, where it
    stays, its public half. *key_type* is a word of ``request --key-type``;
    *spki_sha256* the SHA-256 (hex) of the DER SubjectPublicKeyInfo, which identifies the key without giving it away."""

    content: bytes = field(repr=False)
    key_type: str
    spki_sha256: str
