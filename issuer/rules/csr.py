"""The rules that a CSR must meet before a CA is asked. Pure.

Certfleet cannot mend a CSR, which is signed by a key that it does not hold. So it refuses what the CA would refuse,
with the reason. Rules: RFC 8555 §7.4, CA/Browser Forum Baseline Requirements §6.1.5 and §7.1.2.7.
"""

from collections.abc import Iterable, Iterator

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from common.certificate import PARSE_ERRORS
from common.names import parse_dns_name
from issuer.model.csr import CsrFacts, common_names, csr_of
from issuer.model.enrolment import Enrolment
from issuer.model.errors import CompromisedKey
from issuer.model.leaf import Damaged

_RSA_BITS = (2048, 3072, 4096)
_MOST_NAMES = 100


class CsrRefused(ValueError):
    """The CSR does not meet the rules; carries every finding."""

    def __init__(self, findings: list[str]):
        super().__init__("; ".join(findings))
        self.findings = findings


def read_csr(content: bytes) -> CsrFacts:
    """The CSR in a PEM text. Raises CsrRefused."""
    return accepted(csr_of(content))


def accepted(csr: CsrFacts | Damaged) -> CsrFacts:
    """A CSR that meets the rules. Raises CsrRefused with every finding."""
    if isinstance(csr, Damaged):
        raise CsrRefused([csr.why])
    findings = [*_of_key(csr.request), *_of_names(csr), *_of_extensions(csr.request.extensions)]
    if findings:
        raise CsrRefused(findings)
    return csr


def refuse_compromised(rows: Iterable[Enrolment]) -> None:
    """Raises CompromisedKey where a certificate of the row's name was revoked because others know the key of its
    CSR."""
    found = [row.name for row in rows if row.compromised and row.csr and row.key_sha256 in row.compromised]
    if found:
        raise CompromisedKey(found)


def _of_key(request: x509.CertificateSigningRequest) -> Iterator[str]:
    if not _signature_holds(request):
        yield "its signature does not fit its own key"
    key = request.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size not in _RSA_BITS:
            weak = " (weak)" if key.key_size < _RSA_BITS[0] else ""
            yield f"its RSA key has {key.key_size} bits{weak}; CAs accept 2048, 3072 and 4096"
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
            yield f"its EC key is on {key.curve.name}; CAs accept P-256 and P-384"
    else:
        yield "its key is neither RSA nor ECDSA; public CAs accept no other"


def _signature_holds(request: x509.CertificateSigningRequest) -> bool:
    try:
        return request.is_signature_valid
    except PARSE_ERRORS:
        return False


def _of_names(csr: CsrFacts) -> Iterator[str]:
    if not csr.asked:
        yield "it has no names: no subject alternative name and no common name"
    asked, common = {name.lower() for name in csr.asked}, common_names(csr.request)
    strangers = [name for name in common if name.lower() not in asked] if list(csr.asked) != common[:1] else []
    if strangers:
        yield f"its common name {strangers[0]!r} is not among its subject alternative names"
    for name in csr.asked:
        try:
            parse_dns_name(name)
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
        elif isinstance(value, x509.SubjectAlternativeName) and any(not isinstance(n, x509.DNSName) for n in value):
            yield "it asks for names that are not DNS names (IP addresses, e-mail); certfleet validates no others"
