"""What a CSR says, and the rules it must meet before a CA is troubled with it. Pure: bytes in, facts or findings out.

Certfleet cannot mend a CSR (it is signed by a key that it does not hold), so what the CA would refuse is refused here,
with the reason. Rules: RFC 8555 §7.4, CA/Browser Forum Baseline Requirements §6.1.5 and §7.1.2.7.
"""

import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from common.certificate import PARSE_ERRORS, spki_sha256
from common.names import parse_dns_name

_RSA_BITS = (2048, 3072, 4096)
_MOST_NAMES = 100


@dataclass(frozen=True, slots=True)
class CsrFacts:
    """A CSR that meets the rules; *names* is every name it asks for, in the CSR's order."""

    pem: bytes
    der: bytes
    names: tuple[str, ...]
    spki_sha256: str
    md5_modulus: str
    key_type: str


class CsrRefused(ValueError):
    """The CSR does not meet the rules; carries every finding."""

    def __init__(self, findings: list[str]):
        super().__init__("; ".join(findings))
        self.findings = findings


def read_csr(content: bytes) -> CsrFacts:
    """Facts of the CSR in a PEM text; CsrRefused with everything that is wrong with it."""
    csr = _parse(content)
    findings: list[str] = []
    if not _signature_holds(csr):
        findings.append("its signature does not fit its own key")
    key_type = _key_type(csr, findings)
    extensions = _extensions(csr, findings)
    names = _names(csr, extensions, findings)
    _check_extensions(extensions, findings)
    if findings:
        raise CsrRefused(findings)
    key = csr.public_key()
    return CsrFacts(
        pem=csr.public_bytes(Encoding.PEM),
        der=csr.public_bytes(Encoding.DER),
        names=names,
        spki_sha256=spki_sha256(key),
        md5_modulus=md5_modulus(key),
        key_type=key_type,
    )


def key_of(content: bytes) -> str:
    """SHA-256 of the public key of the CSR in a PEM text; "" for one that does not meet the rules."""
    try:
        return read_csr(content).spki_sha256
    except CsrRefused:  # which is said elsewhere
        return ""


def md5_modulus(key: CertificatePublicKeyTypes) -> str:
    """What ``openssl req -noout -modulus | openssl md5`` prints for an RSA key, newline included.

    An EC key has no modulus: there it is the MD5 of the DER SubjectPublicKeyInfo. An identifier, not a protection.
    """
    if isinstance(key, rsa.RSAPublicKey):
        printed = f"Modulus={key.public_numbers().n:X}\n".encode()
    else:
        printed = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.md5(printed, usedforsecurity=False).hexdigest()


def _parse(content: bytes) -> x509.CertificateSigningRequest:
    if b"PRIVATE KEY-----" in content:
        raise CsrRefused(["it holds a private key; keys stay on their host, give the CSR alone"])
    if not content.strip():
        raise CsrRefused(["it is empty"])
    if content.count(b"-----BEGIN") > 1:
        raise CsrRefused(["it holds more than one PEM block; give one CSR alone"])
    try:
        csr = x509.load_pem_x509_csr(content)
        csr.subject.rfc4514_string()
        return csr
    except PARSE_ERRORS as error:
        raise CsrRefused(["it is not a PEM certificate signing request, or a damaged one"]) from error


def _signature_holds(csr: x509.CertificateSigningRequest) -> bool:
    try:
        return csr.is_signature_valid
    except PARSE_ERRORS:
        return False


def _key_type(csr: x509.CertificateSigningRequest, findings: list[str]) -> str:
    try:
        key = csr.public_key()
    except PARSE_ERRORS:
        findings.append("its key is of a type that no public CA accepts")
        return ""
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size not in _RSA_BITS:
            weak = " (weak)" if key.key_size < _RSA_BITS[0] else ""
            findings.append(f"its RSA key has {key.key_size} bits{weak}; CAs accept 2048, 3072 and 4096")
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
            findings.append(f"its EC key is on {key.curve.name}; CAs accept P-256 and P-384")
    else:
        findings.append("its key is neither RSA nor ECDSA; public CAs accept no other")
    return key_type(key)


def key_type(key: CertificatePublicKeyTypes) -> str:
    """What a key is, in the words of `certfleet-agent request`; "" for what is neither RSA nor ECDSA."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"rsa{key.key_size}"
    return f"ecdsa-p{key.curve.key_size}" if isinstance(key, ec.EllipticCurvePublicKey) else ""


def _extensions(csr: x509.CertificateSigningRequest, findings: list[str]) -> x509.Extensions:
    try:
        return csr.extensions
    except PARSE_ERRORS:
        findings.append("its extensions are malformed")
        return x509.Extensions([])


def _names(csr: x509.CertificateSigningRequest, extensions: x509.Extensions, findings: list[str]) -> tuple[str, ...]:
    asked: list[str] = []
    try:
        alternative = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        asked += alternative.get_values_for_type(x509.DNSName)
        if len(asked) < len(list(alternative)):
            findings.append(
                "it asks for names that are not DNS names (IP addresses, e-mail); only DNS names can be validated here"
            )
    except x509.ExtensionNotFound:
        pass
    common = [str(item.value) for item in csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if not asked:
        asked = common[:1]
    elif any(name.lower() not in {other.lower() for other in asked} for name in common):
        findings.append(f"its common name {common[0]!r} is not among its subject alternative names")
    names: dict[str, None] = {}
    for name in asked:
        try:
            names[parse_dns_name(name)] = None
        except ValueError as error:
            findings.append(f"it asks for a name that cannot be: {error}")
    if not asked:
        findings.append("it has no names: no subject alternative name and no common name")
    if len(names) > _MOST_NAMES:
        findings.append(f"it asks for {len(names)} names; CAs accept {_MOST_NAMES} at most")
    return tuple(names)


def _check_extensions(extensions: x509.Extensions, findings: list[str]) -> None:
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.TLSFeature):
            findings.append("it asks for must-staple (TLS feature); CAs refuse that since OCSP ended in 2025")
        elif isinstance(value, x509.BasicConstraints) and value.ca:
            findings.append("it asks to become a CA")
