"""The list of certificates in parts: filtered, sorted, cut into pages, and the ways from one part to another. Pure."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlencode

from issuer.model.page import ATTENTION, Choice, Entry, Overview, Sort
from issuer.rules.page import state_word

PER_PAGE = 100
_MOST_JUMPS = 40  # links to pages by their first name
_FAR = 2**62  # a moment after every other one


def selected(entries: Sequence[Entry], choice: Choice) -> list[Entry]:
    """The *entries* that are asked for, of all pages, in their order. A search finds a part of the name, of another
    name of the certificate, of its comment, its issuer, or of a host."""
    wanted = choice.search.strip().lower()
    found = [
        entry
        for entry in entries
        if (not choice.ca or entry.ca == choice.ca)
        and (not choice.state or _is_in(entry, choice.state))
        and (not wanted or _has(entry, wanted))
    ]
    return sorted(found, key=lambda entry: _key(entry, choice.sort))


def pages(count: int) -> int:
    """How many pages so many certificates fill."""
    return max(1, math.ceil(count / PER_PAGE))


def page(found: Sequence[Entry], number: int) -> Sequence[Entry]:
    """The certificates of one page; the last one where *number* is beyond it."""
    at = min(max(number, 1), pages(len(found)))
    return found[(at - 1) * PER_PAGE : at * PER_PAGE]


def _is_in(entry: Entry, state: str) -> bool:
    return not entry.well if state == ATTENTION else state_word(entry) == state


def _has(entry: Entry, wanted: str) -> bool:
    texts = (entry.name, *entry.names, entry.comment, entry.issuer, *(host.host for host in entry.hosts))
    return any(wanted in text.lower() for text in texts)


def _key(entry: Entry, sort: Sort) -> tuple[object, ...]:
    ends = entry.ends or _FAR
    if sort is Sort.NAME:
        return entry.name.removeprefix("*.").lower(), entry.name
    if sort is Sort.END:
        return ends, entry.name
    if sort is Sort.NEXT:
        return not (entry.coming or entry.coming_words), entry.coming, entry.name
    return entry.rank[:3], ends, entry.name


@dataclass(frozen=True, slots=True)
class Link:
    """A way to another part of the list. *count*: of its certificates; *href*: "" where it is not on offer."""

    label: str
    href: str
    count: int | None = None
    is_current: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """The list as one page shows it. *is_whole*: with all the rest of the overview. *first*: the number of its first
    certificate."""

    count: int
    first: int
    number: int
    pages: int
    is_whole: bool
    states: tuple[Link, ...]
    authorities: tuple[Link, ...]
    sorts: tuple[Link, ...]
    previous: str
    following: str
    jumps: tuple[Link, ...]
    top: str


Href = Callable[[Choice], str | None]
_SORTS = {Sort.WORST: "worst first", Sort.NAME: "name", Sort.END: "end", Sort.NEXT: "next renewal"}


def listing(
    overview: Overview, choice: Choice, found: Sequence[Entry], counts: Mapping[str, int], href: Href
) -> Listing:
    """The list of *choice*, whose certificates are *found*, with the ways to others. *counts*: of every state."""

    def to(label: str, count: int | None = None, **change: Any) -> Link:
        wanted = replace(choice, page=1, **change)
        where = href(wanted) or href(Choice(**change)) or ""
        return Link(label, where, count, all(getattr(choice, key) == value for key, value in change.items()))

    last = pages(len(found))
    number = min(max(choice.page, 1), last)
    bad = sum(not entry.well for entry in overview.entries)
    every = len(overview.entries)
    jumps: tuple[Link, ...] = ()
    if choice.sort is Sort.NAME and last > 1:
        step = math.ceil(last / _MOST_JUMPS)
        jumps = tuple(
            Link(page(found, at)[0].name, href(replace(choice, page=at)) or "", is_current=at <= number < at + step)
            for at in range(1, last + 1, step)
        )
    return Listing(
        count=len(found),
        first=(number - 1) * PER_PAGE + 1,
        number=number,
        pages=last,
        is_whole=choice == Choice(),
        states=(
            to("all", every, state=""),
            to("needs attention", bad, state=ATTENTION),
            *(to(state, count, state=state) for state, count in counts.items()),
        ),
        authorities=(to("all", every, ca=""), *(to(share.ca, share.count, ca=share.ca) for share in overview.shares)),
        sorts=tuple(to(label, sort=sort) for sort, label in _SORTS.items()),
        previous=(href(replace(choice, page=number - 1)) or "") if number > 1 else "",
        following=(href(replace(choice, page=number + 1)) or "") if number < last else "",
        jumps=jumps,
        top=href(Choice()) or "",
    )


INDEX = "index.html"
OURS = re.compile(r"certfleet-[a-z0-9-]+\.html")
"""The names of the files beside INDEX, so that those of an earlier page can be told from others' files."""


class Files:
    """The parts as files: each order of the whole list, and each CA and each state with the worst first. A state that
    most certificates are in has none: a large fleet would be written once more for it."""

    searches = False

    def __init__(self, overview: Overview, counts: Mapping[str, int]):
        few = [state for state, count in counts.items() if 2 * count <= len(overview.entries)]
        self._states = {state: re.sub("[^a-z0-9]+", "-", state.lower()).strip("-") for state in (ATTENTION, *few)}
        self._authorities = {share.ca: f"ca-{number}" for number, share in enumerate(overview.shares, 1)}

    def href(self, choice: Choice) -> str | None:
        """The name of the file; None where there is none."""
        filters = [bool(choice.state), bool(choice.ca), choice.sort is not Sort.WORST]
        if choice.search or sum(filters) > 1 or choice.state not in ("", *self._states):
            return None
        if choice == Choice():
            return INDEX
        if choice.state:
            part = f"state-{self._states[choice.state]}"
        elif choice.ca:
            part = self._authorities[choice.ca]
        else:
            part = f"by-{choice.sort.value}"
        return f"certfleet-{part}-{choice.page}.html"

    def parts(self) -> list[Choice]:
        """The first page of every part."""
        whole = [Choice(sort=sort) for sort in Sort]
        return [*whole, *(Choice(state=state) for state in self._states), *(Choice(ca=ca) for ca in self._authorities)]


class Queries:
    """The parts as answers of the daemon, which has each of them."""

    searches = True

    def href(self, choice: Choice) -> str:
        """The path with a query."""
        said = {"state": choice.state, "ca": choice.ca, "search": choice.search}
        said |= {"sort": "" if choice.sort is Sort.WORST else choice.sort.value}
        said |= {"page": "" if choice.page == 1 else str(choice.page)}
        query = urlencode({key: value for key, value in said.items() if value})
        return f"/?{query}" if query else "/"


_LONGEST_WORD, _MOST_FIELDS = 200, 10


def choice_of(query: str) -> Choice:
    """The choice in the query of an address; what cannot be meant is left out."""
    try:
        fields = parse_qs(query, max_num_fields=_MOST_FIELDS, errors="replace")
    except ValueError:  # more fields than any link of ours has
        return Choice()
    said = {key: values[-1][:_LONGEST_WORD] for key, values in fields.items()}
    number = said.get("page", "")
    return Choice(
        state=said.get("state", ""),
        ca=said.get("ca", ""),
        search=said.get("search", ""),
        sort=next((sort for sort in Sort if sort.value == said.get("sort")), Sort.WORST),
        page=max(1, int(number)) if number.isdecimal() and len(number) < 8 else 1,
    )
