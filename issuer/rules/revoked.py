"""Does a certificate count as revoked, and what of that do people hear? Pure."""

from urllib.parse import urlsplit

from common.revocation.state import Revocation
from issuer.model.enrolment import Enrolment

_KEY_IS_KNOWN = "keyCompromise"  # RFC 5280 §5.3.1


def evidence(row: Enrolment, answer: Revocation) -> str:
    """Why the certificate of *row* counts as revoked; "" if it does not. One that its CA has revoked stays so while
    nobody answers. Without moment and address of a list, so that many that were revoked together are told together."""
    if answer.revoked:
        reason = f" ({answer.reason})" if answer.reason else ""
        return f"its CA has revoked it{reason}, says {urlsplit(answer.by).hostname or answer.by}"
    if row.revoked:
        return "it was revoked by `certfleet-issuer revoke`"
    return "its CA had revoked it when it was asked before" if row.watch.revoked and not answer.available else ""


def key_is_known(answer: Revocation) -> bool:
    """Does the CA say that others know the key?"""
    return bool(answer.revoked) and answer.reason == _KEY_IS_KNOWN
