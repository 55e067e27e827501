"""A signing request, parsed once. :mod:`issuer.rules.csr` says whether a CA would take it. Pure."""

import functools
import hashlib
import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from common.certificate import PARSE_ERRORS, extension, spki_sha256
from common.load_x509 import load_certificate, load_request
from common.names import is_address, parse_certificate_name
from common.pem import is_der, kind_of_key, labels, plain
from issuer.model.leaf import Damaged, key_type

LARGEST_REQUEST = 65_535
"""Bytes: as much as the column of the classic scripts takes."""
_REQUESTS = ("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")  # RFC 7468 §7; the second one is older

_BASE64 = re.compile(rb"MI[A-Za-z0-9+/=\s]{100,}")  # MI: a SEQUENCE of more than 127 octets


@dataclass(frozen=True, slots=True)
class CsrFacts:
    """The content of a request (RFC 2986). *asked*: every DNS name as written, the alternative names and then the
    common name, if that is a DNS name or the only name. *addresses*: its IP addresses. *names*: all of these in
    canonical form, each once, without those that cannot be one. *alternative*: the DNS names among the alternative
    names as written. *common_name*: as written, "" without one."""

    pem: bytes
    der: bytes
    asked: tuple[str, ...]
    names: tuple[str, ...]
    alternative: tuple[str, ...]
    addresses: tuple[str, ...]
    common_name: str
    spki_sha256: str
    md5_modulus: str
    key_type: str
    request: x509.CertificateSigningRequest = field(repr=False, compare=False)  # for the rules

    @property
    def dns_names(self) -> tuple[str, ...]:
        """The *names* that are no addresses."""
        return tuple(name for name in self.names if not is_address(name))


@functools.lru_cache(maxsize=256)  # an order asks where it begins, and again where its certificate is stored
def csr_of(content: bytes) -> CsrFacts | Damaged:
    """The request in a PEM text, with or without other text around it, or in DER."""
    if len(content) > LARGEST_REQUEST:
        return Damaged(f"it is larger than {LARGEST_REQUEST} bytes")
    content = plain(content)
    fault = _no_single_request(content)
    if fault:
        return Damaged(fault)
    try:
        request = load_request(content)
        request.subject.rfc4514_string()
    except PARSE_ERRORS:
        return Damaged("it is not a PEM certificate signing request, or a damaged one")
    try:
        key = request.public_key()
    except PARSE_ERRORS:
        return Damaged("its key is of a type that no public CA accepts")
    try:
        alternative, addresses = _alternative_names(request)
    except PARSE_ERRORS:
        return Damaged("its extensions are malformed")
    common_name = _common_name(request)
    asked = _asked(alternative, addresses, common_name)
    return CsrFacts(
        pem=request.public_bytes(Encoding.PEM),
        der=request.public_bytes(Encoding.DER),
        asked=asked,
        names=tuple(dict.fromkeys([*filter(None, map(_dns_name, asked)), *addresses])),
        alternative=alternative,
        addresses=addresses,
        common_name=common_name,
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


def _no_single_request(content: bytes) -> str:
    """Why *content* cannot hold exactly one request; "" where it may."""
    if not content.strip():
        return "it is empty"
    found = _kinds_of_der(content) if is_der(content) else labels(content)
    if any(kind.endswith("PRIVATE KEY") for kind in found):
        return "it holds a private key; keys stay on their host, give the CSR alone"
    if len(found) > 1:
        return "it holds more than one PEM block; give one CSR alone"
    if not found and _BASE64.fullmatch(content.strip()):
        return f"it lacks the lines -----BEGIN {_REQUESTS[0]}----- and -----END {_REQUESTS[0]}-----"
    if found and found[0] not in _REQUESTS:
        return f"it is a {found[0].lower()}, not a certificate signing request"
    return ""


def _kinds_of_der(content: bytes) -> list[str]:
    """The label that *content* would have in PEM, if it is one of those things that are mistaken for a request."""
    if kind := kind_of_key(content):
        return [kind]
    try:
        load_certificate(content)
    except PARSE_ERRORS:
        return []
    return ["CERTIFICATE"]


def _common_name(request: x509.CertificateSigningRequest) -> str:
    """The last common name, which is the most specific one (RFC 2818 §3.1); "" without one."""
    found = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[-1].value) if found else ""


def _alternative_names(request: x509.CertificateSigningRequest) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The DNS names and the IP addresses. A network, which is none of both, is left out; the rules refuse it."""
    alternative = extension(request.extensions, x509.SubjectAlternativeName)
    if alternative is None:
        return (), ()
    found = alternative.get_values_for_type(x509.IPAddress)
    addresses = [str(one) for one in found if isinstance(one, IPv4Address | IPv6Address)]
    return tuple(alternative.get_values_for_type(x509.DNSName)), tuple(addresses)


def _asked(alternative: tuple[str, ...], addresses: tuple[str, ...], common_name: str) -> tuple[str, ...]:
    """A name may stand in either place or in both (RFC 8555 §7.4). A common name such as "Example Ltd" is none."""
    known = common_name.lower() in {name.lower() for name in alternative}
    if not common_name or known or ((alternative or addresses) and not _dns_name(common_name)):
        return alternative
    return (*alternative, common_name)


def _dns_name(text: str) -> str:
    """*text* as a DNS name; "" where it cannot be one, and the rules say why."""
    try:
        return parse_certificate_name(text)
    except ValueError:
        return ""
