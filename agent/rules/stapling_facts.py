"""The facts about stapling in a certificate, and in an OCSP response in a file, from their bytes. Pure."""

from collections.abc import Iterable

from cryptography import x509
from cryptography.x509 import ocsp

from agent.model.stapling import Served, Staple
from common.certificate import PARSE_ERRORS, is_signed_by, load_certificates, must_staple
from common.certificate_urls import OCSP, urls
from common.clock import utc_text
from common.revocation.ocsp import request_for


def served(file: str, content: bytes, chain: bytes = b"") -> tuple[Served, x509.Certificate | None, bytes]:
    """The facts of the leaf in *content* (PEM), which stands in *file*; the leaf; the question about it (RFC 6960 §4.1)
    in DER, b"" without its issuer. *chain*: the certificates, in PEM, that the service has apart from the leaf."""
    try:
        found = load_certificates(content)
        others = load_certificates(chain) if chain.strip() else []
    except ValueError as error:
        return Served(file, problem=str(error)), None, b""
    if not found:
        return Served(file, problem="there is no certificate in it"), None, b""
    leaf = found[0]
    issuer = next((one for one in (*found[1:], *others) if is_signed_by(leaf, one)), None)
    responders = tuple(url for kind, url in urls(leaf) if kind == OCSP)
    facts = Served(file, "", responders, must_staple(leaf), issuer is not None)
    return facts, leaf, request_for(leaf, issuer) if issuer is not None else b""


def staple(file: str, content: bytes, leaves: Iterable[x509.Certificate], now: float) -> Staple:
    """The facts of the OCSP response in *content* (DER), which stands in *file* and is served for one of *leaves* at
    *now* (epoch seconds)."""
    return Staple(file, _fault(content, leaves, now))


def _fault(content: bytes, leaves: Iterable[x509.Certificate], now: float) -> str:
    try:
        response = ocsp.load_der_ocsp_response(content)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return f"the responder answered {response.response_status.name.lower()}"
        if response.serial_number not in {leaf.serial_number for leaf in leaves}:
            return "it is about another certificate"
        if response.certificate_status is not ocsp.OCSPCertStatus.GOOD:
            return f"it says {response.certificate_status.name.lower()}"
        until = response.next_update_utc
    except PARSE_ERRORS:
        return "it is no OCSP response"
    if until is not None and until.timestamp() <= now:
        return f"it ended at {utc_text(until.timestamp())}"
    return ""
