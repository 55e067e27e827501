"""Judge an offer by the issuer's statement, and by the dates of its certificate where these count. Pure.

With ``[trust] issuer_key`` the database only carries: a certificate is installed if a statement names it that the
issuer has signed, and the sequence of statements, which only grows, tells the newer one.
"""

from agent.model.offer import Offer
from agent.model.result import Installed, Stated
from common.certificate import Bundle, certified_names, fingerprint, spki_sha256
from common.dataclasses import dataclass
from common.errors import Finding
from common.issuer_key import issuer_key_id
from common.statement import MOST_ENDORSEMENTS, OtherKey, Statement, parse_signed, successor, verified

NO_COLUMN = "the database has no statements yet"
STATEMENT, OTHER_KEY = "statement", "statement key"  # paths of findings
OTHER_KEY_HINT = (
    "`certfleet-issuer key show` tells the issuer's key: where that is another one, because the key was lost or has"
    f" changed more than {MOST_ENDORSEMENTS} times since this host followed it, write it as issuer_key into agent.toml"
)


@dataclass(frozen=True, slots=True)
class Word:
    """The issuer's word on an offer: the *statement* that it has signed, or every reason why there is none that names
    this certificate. *key*: 32 octets, the key that is believed from now on."""

    key: bytes
    statement: Statement | None = None
    findings: tuple[Finding, ...] = ()


def hear(name: str, offer: Offer, bundle: Bundle, key: bytes, before: Stated | None) -> Word:
    """The word on *bundle*, which is *offer* parsed, about the certificate *name*. *key*: the issuer's key as far as it
    is known; endorsements of it are followed. *before*: the newest statement that was taken here."""
    if offer.statement is None:
        return Word(key, findings=(_finding(NO_COLUMN),))
    if not offer.statement:
        return Word(key, findings=(_finding("there is none for this certificate"),))
    try:
        text = parse_signed(offer.statement)
        newest = successor(key, text.endorsements)
        statement = verified(text.line, newest)
    except OtherKey as error:
        return Word(key, findings=(Finding(OTHER_KEY, f"{error}; issuer_key is {issuer_key_id(key)}"),))
    except ValueError as error:
        return Word(key, findings=(_finding(f"{error}; issuer_key is {issuer_key_id(key)}"),))
    return Word(newest, statement, tuple(map(_finding, _misfits(statement, name, bundle, before))))


def _finding(problem: str) -> Finding:
    return Finding(STATEMENT, problem)


def _misfits(statement: Statement, name: str, bundle: Bundle, before: Stated | None) -> list[str]:
    leaf, faults = bundle.leaf, []
    if statement.name != name:
        faults.append(f"it is about {statement.name}")
    if statement.sha256 != fingerprint(leaf):
        faults.append("it names another certificate")
    elif (statement.key, statement.names) != (spki_sha256(leaf.public_key()), tuple(sorted(certified_names(leaf)))):
        faults.append("it names another key or other names")
    if before is not None and statement.sequence < before.sequence:
        faults.append(f"it is older than one that was taken here: {statement.sequence} is before {before.sequence}")
    elif before is not None and statement.sequence == before.sequence and statement.sha256 != before.sha256:
        faults.append(f"another one with its sequence {statement.sequence} was taken here")
    return faults


def dates_count(word: Word | None, before: Stated | None, offer: Offer, sha256: str, known: frozenset[str]) -> bool:
    """Is a certificate that ends before the installed one refused for that? With a statement its sequence decides; the
    dates count as long as no sequence was seen here, unless an older one is meant. Without, the database may go back to
    a leaf that this host had installed: its *sha256* is among the *known*."""
    if word is not None and word.statement is not None:
        return before is None and not word.statement.older
    return not (offer.went_back_to == sha256 and sha256 in known)


def known_leaves(installed: Installed | None, past: tuple[str, ...]) -> frozenset[str]:
    """SHA-256 of the leaves that this host has installed."""
    return frozenset((*past, *([installed.sha256] if installed is not None else [])))
