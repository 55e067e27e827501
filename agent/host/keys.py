"""The Keys of ``agent.journey.ports`` on this machine. Private keys are made here and never leave the machine."""

import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from agent.model.certificate import Keystore
from agent.model.host_key import HostKey
from common.certificate import load_certificates, spki_sha256
from common.errors import ConfigError, Finding, RefusedError
from common.files import create_new, make_private_folder, read_password, read_secret
from common.load_x509 import load_request
from common.names import common_name, is_address
from common.pem import private_key

_PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
_PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
_CURVES: dict[str, ec.EllipticCurve] = {"ecdsa-p256": ec.SECP256R1(), "ecdsa-p384": ec.SECP384R1()}


def make(key_type: str) -> HostKey:
    """Make a key and write it to no file. *key_type* is as in ``request --key-type``."""
    key: _PrivateKey
    if key_type in _CURVES:
        key = ec.generate_private_key(_CURVES[key_type])
    else:
        key = rsa.generate_private_key(public_exponent=65537, key_size=int(key_type.removeprefix("rsa")))
    return _host_key(key.public_key(), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def load(file: Path) -> HostKey:
    """The key in *file*. Raises ConfigError if the file is absent, unreadable or too open, RefusedError if no service
    or CA takes the key."""
    if not is_there(file):
        hint = "`certfleet-agent request NAME` makes one, or name the one that there is as `key`"
        raise ConfigError(str(file), [Finding("", "there is no such key")], hint=hint)
    return key_in(read_secret(file), file)


def key_in(secret: bytes, file: Path) -> HostKey:
    """The key in *secret*, the content of *file*. Raises RefusedError as `load`."""
    content = private_key(secret)
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError as error:  # the library says so when a password would be needed
        hint = f"name a copy without the passphrase, mode 0600, as `key`: `openssl pkey -in {file} -out COPY` makes one"
        raise RefusedError(f"the key {file} is encrypted, and nobody is there to type", hint=hint) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        hint = "a PEM file with one private key is expected"
        raise RefusedError(f"the key {file} cannot be read", why="it is not a private key in PEM", hint=hint) from error
    if not isinstance(key, _PrivateKey):
        raise not_for_services(file)
    return public_half(key.public_key(), file, content)


def not_for_services(file: Path) -> RefusedError:
    """The error for a key of a kind that no public CA takes."""
    return RefusedError(f"the key {file} is neither RSA nor ECDSA", hint="public CAs accept only these two")


def public_half(key: _PublicKey, file: Path, content: bytes) -> HostKey:
    """The public half of the key in *file*. *content*: that of a HostKey. Raises RefusedError
    for one that is too weak."""
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < 2048:
        hint = "make another: `certfleet-agent request NAME --key NEW_FILE`; then name NEW_FILE as key in agent.toml"
        raise RefusedError(f"the key {file} is too weak", why=f"RSA with {key.key_size} bits", hint=hint)
    return _host_key(key, content)


def _host_key(key: _PublicKey, content: bytes) -> HostKey:
    if isinstance(key, rsa.RSAPublicKey):
        key_type = f"rsa{key.key_size}"
    else:
        key_type = {"secp256r1": "ecdsa-p256", "secp384r1": "ecdsa-p384"}.get(key.curve.name, key.curve.name)
    return HostKey(content, key_type, spki_sha256(key))


def is_there(file: Path) -> bool:
    """Unlike ``Path.exists``, True for a link that leads to nothing, and False where this user may not look: the
    attempt to write then says so."""
    return os.path.lexists(file)


def create(file: Path, key_type: str) -> HostKey:
    """Make a key and write it to a new file, 0600, in a folder that is made if need be. Raises FileError."""
    key = make(key_type)
    make_private_folder(file.parent)
    create_new(file, key.content, mode=0o600, own=True)
    return key


def csr_of(file: Path, names: tuple[str, ...]) -> bytes:
    """`csr` for the key in *file*."""
    return csr(load(file), names)


def self_signed(file: Path, names: tuple[str, ...], days: int) -> bytes:
    """A certificate in PEM that nobody vouches for, of the key in *file*, valid for *days* from now on."""
    private = _private(load(file))
    starts = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "certfleet interim certificate")])
    return (
        x509.CertificateBuilder(subject, subject, private.public_key(), x509.random_serial_number())
        .not_valid_before(starts)
        .not_valid_after(starts + timedelta(days=days))
        .add_extension(_alternatives(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


def _alternatives(names: tuple[str, ...]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        [x509.IPAddress(ip_address(name)) if is_address(name) else x509.DNSName(name) for name in names]
    )


def csr(key: HostKey, names: tuple[str, ...]) -> bytes:
    """A CSR in PEM. subjectAltName holds every name; the common name is the first one, if that is a DNS name and short
    enough."""
    private = _private(key)
    common = [x509.NameAttribute(x509.NameOID.COMMON_NAME, name) for name in common_name(names)]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(common))
    alternatives = _alternatives(names)
    digest = hashes.SHA384() if key.key_type == "ecdsa-p384" else hashes.SHA256()
    return builder.add_extension(alternatives, critical=not common).sign(private, digest).public_bytes(Encoding.PEM)


def _private(key: HostKey) -> _PrivateKey:
    private = load_pem_private_key(key.content, password=None)
    assert isinstance(private, _PrivateKey)  # noqa: S101 - checked when it was loaded
    return private


def csr_facts(content: bytes) -> tuple[str, tuple[str, ...]]:
    """SPKI SHA-256 (hex) and sorted alternative names of a CSR. Raises ValueError if *content* is no CSR."""
    found = load_request(content)
    try:
        extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        addresses = map(str, extension.value.get_values_for_type(x509.IPAddress))
        names = [*extension.value.get_values_for_type(x509.DNSName), *addresses]
    except x509.ExtensionNotFound:
        names = []
    return spki_sha256(found.public_key()), tuple(sorted(names))


def keystore(store: Keystore, fullchain: bytes, key: HostKey, live: bytes) -> bytes:
    """Leaf, chain (PEM) and key in PKCS#12; *live* itself if that holds just these already: two files of the
    same content differ. Raises ConfigError for a password file that is not as it must be."""
    password = read_password(store.password_file).encode()
    leaf, *chain = load_certificates(fullchain)
    private = _private(key)
    found = _opened(live, password)
    if found is not None and found.cert is not None and isinstance(found.key, type(private)):
        inside = (found.cert.certificate, found.cert.friendly_name, {one.certificate for one in found.additional_certs})
        if (
            inside == (leaf, store.alias.encode(), set(chain))
            and found.key.private_numbers() == private.private_numbers()
        ):
            return live
    encryption = BestAvailableEncryption(password)
    return pkcs12.serialize_key_and_certificates(store.alias.encode(), private, leaf, chain, encryption)


def stored(store: Keystore, content: bytes) -> bytes:
    """The certificates in a keystore, in PEM; b"" if it cannot be opened. Raises ConfigError as :func:`keystore`."""
    found = _opened(content, read_password(store.password_file).encode())
    if found is None:
        return b""
    inside = [one.certificate for one in (found.cert, *found.additional_certs) if one is not None]
    return b"".join(one.public_bytes(Encoding.PEM) for one in inside)


def _opened(content: bytes, password: bytes) -> pkcs12.PKCS12KeyAndCertificates | None:
    try:
        return pkcs12.load_pkcs12(content, password)
    except (ValueError, UnsupportedAlgorithm):  # another password, another kind of file, or no file yet
        return None
