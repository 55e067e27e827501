"""Base64url without padding (RFC 4648 §5, RFC 7515 §2), as ACME and signed statements use it. Pure."""

import base64
import binascii


def encode(octets: bytes) -> str:
    """*octets* as text."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The octets of *text*. Raises ValueError with a sentence."""
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("a part of it is not base64url") from error
