"""The parts of the page to look at, made from the looks at certificates. Pure."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from shlex import quote
from urllib.parse import urlsplit

from issuer.model.config import RenewalSettings
from issuer.model.enrolment import Enrolment
from issuer.model.errors import NotSealed, Unsigned
from issuer.model.failure import Failure
from issuer.model.hosts import FAULTS, LOOK_THERE, HostState
from issuer.model.page import Day, Entry, Share, Trouble
from issuer.model.seal_faults import Fault
from issuer.rules.health import NOT_SIGNED, advice, health
from issuer.rules.shared_failures import by_failure

DAYS = 90
_DAY = 86400
_LEVELS = 4
_SHOWN = 5  # names beside a trouble


def ca_label(row: Enrolment) -> str:
    """The CA of the present certificate in a few words: the host of its directory, and the path where it may be one of
    several."""
    if row.imported:
        return "imported"
    if not row.directory:
        return "unknown" if row.crt else "none yet"
    try:
        parts = urlsplit(row.directory)
    except ValueError:  # others may write the column
        return row.directory
    path = parts.path.rstrip("/").removesuffix("/directory").removesuffix("/dir")
    return (parts.netloc + path) or row.directory


def why(
    row: Enrolment, state: str, now: int, policy: RenewalSettings, *, faults: Sequence[str] = (), held: str = ""
) -> list[Failure]:
    """The faults of a certificate itself, and what to do; [] for one that is well. *faults*: what speaks against
    its seals. *held*: the sentence about the hold that its next attempt waits for, or ""."""
    change = row.change if row.enabled else None
    change_failure = change.failure if change is not None and change.failing else None
    if health(row, state)[1] and change_failure is None:
        return []
    found = [Failure.of(NotSealed(row.name, [Fault(fault) for fault in faults]))] if faults else []
    found += [Failure.of(Unsigned(row.name))] if state == NOT_SIGNED else []
    found += [failure for failure in (row.failure, change_failure) if failure is not None]
    told = advice(row, now, policy)
    found += [Failure(text) for text in (told, held and f"held {held}") if text]
    return found or [Failure(f"it is {state}", hint=f"`certfleet-issuer status {quote(row.name)}` tells more")]


def troubles(found: Iterable[tuple[Entry, Failure]]) -> tuple[Trouble, ...]:
    """One for each cause, those of the worst certificates first."""
    ranked = sorted(found, key=lambda pair: (pair[0].rank, pair[0].name))
    told = []
    for common in by_failure(ranked, lambda pair: (pair[0].name, pair[1])):
        names = tuple(dict.fromkeys(entry.name for entry, _ in common.all))
        label = ", ".join(dict.fromkeys(entry.state for entry, _ in common.all))
        told.append(Trouble(label, common.failure, names[:_SHOWN], len(names)))
    return tuple(told)


# the agent's own words tell more of a host that is not well
_OF_HOSTS = {state.value: fault for state, fault in FAULTS.items() if state is not HostState.NOT_WELL}


def host_troubles(hosts: Iterable[tuple[str, str, str]]) -> tuple[Trouble, ...]:
    """One for each cause, in the order in which they come. *hosts*: (what it is, how it stands, its agent's words)."""
    groups: dict[tuple[str, str], list[str]] = {}
    for host, state, said in hosts:
        groups.setdefault((state, ": ".join(filter(None, [_OF_HOSTS.get(state), said]))), []).append(host)
    return tuple(
        Trouble(state, Failure(sentence, hint=LOOK_THERE), tuple(group[:_SHOWN]), len(group), "host")
        for (state, sentence), group in groups.items()
    )


def days(entries: Iterable[Entry], now: int) -> tuple[Day, ...]:
    """The next ninety days of enabled certificates. A renewal whose moment has passed is today's."""
    today = now - now % _DAY
    renewals, ends = Counter[int](), Counter[int]()
    for entry in entries:
        if not entry.enabled:
            continue
        if entry.coming or entry.coming_words:
            renewals[max(entry.coming, now) // _DAY] += 1
        if entry.ends > now:
            ends[entry.ends // _DAY] += 1
    first = today // _DAY
    span = range(first, first + DAYS)
    most_renewals, most_ends = (max((counts[day] for day in span), default=0) for counts in (renewals, ends))
    return tuple(
        Day(day * _DAY, renewals[day], ends[day], _level(renewals[day], most_renewals), _level(ends[day], most_ends))
        for day in span
    )


def _level(count: int, most: int) -> int:
    return math.ceil(_LEVELS * count / most) if count else 0


def shares(entries: Sequence[Entry]) -> tuple[Share, ...]:
    """The CAs by how many certificates they have issued, the largest first."""
    counts = Counter(entry.ca for entry in entries)
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(Share(ca, count, count / len(entries)) for ca, count in ranked)


def states(entries: Iterable[Entry]) -> dict[str, int]:
    """How many certificates are in each state, the worst state first."""
    ranked = sorted((not entry.enabled, entry.rank[2], state_word(entry)) for entry in entries)
    return dict(Counter(state for *_, state in ranked))


def state_word(entry: Entry) -> str:
    """The state by which the list is filtered."""
    return entry.state if entry.enabled or not entry.well else "disabled"


@dataclass(frozen=True, slots=True)
class Left:
    """The rest of a certificate's life, in percent of the whole, and where in it the next attempt comes; None
    where that is not within it."""

    percent: int
    renewal: int | None


def left(entry: Entry, now: int) -> Left | None:
    """The life that is left; None without a certificate that can be read."""
    life = entry.ends - entry.starts
    if not entry.starts or life <= 0:
        return None
    percent = min(max(round(100 * (entry.ends - now) / life), 0), 100)
    coming = round(100 * (entry.ends - entry.coming) / life)
    return Left(percent, coming if entry.coming and 0 <= coming <= 100 else None)
