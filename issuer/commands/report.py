"""report --html: the page to look at, as files. The daemon shows the same page."""

import argparse
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import VERSION
from common.command_line import say
from common.config_file import load
from common.errors import UsageError
from common.files import make_folder, write_atomic
from common.folders import open_folder
from common.replacing import file_errors
from common.terminal import PROGRESS
from common.text import storable
from issuer.commands.looks import Look, View, Wanted, counted
from issuer.commands.schedule import slow_schedule
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment
from issuer.model.failure import Failure
from issuer.model.hosts import HostState, Standing
from issuer.model.leaf import Leaf
from issuer.model.page import Choice, Entry, Happening, HostLine, Overview
from issuer.page.render import Renderer
from issuer.rules import page as rules
from issuer.rules.hosts import words, worst_first
from issuer.rules.listing import INDEX, OURS, Files, pages, selected
from issuer.store.database import Database
from issuer.store.history import History
from issuer.store.overview import Overview as Beside
from issuer.store.revision import open_database

_MOST_NAMES, _MOST_HOSTS, _MOST_SENTENCES = 20, 5, 5  # of one certificate
_MOST_TOLD, _MOST_EVENTS = 30, 60
_LONGEST_SENTENCE = 1000  # characters
_LONGEST = 80  # characters of a host's name
_NO_NEWS = ("sealed", "change sealed")  # of every row at once after `adopt --all`
_FAILED = ("failed", "change failed", "failed by hand")


def report(arguments: argparse.Namespace) -> None:
    """Write the page into a folder."""
    if not arguments.html:
        raise UsageError("nothing says where to", hint="give --html DIR")
    folder = Path(arguments.html)
    if not os.path.isdir(folder.parent):
        raise UsageError(f"there is no folder {folder.parent} to make {folder.name} in", hint="make it, or mend --html")
    overview = gather(load(Settings, arguments.config), watch=counted)
    count = write_pages(overview, folder)
    bad = sum(not entry.well for entry in overview.entries)
    files = "1 file" if count == 1 else f"{count} files"
    if not arguments.quiet:
        say(f"{folder / INDEX}: {len(overview.entries)} certificates, {bad} not well; {files}")


Looks = Iterable[tuple[Enrolment, Look]]


def gather(
    settings: Settings, propagation: Mapping[str, float] | None = None, *, watch: Callable[[Looks], Looks] = iter
) -> Overview:
    """Everything that the page shows, from the looks of `status`, which *watch* passes on. Raises CertfleetError."""
    with closing(open_database(settings.database)) as database:
        return _Gathering(settings, database, int(time.time())).overview(propagation, watch)


