"""The scope of a hold: does a limit of the CA concern one certificate, or our whole account? Pure.

A problem document has no field for it (RFC 8555 §6.6). The status, the resource that was asked and the identifiers of
the document are evidence; then the CA's own words are. The names and addresses that a CA quotes are none: a domain may
be called "service" or "requests". Without evidence a limit concerns one certificate: a fleet must not stop for that.
"""

import re
from http import HTTPStatus

from issuer.model.errors import AcmeProblem
from issuer.model.limits import ACCOUNT

_OF_ACCOUNT = ("newAccount", "newNonce", "keyChange")  # resources that know no name
_QUOTED = re.compile(
    r"""
    https?://\S+ | \S+@\S+                              # addresses
    | "[^"/]*" | “[^”/]*” | `[^`/]*` | (?<!\w)'[^'/]*'(?!\w)  # what is quoted, unless it is a path
    | [\w*-]+ (?:\.[\w-]+)+ \.?                         # domain names
    """,
    re.VERBOSE,
)
_ONE_NAME = re.compile(
    r"\b(?:set of|failed (?:authori[sz]ation|validation)s?|domains?|host ?names?|identifiers?|duplicate"
    r"|certificates? (?:already )?(?:issued )?for:? (?!(?:this|your|the) (?:account|key|IP)\b))",
    re.IGNORECASE,
)
_EVERYTHING = re.compile(
    r"\b(?:accounts?|requests?|orders?|pending|registrations?|IP|IPs|subnet|service|servers?|busy|overload(?:ed)?|load"
    r"|maintenance|quota|concurrent|connections?)\b|rate limit for ['\"]?/",
    re.IGNORECASE,
)


def hold_scope(problem: AcmeProblem, name: str) -> str:
    """ACCOUNT, or the certificate *name*."""
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE or problem.resource in _OF_ACCOUNT:
        return ACCOUNT
    if problem.identifiers:
        return name
    said = _QUOTED.sub(" ", problem.why)
    if not problem.kind or said.strip() in ("", problem.kind):
        return ACCOUNT  # "429 Too Many Requests" and nothing else: a limit on requests (RFC 6585 §4)
    return ACCOUNT if _EVERYTHING.search(said) and not _ONE_NAME.search(said) else name
