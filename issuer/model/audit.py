"""A finding of the audit: one fault of one certificate, as facts that stay apart until they are shown. Pure."""

from enum import Enum

from common.dataclasses import dataclass


class Kind(Enum):
    """In the order in which they are shown, the worst first."""

    REVOKED = "revoked"
    COMPROMISED = "key-compromised"
    NOT_OURS = "not-ours"
    EXPIRED = "expired"
    DAMAGED = "damaged"
    KEY = "key-mismatch"
    NOT_YET_VALID = "not-yet-valid"
    SELF_SIGNED = "self-signed"
    NO_NAMES = "no-names"
    NO_SERVER_AUTH = "no-server-auth"
    WEAK_SIGNATURE = "weak-signature"
    WEAK_KEY = "weak-key"
    CHAIN = "chain"
    CHAIN_ENDS = "chain-ends"
    TOO_LONG = "lives-too-long"
    ENDS_SOON = "expires-soon"
    HOST = "host"
    UNRESOLVED = "name-unresolved"
    ELSEWHERE = "name-elsewhere"
    CAA = "caa-forbids"
    DELEGATION = "delegation"


class Severity(Enum):
    """The words of the monitoring plugins."""

    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Finding:
    """*name*: of the certificate. *evidence*: the facts, without that name, so that equal ones are told together.
    *remedy*: what to do. *curable*: does a new certificate for the same CSR end it? *contact*: whom to ask, "" for
    nobody. *about*: the name in the certificate, or host, that it is about, "" for none."""

    name: str
    kind: Kind
    severity: Severity
    evidence: str
    remedy: str = ""
    curable: bool = False
    contact: str = ""
    about: str = ""

    @property
    def sentence(self) -> str:
        asked = f"; contact: {self.contact}" if self.contact else ""
        return f"{self.evidence}; {self.remedy}{asked}" if self.remedy else f"{self.evidence}{asked}"

    @property
    def fields(self) -> dict[str, str | bool | None]:
        """For --json."""
        return {
            "name": self.name,
            "kind": self.kind.value,
            "severity": self.severity.value,
            "evidence": self.evidence,
            "remedy": self.remedy or None,
            "curable": self.curable,
            "contact": self.contact or None,
        }


@dataclass(frozen=True, slots=True)
class Audited:
    """The traces of an audit in a row: the moment of the next one (epoch seconds), the kinds that were *found*, those
    of them for which a new certificate was ordered, and the *reason* why one is wanted now; "" for no reason."""

    at: int
    found: tuple[str, ...] = ()
    served: tuple[str, ...] = ()
    reason: str = ""
