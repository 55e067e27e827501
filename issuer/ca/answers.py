"""Successful answers of an ACME server (RFC 8555 §6), and the CA's JSON in them parsed into our types. Pure.

The input is hostile. A field of an unexpected type counts as missing. Text is cleaned for display and storage. A
malformed URL raises AcmeProblem.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.strict_json import parse_json
from issuer.ca import words
from issuer.model.acme import CaAuthorization, CaChallenge, CaIdentity, CaOrder, Problem, RenewalInfo
from issuer.model.errors import AcmeProblem
from issuer.rules.persist import accounts_of


@dataclass(frozen=True, slots=True)
class AcmeAnswer:
    """A successful answer. *ask_again_at*: its Retry-After, in epoch seconds. *date*: its Date header, unparsed.
    *created*: its status says that what was asked for is new (RFC 8555 §7.3). *link_headers*: its Link headers as they
    are, because most answers have some and few readers."""

    url: str
    location: str
    link_headers: tuple[str, ...]
    body: bytes
    ask_again_at: float | None
    date: str = ""
    created: bool = False

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """(relation, URL) of each link (RFC 8288)."""
        return words.links(self.link_headers, self.url)

    def json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises AcmeProblem when it is none."""
        try:
            document = parse_json(self.body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            what, hint = f"the CA's answer from {self.url} is not a JSON object", "check [acme] directory"
            raise AcmeProblem(what, hint=hint, in_doubt=bool(self.location))
        return document


def order_of(url: str, answer: AcmeAnswer) -> CaOrder:
    """An order object (RFC 8555 §7.1.3). Raises AcmeProblem."""
    document = answer.json()
    return CaOrder(
        url=url,
        status=words.text(document.get("status")),
        authorizations=words.urls(document.get("authorizations")),
        finalize_url=words.url(document.get("finalize")),
        certificate_url=words.url(document.get("certificate")),
        error=_error(document),
        ask_again_at=answer.ask_again_at,
    )


def names_of(answer: AcmeAnswer) -> set[str]:
    """The names of an order object (RFC 8555 §7.1.3). Raises AcmeProblem."""
    identifiers = answer.json().get("identifiers")
    found = identifiers if isinstance(identifiers, list) else []
    return {words.text(item.get("value")).lower() for item in found if isinstance(item, dict)}


def authorization_of(url: str, document: dict[str, Any], ca: CaIdentity) -> CaAuthorization:
    """An authorization object (RFC 8555 §7.1.4). Raises AcmeProblem."""
    raw = words.identifier(document)
    name = raw.removeprefix("*.")  # RFC 8555 §7.1.4 forbids the asterisk; some CAs send it
    challenges = document.get("challenges")
    return CaAuthorization(
        url=url,
        identifier=name,
        status=words.text(document.get("status")),
        challenges=tuple(
            _challenge(item, name, ca)
            for item in (challenges if isinstance(challenges, list) else ())
            if isinstance(item, dict)
        ),
        wildcard=document.get("wildcard") is True or raw != name,
    )


def renewal_info_of(answer: AcmeAnswer) -> RenewalInfo:
    """The suggested window (RFC 9773 §4.2), epoch seconds. Raises AcmeProblem for a malformed or empty window."""
    document = answer.json()
    window = document.get("suggestedWindow")
    try:
        if not isinstance(window, dict):
            raise ValueError("no suggestedWindow")
        start, end = _moment(words.text(window.get("start"))), _moment(words.text(window.get("end")))
        if end < start:
            raise ValueError("the window ends before it starts")
        if start < 0:  # Go writes 0001-01-01 for a time that was never set
            raise ValueError("the window starts before 1970")
    except ValueError as error:
        raise AcmeProblem("the CA's renewal information is malformed", why=str(error)) from error
    return RenewalInfo(start, end, words.text(document.get("explanationURL")), answer.ask_again_at)


def _moment(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    try:
        return int(moment.timestamp())
    except OverflowError as error:
        raise ValueError(f"{text!r} is out of range") from error


def _challenge(document: dict[str, Any], name: str, ca: CaIdentity) -> CaChallenge:
    """A challenge object (RFC 8555 §7.1.5). Draft 02 of dns-persist-01 has another spelling for the list of the
    issuers, and draft 01 alone has an accounturi."""
    issuers = words.domains(document.get("issuer-domain-names")) or words.domains(document.get("issuerDomainNames"))
    account = words.text(document.get("accounturi"))
    return CaChallenge(
        type=words.text(document.get("type")),
        url=words.url(document.get("url")),
        token=words.text(document.get("token")),
        status=words.text(document.get("status")),
        error=_error(document),
        issuer_domain_names=issuers or ca.issuers,
        account_uris=(account,) if account else accounts_of(ca, name),
    )


def _error(document: dict[str, Any]) -> Problem | None:
    problem = document.get("error")
    return words.problem(problem) if isinstance(problem, dict) else None
