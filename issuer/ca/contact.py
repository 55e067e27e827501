"""The contact of our account: what is configured later reaches the CA too (RFC 8555 §7.3.2)."""

from collections.abc import Iterable
from pathlib import Path

import structlog

from issuer.ca import words
from issuer.ca.answers import AcmeAnswer
from issuer.ca.memory import recall, remember
from issuer.ca.transport import Transport
from issuer.model.errors import AcmeProblem

log = structlog.get_logger()
UNUSABLE = ("invalidContact", "unsupportedContact")
HINT = "change contact of this CA in issuer.toml; certificates do not need it"


def addresses(contact: Iterable[str]) -> list[str]:
    """*contact* as URLs; a bare address is one of mail."""
    return [address if ":" in address else f"mailto:{address}" for address in contact]


class Contact:
    """Remembers the contact that the CA was told last: a CA that keeps none, or spells it otherwise, is told once.

    *memory*: a JSON file in the state folder, from account URL to contact.
    """

    def __init__(self, directory: str, wanted: Iterable[str], memory: Path):
        self._directory = directory
        self._wanted = addresses(wanted)
        self._memory = memory

    def put_right(self, transport: Transport, found: AcmeAnswer) -> None:
        """Tell the CA if the account at *transport*'s kid, which it has *found*, names another contact. A refusal is
        a warning: certificates do not depend on it."""
        if not self._wanted or recall(self._memory).get(transport.kid) == self._wanted:
            return
        try:
            before = _contact_of(transport, found)
            if set(before) != set(self._wanted):
                transport.post(transport.kid, {"contact": self._wanted})
                log.info("account.contact_changed", directory=self._directory, before=before, now=self._wanted)
        except AcmeProblem as problem:
            hint = HINT if problem.kind in UNUSABLE else problem.hint
            log.warning("account.contact_refused", directory=self._directory, error=str(problem), hint=hint)
        else:
            self.told(transport.kid)

    def told(self, account_url: str) -> None:
        """Remember that the CA has been told."""
        if self._wanted:
            remember(self._memory, {**recall(self._memory), account_url: self._wanted})


def _contact_of(transport: Transport, found: AcmeAnswer) -> list[str]:
    """The contact that the CA keeps. Not every CA sends the account's object where it names an existing account."""
    try:
        account = found.json()
    except AcmeProblem:
        account = transport.post(transport.kid, None).json()
    shown = account.get("contact")
    return [words.text(address) for address in shown] if isinstance(shown, list) else []
