"""Choose what the daemon begins next: certificates that are due, and orders that a stop or a crash left under way."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from common.chunks import chunks, in_turn
from common.stamps import Stamp
from issuer.journey.looks import left_alone, planned_looks
from issuer.journey.ports import Tools
from issuer.journey.sealed import is_sealed
from issuer.loops.backlog import Backlog
from issuer.loops.hosts import HostStore
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment
from issuer.model.events import Event
from issuer.model.hosts import Standing
from issuer.model.strangers import RowsFound
from issuer.model.survey import DueRow, Survey
from issuer.rules.due import urgency

MOST_IN_HAND = 1000  # certificates at work or waiting; the rest stays in the database until there is room
NOT_OURS_SECONDS = 60  # for which a certificate is deferred that is not due after all, or under another issuer's lease
_PORTION = 100  # rows that are in memory together
_ROUNDS = 20  # each asks for twice as many rows; no table has more, and SQLite takes no number from 2**63 on


class DueQueries(Protocol):
    """Cheap questions to the database, asked every few seconds. Every method raises StoreError."""

    def require_tables(self) -> None:
        """Raises OtherRevision where the tables are those of another version."""

    def due(self, now: int, most: int) -> list[DueRow]:
        """Enabled certificates whose moment has come or cannot be meant, at most *most* of each kind, and the kinds in
        turn."""

    def left_over(self, now: int) -> list[DueRow]:
        """Certificates whose order is under way without a lease of another issuer and without a person."""

    def survey(self, now: int, *, stuck_after: int, most: int, besides: Sequence[str] = ()) -> Survey:
        """Counts of all rows, and the *most* certificates that expire first. *besides*: names that may expire sooner
        than the table says."""


class Outbox(Protocol):
    """Where the daemon tells events, and what it does about mail. Thread-safe."""

    def tell_rows(self, found: RowsFound) -> None:
        """Tell what is new about rows that are not as they should be: these and no others. Never raises
        CertfleetError."""

    def tell_hosts(self, names: Collection[str], standings: Collection[Standing]) -> None:
        """Tell what is new about the hosts of *names*; each standing with whether it is bad. Never raises
        CertfleetError."""

    def tell(self, event: Event) -> None:
        """Note an event in memory. Never raises."""

    def note(self, event: Event) -> None:
        """Note an event and write it down at once. Never raises."""

    def settle(self) -> bool:
        """Write down the noted events; False where the database did not take them."""

    def mail_due(self) -> bool:
        """Is it time for a mail? Raises StoreError."""

    def deliver(self) -> None:
        """Send one mail with all events that no mail has carried. Never raises CertfleetError."""

    def take_over(self, other: Self) -> None:
        """Go on where *other* stops, after the configuration was read again."""


@dataclass(slots=True)
class Generation:
    """One reading of the configuration and everything that was built from it. *close* gives its connections back.
    *audit* audits the certificates whose moment has come, *look_at_rows* finds the rows that are not as they should be.
    *stamps*: those of its files from before they were
    read."""

    settings: Settings
    tools: Tools
    outbox: Outbox
    queries: DueQueries
    hosts: HostStore
    audit: Callable[[], None]
    look_at_rows: Callable[[], RowsFound]
    close: Callable[[], None]
    stamps: Mapping[Path, Stamp | None]
    attempts: int = 0  # that were begun with it and have not ended


@dataclass(frozen=True, slots=True)
class Intake:
    """Certificates to begin, the most urgent first, and the generation that read them. A DueRow shows later whether
    the row has changed."""

    generation: Generation
    rows: Sequence[tuple[Enrolment, DueRow]]


def take_in(generation: Generation, in_hand: set[str], backlog: Backlog) -> Intake:
    """The certificates to begin now, without those *in_hand*. Rows that are not as they were enrolled take no room:
    there may be any number of them. Raises CertfleetError."""
    queries, tools = generation.queries, generation.tools
    queries.require_tables()
    now = int(tools.clock())
    room = max(0, MOST_IN_HAND - len(in_hand))
    most = len(in_hand) + len(backlog) + room
    left_over = {row.name: row for row in queries.left_over(now)}
    found: dict[str, tuple[Enrolment, DueRow]] = {}
    for doublings in range(_ROUNDS):
        if len(found) == room:
            break
        due = {row.name: row for row in queries.due(now, most << doublings)}
        planned = planned_looks(tools.looks, tools.certificates, left_over | due, now)
        found_here = {row.name: DueRow(row.name, row.due_at, row.failures, row.reissue_reason) for row in planned}
        candidates = left_over | {row.name: row for row in in_turn(due.values(), found_here.values())}
        taken = in_hand | found.keys()
        wanted = [row for row in backlog.ready(candidates.values(), now) if row.name not in taken]
        if not wanted:
            break
        for row, enrolment in _read(wanted, tools):
            if enrolment is not None and _is_to_begin(enrolment, tools, resumes=row.name in left_over):
                found[row.name] = enrolment, row
            else:  # not due, not as enrolled, or removed since
                backlog.defer(row, now + NOT_OURS_SECONDS, now)
            if len(found) == room:  # a look at one more would put off its next look
                break
    return Intake(generation, sorted(found.values(), key=lambda pair: urgency(pair[0], now)))


def _read(rows: Sequence[DueRow], tools: Tools) -> Iterator[tuple[DueRow, Enrolment | None]]:
    """*rows*, each with what is enrolled now; few are in memory together."""
    for portion in chunks(rows, _PORTION):
        enrolled = {row.name: row for row in tools.certificates.enrolled([row.name for row in portion])}
        yield from ((row, enrolled.get(row.name)) for row in portion)


def _is_to_begin(row: Enrolment, tools: Tools, *, resumes: bool) -> bool:
    return is_sealed(row, tools) and left_alone(row, tools, resumes=resumes) is None
