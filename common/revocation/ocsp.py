"""Judge a certificate by an OCSP response (RFC 6960), fetched or stapled. Pure: bytes and a clock."""

from collections.abc import Iterator

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from common.certificate import PARSE_ERRORS, extension, is_signed_by, not_after, not_before, subject_text
from common.certificate_urls import OCSP, urls
from common.load_x509 import refuse_costly_key
from common.revocation.state import Revocation, fault_of_dates, unknown

_DAY = 86400  # how long an answer counts that does not say it: as long as in Firefox (mozilla::pkix)


def responders(leaf: x509.Certificate) -> list[str]:
    """The URLs of the responders that *leaf* names, by http. Raises one of PARSE_ERRORS."""
    return [url for kind, url in urls(leaf) if kind == OCSP and url.lower().startswith("http://")]


def request_for(leaf: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """The question, in DER. By SHA-1, which names the issuer and secures nothing: every responder knows it (RFC 5019
    §2.1.1)."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, SHA1())  # noqa: S303
    return builder.build().public_bytes(Encoding.DER)


def judge(content: bytes, leaf: x509.Certificate, issuer: x509.Certificate, source: str, now: float) -> Revocation:
    """Judge *leaf* at *now* (epoch seconds) by the response in *content* (DER). *source*: a URL, or "staple".
    Never raises: a response that does not count is a problem of the result."""
    try:
        response = ocsp.load_der_ocsp_response(content)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return unknown(source, f"the responder answers {response.response_status.name.lower()}")
        if not any(_is_signed_by(response, signer) for signer in _signers(response, issuer, now)):
            return unknown(source, f"the answer is not signed by {subject_text(issuer)!r}, or by whom it has named")
        for one in response.responses:
            if _is_about(one, leaf, issuer):
                return _verdict(one, source, now)
        return unknown(source, "the answer is about another certificate")
    except PARSE_ERRORS as error:
        return unknown(source, f"what it sends is no OCSP response ({type(error).__name__})")


def _verdict(one: ocsp.OCSPSingleResponse, source: str, now: float) -> Revocation:
    until = one.next_update_utc.timestamp() if one.next_update_utc else one.this_update_utc.timestamp() + _DAY
    if fault := fault_of_dates("the answer", one.this_update_utc, until, now):
        return unknown(source, fault)
    if one.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        return unknown(source, "the responder does not know the certificate")
    if one.certificate_status is ocsp.OCSPCertStatus.GOOD:
        return Revocation((source,), available=True, revoked=False, fresh_until=int(until), by=source)
    since = int(one.revocation_time_utc.timestamp()) if one.revocation_time_utc else None
    reason = one.revocation_reason.value if one.revocation_reason else ""
    return Revocation((source,), True, True, since, reason, int(until), source)


def _is_about(one: ocsp.OCSPSingleResponse, leaf: x509.Certificate, issuer: x509.Certificate) -> bool:
    """A serial number alone names no certificate: other issuers have the same ones."""
    own = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, one.hash_algorithm).build()
    found = one.serial_number, one.issuer_name_hash, one.issuer_key_hash
    return found == (own.serial_number, own.issuer_name_hash, own.issuer_key_hash)


def _signers(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: float) -> Iterator[x509.Certificate]:
    """The issuer, and whom it has let sign in its place (RFC 6960 §4.2.2.2)."""
    yield issuer
    for one in response.certificates:
        refuse_costly_key(one)
        if _signs_responses(one) and not_before(one) <= now < not_after(one) and is_signed_by(one, issuer):
            yield one


def _signs_responses(certificate: x509.Certificate) -> bool:
    return ExtendedKeyUsageOID.OCSP_SIGNING in (extension(certificate.extensions, x509.ExtendedKeyUsage) or ())


def _is_signed_by(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    key, algorithm = signer.public_key(), response.signature_hash_algorithm
    signature, content = response.signature, response.tbs_response_bytes
    try:
        if isinstance(key, rsa.RSAPublicKey) and algorithm:
            key.verify(signature, content, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm:
            key.verify(signature, content, ec.ECDSA(algorithm))
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            key.verify(signature, content)
        else:
            return False
    except InvalidSignature:
        return False
    return True
