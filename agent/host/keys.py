"""Private keys and CSRs of this host. Keys are born here and never leave it."""

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from common.certificate import spki_sha256
from common.errors import RefusedError
from common.files import read_secret

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

DEFAULT_KEY_TYPE = "ecdsa-p256"
_CURVES: dict[str, ec.EllipticCurve] = {"ecdsa-p256": ec.SECP256R1(), "ecdsa-p384": ec.SECP384R1()}
_LONGEST_COMMON_NAME = 64  # RFC 5280, ub-common-name


def make_key(key_type: str) -> PrivateKey:
    if key_type in _CURVES:
        return ec.generate_private_key(_CURVES[key_type])
    return rsa.generate_private_key(public_exponent=65537, key_size=int(key_type.removeprefix("rsa")))


def key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_key(file: Path) -> tuple[PrivateKey, bytes]:
    """The key in *file* and the file's bytes. ConfigError if absent, unreadable or too open; RefusedError if unfit."""
    content = read_secret(file)
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError as error:  # what the library says when a password would be needed
        raise RefusedError(f"the key {file} is encrypted", hint="a service cannot start with it unattended") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        hint = "a PEM file with one private key is expected"
        raise RefusedError(f"the key {file} cannot be read", why="it is not a private key in PEM", hint=hint) from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise RefusedError(f"the key {file} is neither RSA nor ECDSA", hint="public CAs accept only these two")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < 2048:
        hint = "move it away and run `certfleet-agent request` for a new one"
        raise RefusedError(f"the key {file} is too weak", why=f"RSA with {key.key_size} bits", hint=hint)
    return key, content


def key_type_of(key: PrivateKey) -> str:
    """The type in the words of ``--key-type``."""
    if isinstance(key, rsa.RSAPrivateKey):
        return f"rsa{key.key_size}"
    return {"secp256r1": "ecdsa-p256", "secp384r1": "ecdsa-p384"}.get(key.curve.name, key.curve.name)


def key_spki_sha256(key: PrivateKey) -> str:
    return spki_sha256(key.public_key())


def build_csr(key: PrivateKey, names: tuple[str, ...]) -> bytes:
    """A CSR in PEM: every name in the subject alternative name, the first one as common name too if it fits there."""
    common = [x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])] if len(names[0]) <= _LONGEST_COMMON_NAME else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(common))
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    digest = hashes.SHA384() if key_type_of(key) == "ecdsa-p384" else hashes.SHA256()
    return builder.add_extension(alternatives, critical=not common).sign(key, digest).public_bytes(Encoding.PEM)


def csr_facts(pem: bytes) -> tuple[str, tuple[str, ...]]:
    """SPKI SHA-256 and sorted names of a CSR; ValueError if it is none."""
    csr = x509.load_pem_x509_csr(pem)
    try:
        extension = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = extension.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = []
    return spki_sha256(csr.public_key()), tuple(sorted(names))
