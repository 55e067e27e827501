"""A signing request, parsed once. :mod:`issuer.rules.csr` says whether a CA would take it. Pure."""

import hashlib
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from common.certificate import PARSE_ERRORS, spki_sha256
from common.names import parse_dns_name
from issuer.model.leaf import Damaged, key_type


@dataclass(frozen=True, slots=True)
class CsrFacts:
    """The content of a request (RFC 2986). *asked*: every name as written, from the alternative names, or without any
    the common name. *names*: the same as DNS names, each once, without those that cannot be one."""

    pem: bytes
    der: bytes
    asked: tuple[str, ...]
    names: tuple[str, ...]
    spki_sha256: str
    md5_modulus: str
    key_type: str
    request: x509.CertificateSigningRequest = field(repr=False, compare=False)  # for the rules


def csr_of(content: bytes) -> CsrFacts | Damaged:
    """The request in a PEM text."""
    fault = _no_single_block(content)
    if fault:
        return Damaged(fault)
    try:
        request = x509.load_pem_x509_csr(content)
        request.subject.rfc4514_string()
    except PARSE_ERRORS:
        return Damaged("it is not a PEM certificate signing request, or a damaged one")
    try:
        key = request.public_key()
    except PARSE_ERRORS:
        return Damaged("its key is of a type that no public CA accepts")
    try:
        asked = _asked(request)
    except PARSE_ERRORS:
        return Damaged("its extensions are malformed")
    return CsrFacts(
        pem=request.public_bytes(Encoding.PEM),
        der=request.public_bytes(Encoding.DER),
        asked=asked,
        names=_dns_names(asked),
        spki_sha256=spki_sha256(key),
        md5_modulus=md5_modulus(key),
        key_type=key_type(key),
        request=request,
    )


def md5_modulus(key: CertificatePublicKeyTypes) -> str:
    """The output of ``openssl req -noout -modulus | openssl md5`` for an RSA key, newline included. An EC key has no
    modulus: for it this is the MD5 of the DER SubjectPublicKeyInfo. An identifier, no protection."""
    if isinstance(key, rsa.RSAPublicKey):
        printed = f"Modulus={key.public_numbers().n:X}\n".encode()
    else:
        printed = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.md5(printed, usedforsecurity=False).hexdigest()


def common_names(request: x509.CertificateSigningRequest) -> list[str]:
    return [str(item.value) for item in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def _no_single_block(content: bytes) -> str:
    """Why a text cannot hold exactly one request; "" where it may."""
    if b"PRIVATE KEY-----" in content:
        return "it holds a private key; keys stay on their host, give the CSR alone"
    if not content.strip():
        return "it is empty"
    return "it holds more than one PEM block; give one CSR alone" if content.count(b"-----BEGIN") > 1 else ""


def _asked(request: x509.CertificateSigningRequest) -> tuple[str, ...]:
    try:
        alternative = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return tuple(common_names(request)[:1])
    return tuple(alternative.get_values_for_type(x509.DNSName)) or tuple(common_names(request)[:1])


def _dns_names(asked: tuple[str, ...]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for name in asked:
        try:
            names[parse_dns_name(name)] = None
        except ValueError:  # the rules say why
            continue
    return tuple(names)