class _Gathering:
    def __init__(self, settings: Settings, database: Database, now: int):
        self._settings, self._database, self._now = settings, database, now
        self._view = View(settings, database, now, Wanted())
        self._comments = Beside(database).comments()
        self._not_well: list[Standing] = []  # hosts
        self._hosts_bad: Counter[str] = Counter()
        self._found: list[tuple[Entry, Failure]] = []

    def overview(self, propagation: Mapping[str, float] | None, watch: Callable[[Looks], Looks]) -> Overview:
        """Everything that the page shows. *propagation*: seconds by name server, None without a measurement; *watch*
        passes the looks on."""
        entries = tuple(self._entry(row, look) for row, look in watch(self._view.looks()))
        notes = self._view.notes()
        slow = slow_schedule(self._settings, self._database, self._now)
        hosts = self._view.standings.listed(self._not_well)
        lines = [(f"{_host(one['host'])} ({one['name']})", one["standing"], _said(one)) for one in hosts["hosts"]]
        troubles, hosts_told = rules.troubles(self._found), rules.host_troubles(lines)
        more = hosts["more"] + sum(trouble.count for trouble in hosts_told[_MOST_TOLD:])
        if more:
            notes.append(f"{more} more hosts are not well; `certfleet-issuer status --hosts` lists them")
        if len(troubles) > _MOST_TOLD:
            notes.append(f"the first {_MOST_TOLD} of {len(troubles)} different failures are told here")
        return Overview(
            at=self._now,
            machine=socket.gethostname(),
            version=VERSION,
            entries=entries,
            troubles=(*troubles[:_MOST_TOLD], *hosts_told[:_MOST_TOLD]),
            notes=(*notes, *([slow] if slow else [])),
            hosts_bad={state.value: self._hosts_bad[state.value] for state in HostState if not state.is_well},
            days=rules.days(entries, self._now),
            shares=rules.shares(entries),
            history=tuple(self._history()),
            propagation=propagation,
        )

    def _history(self) -> Iterator[Happening]:
        for name, event in History(self._database).newest(_MOST_EVENTS, besides=_NO_NEWS):
            detail = storable(event.detail, _LONGEST_SENTENCE)
            yield Happening(event.at, name, event.event, detail, event.event in _FAILED)

    def _entry(self, row: Enrolment, look: Look) -> Entry:
        fact, settings = look.fact, self._settings
        standings = self._view.standings.of(row)
        self._not_well += [one for one in standings if one.bad]
        self._hosts_bad.update(fact["hosts"])
        held = self._view.held_up.sentence(look.hold) if look.hold is not None else ""
        causes = rules.why(row, look.state, self._now, settings.renewal, faults=fact["not_sealed"], held=held)
        starts, ends = row.life or (0, 0)
        leaf = row.present if isinstance(row.present, Leaf) else None
        names = sorted(leaf.names) if leaf is not None else []
        entry = Entry(
            name=row.name,
            rank=look.rank,
            state=look.state,
            words=fact["state"],
            well=fact["well"],
            ca=rules.ca_label(row),
            issuer=leaf.issuer if leaf is not None else "",
            comment=storable(self._comments.get(row.name, ""), _LONGEST_SENTENCE),
            starts=starts,
            ends=ends and row.ends,
            coming=look.coming,
            coming_words=f"by hand until {fact['next']}" if fact["by_hand"] else fact["next_attempt"] or "",
            names=tuple(names[:_MOST_NAMES]),
            names_count=len(names),
            hosts=tuple(
                HostLine(_host(one.report.host), words(one, self._now), not one.bad)
                for one in worst_first(standings)[:_MOST_HOSTS]
            ),
            hosts_count=len(standings),
            hosts_bad=fact["hosts_not_well"],
            told=tuple(storable(cause.sentence, _LONGEST_SENTENCE) for cause in causes[:_MOST_SENTENCES]),
            enabled=row.enabled,
        )
        self._found += [(entry, cause) for cause in causes]
        return entry


def _said(fact: Mapping[str, Any]) -> str:
    """Its agent's own words about a host that is not well."""
    own = fact["words"] if fact["standing"] == HostState.NOT_WELL.value else fact["detail"] or ""
    return storable(own, _LONGEST_SENTENCE)


def _host(name: str) -> str:
    return storable(name, _LONGEST)


def write_pages(overview: Overview, folder: Path) -> int:
    """Write every page into *folder*, which is made if need be; how many files that are. The overview comes last, and
    files of an earlier page go after it: a reader's link never leads nowhere. Raises FileError."""
    make_folder(folder)
    links = Files(overview, rules.states(overview.entries))
    renderer, written, parts = Renderer(overview, links), {INDEX}, links.parts()
    for done, part in enumerate(parts):
        PROGRESS.tell(f"{done} of {len(parts)} parts of the list written")
        found = selected(overview.entries, part)
        for number in range(1, pages(len(found)) + 1):
            choice = replace(part, page=number)
            name = links.href(choice) or INDEX
            if name != INDEX:
                write_atomic(folder / name, renderer.page(choice, found))
                written.add(name)
    whole = Choice()
    write_atomic(folder / INDEX, renderer.page(whole, selected(overview.entries, whole)))
    with file_errors(folder, "tidy"), open_folder(folder) as opened:
        for name in opened.names():
            if OURS.fullmatch(name) and name not in written:
                opened.remove(name)
    return len(written)
