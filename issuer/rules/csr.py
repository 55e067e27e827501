"""The rules that a CSR must meet before a CA is asked. Pure.

Certfleet cannot mend a CSR, which is signed by a key that it does not hold. So it refuses what the CA would refuse,
with the reason. Rules: RFC 8555 §7.4, CA/Browser Forum Baseline Requirements §6.1.5 and §7.1.2.7.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID, SignatureAlgorithmOID

from common.certificate import PARSE_ERRORS
from common.check_line import Line
from common.names import parse_certificate_name, redundant
from issuer.model.csr import CsrFacts, csr_of
from issuer.model.enrolment import Enrolment
from issuer.model.errors import AcmeProblem, CompromisedKey
from issuer.model.leaf import Damaged
from issuer.rules.findings import warn

_RSA_BITS = (2048, 3072, 4096)
_RSA_EXPONENT = 65537
_MOST_NAMES = 100
_SIGNATURES = (
    *(SignatureAlgorithmOID.RSA_WITH_SHA256, SignatureAlgorithmOID.RSA_WITH_SHA384),
    *(SignatureAlgorithmOID.RSA_WITH_SHA512, SignatureAlgorithmOID.ECDSA_WITH_SHA256),
    *(SignatureAlgorithmOID.ECDSA_WITH_SHA384, SignatureAlgorithmOID.ECDSA_WITH_SHA512),
)
_REFUSED_SIGNATURES = {
    SignatureAlgorithmOID.RSA_WITH_MD5: "MD5",
    SignatureAlgorithmOID.RSA_WITH_SHA1: "SHA-1",
    SignatureAlgorithmOID.ECDSA_WITH_SHA1: "SHA-1",
    SignatureAlgorithmOID.RSA_WITH_SHA224: "SHA-224",
    SignatureAlgorithmOID.ECDSA_WITH_SHA224: "SHA-224",
    SignatureAlgorithmOID.RSASSA_PSS: "RSA-PSS",
}
_OF_NAMES = ("malformed", "rejectedIdentifier", "unsupportedIdentifier")  # RFC 8555 §6.7
_OF_CSR = (*_OF_NAMES, "badCSR", "badPublicKey", "unauthorized")
_NEW_CSR = "make a new CSR on the host, then `populate --replace NAME --csr FILE`"
_ALL_NAMES = "make a CSR with all names among its alternative names, then `populate --replace NAME --csr FILE`"
_NOT_BOTH = (
    "make a CSR with only one of a wildcard and a name that it covers, then `populate --replace NAME --csr FILE`"
)


class CsrRefused(ValueError):
    """The CSR does not meet the rules; carries every finding."""

    def __init__(self, findings: list[str]):
        super().__init__("; ".join(findings))
        self.findings = findings


def read_csr(content: bytes) -> CsrFacts:
    """The CSR in a PEM text or in DER. Raises CsrRefused."""
    return accepted(csr_of(content))


def accepted(csr: CsrFacts | Damaged) -> CsrFacts:
    """A CSR that meets the rules. Raises CsrRefused with every finding."""
    if isinstance(csr, Damaged):
        raise CsrRefused([csr.why])
    findings = [*_of_key(csr.request), *_of_names(csr), *_of_extensions(csr.request.extensions)]
    if findings:
        raise CsrRefused(findings)
    return csr


def compromised(rows: Iterable[Enrolment]) -> list[str]:
    """The names of *rows* of which a certificate was revoked because others know the key of the CSR."""
    return [row.name for row in rows if row.compromised and row.csr and row.key_sha256 in row.compromised]


def refuse_compromised(rows: Iterable[Enrolment]) -> None:
    """Raises CompromisedKey where one of *rows* is :func:`compromised`."""
    if found := compromised(rows):
        raise CompromisedKey(found)


def cautions(subject: str, csr: CsrFacts) -> list[Line]:
    """A warning about *subject* for each thing that is ordered all the same and that some CAs refuse."""
    found = []
    alternative, common = {name.lower() for name in csr.alternative}, csr.common_name
    if common.lower() in csr.dns_names and common.lower() not in alternative:
        sentence = f"the CSR's common name {common} is not among its alternative names; it is ordered with them"
        found.append(warn(subject, sentence, f"some CAs look at the alternative names alone: {_ALL_NAMES}"))
    leave_out = "some CAs refuse that: leave it out of the next CSR"
    found += [warn(subject, sentence, leave_out) for sentence in not_counted(csr)]
    key = csr.request.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.public_numbers().e != _RSA_EXPONENT:
        sentence = f"the CSR's RSA key has the exponent {key.public_numbers().e}"
        found.append(warn(subject, sentence, f"some CAs accept {_RSA_EXPONENT} alone: {_NEW_CSR}"))
    for name, wildcard in redundant(csr.names):
        sentence = f"the CSR asks for {name} and for {wildcard}, which covers it"
        found.append(warn(subject, sentence, f"some CAs refuse that: {_NOT_BOTH}"))
    return found


def not_counted(csr: CsrFacts) -> list[str]:
    """A sentence about each common name that is not ordered."""
    *others, last = [str(one.value) for one in csr.request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] or [""]
    sentences = [
        f"the CSR's common name {common!r} does not count as a name: of several the last one does"
        for common in others
        if common.lower() not in csr.names
    ]
    if last and last.lower() not in csr.dns_names:
        sentences.append(f"the CSR's common name {last!r} is not a DNS name and does not count as a name")
    return sentences


def hint_on_order(problem: AcmeProblem, csr: CsrFacts) -> str:
    """The hint for a refusal of the order for the names of *csr*."""
    return _NOT_BOTH if problem.kind in _OF_NAMES and redundant(csr.names) else problem.hint


def hint_on_finalize(problem: AcmeProblem, csr: CsrFacts) -> str:
    """The hint for a refusal to certify *csr*. The CA has accepted the account and its authorizations before, so a
    problem whose type could mean account, authorization or CSR means the CSR."""
    if problem.kind not in _OF_CSR:
        return problem.hint
    doubts = "; ".join(dict.fromkeys(line.hint for line in cautions("", csr)))
    return doubts or f"the CA's text tells why it does not certify this CSR; if the CSR is at fault, {_NEW_CSR}"


def _of_key(request: x509.CertificateSigningRequest) -> Iterator[str]:
    algorithm, key = request.signature_algorithm_oid, request.public_key()
    if algorithm in _SIGNATURES:
        if not _signature_holds(request):
            yield "its signature does not fit its own key"
    elif isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        known = _REFUSED_SIGNATURES.get(algorithm, f"the algorithm {algorithm.dotted_string}")
        yield f"it is signed with {known}; CAs accept SHA-256, SHA-384 and SHA-512, for RSA with PKCS #1 v1.5 padding"
    if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) and not _is_usual_form(request):
        yield "its public key is in a form that CAs do not read, such as a curve without its name or a compressed point"
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size not in _RSA_BITS:
            weak = " (weak)" if key.key_size < _RSA_BITS[0] else ""
            yield f"its RSA key has {key.key_size} bits{weak}; CAs accept 2048, 3072 and 4096"
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
            yield f"its EC key is on {key.curve.name}; CAs accept P-256 and P-384"
    else:
        yield "its key is neither RSA nor ECDSA; public CAs accept no other"


def _is_usual_form(request: x509.CertificateSigningRequest) -> bool:
    """Does the request hold its key in the form that everybody writes? CAs parse no other one (RFC 3279 §2.3, RFC 5480
    §2.1.1)."""
    usual = request.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return usual in request.tbs_certrequest_bytes


def _signature_holds(request: x509.CertificateSigningRequest) -> bool:
    try:
        return request.is_signature_valid
    except PARSE_ERRORS:
        return False


def _of_names(csr: CsrFacts) -> Iterator[str]:
    if not csr.asked and not csr.addresses and not _other_names(csr.request.extensions):
        yield "it has no names: no subject alternative name and no common name"
    for name in csr.asked:
        try:
            parse_certificate_name(name)
        except ValueError as error:
            yield f"it asks for a name that cannot be: {error}"
    if len(csr.names) > _MOST_NAMES:
        yield f"it asks for {len(csr.names)} names; CAs accept {_MOST_NAMES} at most"


def _of_extensions(extensions: x509.Extensions) -> Iterator[str]:
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.TLSFeature):
            yield "it asks for must-staple (TLS feature); CAs refuse that since OCSP ended in 2025"
        elif isinstance(value, x509.BasicConstraints) and value.ca:
            yield "it asks to become a CA"
    if _other_names(extensions):
        yield "it asks for names that are neither DNS names nor IP addresses, such as e-mail addresses"


def _other_names(extensions: x509.Extensions) -> list[x509.GeneralName]:
    """The alternative names that no CA certifies by ACME: neither DNS names nor single IP addresses."""
    found = [each.value for each in extensions if isinstance(each.value, x509.SubjectAlternativeName)]
    return [
        name
        for names in found
        for name in names
        if not isinstance(name, x509.DNSName)
        and not (isinstance(name, x509.IPAddress) and isinstance(name.value, IPv4Address | IPv6Address))
    ]
