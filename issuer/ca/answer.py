"""A successful answer of an ACME server (RFC 8555 §6); ``issuer/ca/answers.py`` reads orders and the like in it."""

from dataclasses import dataclass
from typing import Any

from common.strict_json import parse_json
from issuer.ca import words
from issuer.model.errors import AcmeProblem


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
