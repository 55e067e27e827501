"""Keys and signing requests as hosts make them. Keys are made once a process: generating RSA is what costs."""

import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.servers.process import program

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
KEY_TYPES = ("rsa2048", "rsa4096", "ecdsa-p256", "ecdsa-p384")


def private_key(kind: str = "ecdsa-p256", number: int = 0) -> Key:
    """The *number*-th key of a kind; the same one for the whole test run."""
    return _made(kind, number)


@cache
def _made(kind: str, _number: int) -> Key:
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind.removeprefix("rsa")))
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    curves: dict[str, ec.EllipticCurve] = {
        "ecdsa-p256": ec.SECP256R1(),
        "ecdsa-p384": ec.SECP384R1(),
        "ecdsa-p521": ec.SECP521R1(),
    }
    return ec.generate_private_key(curves[kind])


def private_pem(kind: str = "ecdsa-p256") -> bytes:
    """A private key as it stands in a host's file."""
    return private_key(kind).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def csr(
    names: Sequence[str],
    kind: str = "ecdsa-p256",
    *,
    number: int = 0,
    common_name: str | None = None,
    other_names: Sequence[x509.GeneralName] = (),
    extensions: Sequence[x509.ExtensionType] = (),
    digest: hashes.SHA224 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | hashes.SHA3_256 | None = None,
    pss: bool = False,
) -> bytes:
    """A PEM request for *names* as alternative names, the first one as CN unless *common_name* says otherwise. Signed
    with SHA-256 or with *digest*, and with *pss* by RSA-PSS."""
    common = names[0] if common_name is None and names else common_name
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, common)] if common else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    alternative = [*(x509.DNSName(name) for name in names), *other_names]
    if alternative:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternative), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    key = private_key(kind, number)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else digest or hashes.SHA256()
    salted = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH) if pss else None
    return builder.sign(key, algorithm, rsa_padding=salted).public_bytes(Encoding.PEM)


def signed_by_openssl(digest: str, name: str, folder: Path) -> bytes:
    """A PEM request that OpenSSL signs with an RSA key and one of its digests, also with those that the library has
    given up."""
    key = folder / "key.pem"
    key.write_bytes(private_pem("rsa2048"))
    command = [program("openssl", "openssl"), "req", "-new", "-key", str(key), f"-{digest}", "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName=DNS:{name}"]
    return subprocess.run(command, capture_output=True, check=True, timeout=20).stdout


def with_curve_by_parameters(name: str, folder: Path) -> bytes:
    """A PEM request for a key on P-256 that says all parameters of the curve in place of its name."""
    options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit", "-nodes"]
    command = [program("openssl", "openssl"), "req", "-new", *options, "-keyout", str(folder / "key.pem")]
    command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    return subprocess.run(command, capture_output=True, check=True, timeout=20).stdout


def with_broken_signature(pem: bytes) -> bytes:
    """The same request with one bit of its signature turned over."""
    der = bytearray(x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER))
    der[-1] ^= 1
    return x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM)
