"""The page to look at, as values. Pure. Moments are epoch seconds, 0 for unknown or none."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from issuer.model.failure import Failure


@dataclass(frozen=True, slots=True)
class HostLine:
    """How one host stands with a certificate: *words* for people."""

    host: str
    words: str
    well: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate in the list. *rank*: the lowest is the worst. *state* is the word of issuer/rules/health.py,
    *words* that with all that goes with it. *names*: a few of *names_count*; *hosts*: a few of *hosts_count*, the worst
    first. *told*: sentences about what is wrong."""

    name: str
    rank: tuple[bool, bool, int, bool]
    state: str
    words: str
    well: bool
    ca: str
    issuer: str
    comment: str
    starts: int
    ends: int
    coming: int
    coming_words: str
    names: tuple[str, ...] = ()
    names_count: int = 0
    hosts: tuple[HostLine, ...] = ()
    hosts_count: int = 0
    hosts_bad: int = 0
    told: tuple[str, ...] = ()
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Trouble:
    """One cause, with the *count* of what has it, which are certificates or hosts (*noun*), and the first few of their
    *names*. *label*: the state that it puts them in."""

    label: str
    failure: Failure
    names: tuple[str, ...]
    count: int
    noun: str = "certificate"


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of the history of all certificates."""

    at: int
    name: str
    event: str
    detail: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the next ninety, by its start: how many certificates are renewed, and end unless they are. The levels
    run from 0, none, to 4, the most of any day."""

    at: int
    renewals: int
    ends: int
    renewals_level: int
    ends_level: int


@dataclass(frozen=True, slots=True)
class Share:
    """How many certificates a CA has issued, and their *fraction* of all."""

    ca: str
    count: int
    fraction: float


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything that the page shows, at the moment *at*. *notes*: sentences that concern no single certificate.
    *hosts_bad* counts the hosts that are not well by how they are not. *propagation*: seconds by name server; None
    where this process has measured none."""

    at: int
    machine: str
    version: str
    entries: tuple[Entry, ...]
    troubles: tuple[Trouble, ...]
    notes: tuple[str, ...]
    hosts_bad: Mapping[str, int]
    days: tuple[Day, ...]
    shares: tuple[Share, ...]
    history: tuple[Happening, ...]
    propagation: Mapping[str, float] | None = None


class Sort(Enum):
    """The orders of the list."""

    WORST = "worst"
    NAME = "name"
    END = "end"
    NEXT = "next"


@dataclass(frozen=True, slots=True)
class Choice:
    """The part of the list that is asked for. *page* counts from 1. An empty *state*, *ca* or *search* is every one;
    the *state* ATTENTION is every one that is not well."""

    state: str = ""
    ca: str = ""
    search: str = ""
    sort: Sort = Sort.WORST
    page: int = 1


ATTENTION = "attention"
