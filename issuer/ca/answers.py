"""The CA's JSON as our nouns. Pure, and suspicious: a field of another type than expected is as good as missing."""

from datetime import datetime
from typing import Any

from issuer.ca.transport import Answer, problem_words
from issuer.errors import AcmeProblem
from issuer.model import CaAuthorization, CaChallenge, CaOrder, RenewalInfo


def order_of(url: str, answer: Answer) -> CaOrder:
    """RFC 8555 §7.1.3."""
    document = answer.json()
    authorizations = document.get("authorizations")
    return CaOrder(
        url=url,
        status=_text(document, "status"),
        authorizations=tuple(map(str, authorizations)) if isinstance(authorizations, list) else (),
        finalize_url=_text(document, "finalize"),
        certificate_url=_text(document, "certificate"),
        error=_error(document),
        ask_again_at=answer.ask_again_at,
    )


def names_of(answer: Answer) -> set[str]:
    """The DNS names of an order (RFC 8555 §7.1.3)."""
    identifiers = answer.json().get("identifiers")
    found = identifiers if isinstance(identifiers, list) else []
    return {_text(item, "value").lower() for item in found if isinstance(item, dict)}


def authorization_of(url: str, document: dict[str, Any]) -> CaAuthorization:
    """RFC 8555 §7.1.4."""
    identifier = document.get("identifier")
    challenges = document.get("challenges")
    return CaAuthorization(
        url=url,
        identifier=_text(identifier, "value").lower() if isinstance(identifier, dict) else "",
        status=_text(document, "status"),
        challenges=tuple(
            _challenge(item) for item in (challenges if isinstance(challenges, list) else ()) if isinstance(item, dict)
        ),
    )


def renewal_info_of(answer: Answer) -> RenewalInfo:
    """RFC 9773 §4.2. Raises AcmeProblem for a window that makes no sense."""
    document = answer.json()
    window = document.get("suggestedWindow")
    try:
        if not isinstance(window, dict):
            raise ValueError("no suggestedWindow")
        start, end = _moment(_text(window, "start")), _moment(_text(window, "end"))
        if end < start:
            raise ValueError("the window ends before it starts")
    except ValueError as error:
        raise AcmeProblem("the CA's renewal information is malformed", why=str(error)) from error
    return RenewalInfo(start, end, _text(document, "explanationURL"), answer.ask_again_at)


def _moment(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    try:
        return int(moment.timestamp())
    except OverflowError as error:
        raise ValueError(f"{text!r} is out of range") from error


def _challenge(document: dict[str, Any]) -> CaChallenge:
    return CaChallenge(
        type=_text(document, "type"),
        url=_text(document, "url"),
        token=_text(document, "token"),
        status=_text(document, "status"),
        error=_error(document),
    )


def _error(document: dict[str, Any]) -> str:
    problem = document.get("error")
    return problem_words(problem)[1] if isinstance(problem, dict) else ""


def _text(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""
