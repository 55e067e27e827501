"""The account key and the account (RFC 8555 §7.3). The key is made once, by `init`, and never replaced silently."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from josepy.jwk import JWK, JWKEC, JWKRSA

from common.errors import ConfigError, Finding
from common.files import create_new, read_secret


def create_account_key(file: Path) -> None:
    """A new P-256 account key, mode 0600; FileError if the file exists."""
    key = ec.generate_private_key(ec.SECP256R1())
    create_new(file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)


def load_account_key(file: Path) -> JWK:
    """The account key; ConfigError if it is absent, readable by others or of a type that ACME servers do not take."""
    if not file.exists():
        hint = "restore it from the backup; only for a new installation make one with `certfleet-issuer init`"
        raise ConfigError(str(file), [Finding("", "there is no account key")], hint=hint)
    try:
        key = load_pem_private_key(read_secret(file), None)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            str(file), [Finding("", "is not an unencrypted PEM private key")], hint="restore it"
        ) from error
    if isinstance(key, rsa.RSAPrivateKey):
        return JWKRSA(key=key)
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
        return JWKEC(key=key)
    raise ConfigError(str(file), [Finding("", "is neither an RSA nor a P-256 or P-384 key")], hint="use such a key")
