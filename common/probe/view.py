"""The result of one look at one address of a service. Pure."""

import binascii
from enum import Enum
from typing import Literal

from common.dataclasses import dataclass, field

KeyType = Literal["", "rsa", "ecdsa"]
"""The type of a certificate's key; "" where it does not matter, or is another one."""

NO_ANSWER = "no answer in time"
"""The problem of a look that came to the end of its time."""

# The OID of a key's algorithm (RFC 3279 §2.3.1, RFC 5480 §2.1.1), as DER; that of a signature is another. It is looked
# for in the bytes: the library that parses certificates takes 0.1 s to load, and a run without news has no use for it.
_KEY_OIDS: dict[KeyType, bytes] = {
    "rsa": bytes.fromhex("06092a864886f70d010101"),
    "ecdsa": bytes.fromhex("06072a8648ce3d0201"),
}
# RFC 8017 §A.1.2 and RFC 5915 §4 have no such OID, or need not
_OLD_FORMS: dict[bytes, KeyType] = {b"-----BEGIN RSA ": "rsa", b"-----BEGIN EC ": "ecdsa"}


class Seen(Enum):
    """How a look at one address ended."""

    SERVED = "served"  # a certificate was shown
    NO_TLS = "no-tls"  # something answers there, and shows no certificate
    DOWN = "down"  # nothing listens there
    UNKNOWN = "unknown"  # it could not be asked: no address, no route, no way to ask for that type of key


@dataclass(frozen=True, slots=True)
class View:
    """*shown*: the certificates in DER, the leaf first; *version*: of TLS, as in "TLSv1.3"; *seconds*: that the
    handshake took, None where that was not measured. Else *problem* says why there are none;
    *listens*: of what could not be asked as it should be, that something is there all the same."""

    seen: Seen
    problem: str = ""
    shown: tuple[bytes, ...] = field(default=(), repr=False)
    version: str = ""
    seconds: float | None = field(default=None, compare=False)
    listens: bool = field(default=False, compare=False)


def key_type_of(der: bytes) -> KeyType:
    """The type of the key of a certificate in DER, or of a private key (RFC 5958)."""
    return next((key_type for key_type, oid in _KEY_OIDS.items() if oid in der), "")


def key_type_in(pem: bytes) -> KeyType:
    """The type of the private key in a PEM block; "" if it cannot be seen."""
    label, _, rest = pem.partition(b"PRIVATE KEY-----")
    if label in _OLD_FORMS:
        return _OLD_FORMS[label]
    try:
        return key_type_of(binascii.a2b_base64(rest.partition(b"-----")[0]))
    except binascii.Error:
        return ""
