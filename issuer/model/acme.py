"""The CA's objects (RFC 8555 §7.1, RFC 9773) and the challenges that we answer. Frozen; times are epoch seconds."""

from common.dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge that we answer, as the journal has it: enough to withdraw the answer after a crash. The challenge
    type says what *owner*, *zone* and *value* mean: the name of the answer, the place that is written to ("" where a
    person writes it), and the answer. *id* is the journal's row, 0 before it is written."""

    type: str
    identifier: str
    authorization_url: str
    url: str
    owner: str
    zone: str
    value: str
    id: int = 0

    @property
    def ours(self) -> bool:
        """Do we publish it? False where a person does: it is journalled without a zone."""
        return self.zone != ""

    @property
    def place(self) -> tuple[str, str, str, str]:
        """Two entries with the same place are one TXT value or file."""
        return self.type, self.owner, self.zone, self.value


@dataclass(frozen=True, slots=True)
class Laggard:
    """*who* does not show the answer to a challenge yet, a server or an address of ours, and *how* that looks. *hint*:
    what to do, where that differs from the hint for all others."""

    who: str
    how: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.who}: {self.how}"


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document (RFC 7807, RFC 8555 §6.7). *kind* is the last part of its type URN; *detail* one printable
    line with its subproblems; *url* the page for people that it names; *identifiers* the names that it and its
    subproblems are about. A part that it lacks is empty."""

    kind: str
    detail: str
    url: str = ""
    identifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CaOrder:
    """An order of the CA (RFC 8555 §7.1.3). *ask_again_at*: its Retry-After as a moment, None without one."""

    url: str
    status: str
    authorizations: tuple[str, ...]
    finalize_url: str
    certificate_url: str
    error: Problem | None
    ask_again_at: float | None


@dataclass(frozen=True, slots=True)
class RenewalInfo:
    """The CA's suggested window to renew in (RFC 9773 §4.2). *ask_again_at* is its Retry-After as a moment."""

    start: int
    end: int
    explanation_url: str
    ask_again_at: float | None


@dataclass(frozen=True, slots=True)
class CaIdentity:
    """The values that stand in DNS records for a CA and for our account there. *identities*: its names in CAA records
    (RFC 8555 §9.7.6). *account*: the URL of our account, "" without one. *issuers*: its names in the records of
    dns-persist-01. *hash_prefix* and *thumbprint*: the account is named there by a hash below that prefix, made with
    that thumbprint of our key; "" where it is named by its URL."""

    directory: str
    identities: tuple[str, ...]
    account: str
    issuers: tuple[str, ...] = ()
    hash_prefix: str = ""
    thumbprint: str = ""


@dataclass(frozen=True, slots=True)
class CaChallenge:
    """RFC 8555 §7.1.5. Unknown types are kept and ignored. *token* is "" where the type has none. *issuer_domain_names*
    and *account_uris* are what a record of dns-persist-01 may name."""

    type: str
    url: str
    token: str
    status: str
    error: Problem | None
    issuer_domain_names: tuple[str, ...] = ()
    account_uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CaAuthorization:
    """RFC 8555 §7.1.4. *identifier* never carries the "*." of a *wildcard*."""

    url: str
    identifier: str
    status: str
    challenges: tuple[CaChallenge, ...]
    wildcard: bool = False

    @property
    def name(self) -> str:
        """The name of the order that it is for."""
        return f"*.{self.identifier}" if self.wildcard else self.identifier
