"""What the daemon takes in hand next: certificates that are due, and orders that a stop or a crash left under way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from issuer.journey.begin import left_alone
from issuer.journey.ports import Tools
from issuer.loops.backlog import Patience
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment
from issuer.model.survey import Mark, Survey
from issuer.notify.outbox import Desk
from issuer.rules.due import urgency

MOST_IN_HAND = 1000  # certificates; the rest stays in the database until there is room
NOT_OURS_SECONDS = 60  # for which a certificate is left alone that is not due after all, or in other hands


class Lookout(Protocol):
    def require_tables(self) -> None: ...
    def due(self, now: int, most: int) -> list[Mark]: ...
    def left_over(self, now: int) -> list[Mark]: ...
    def survey(self, now: int, *, stuck_after: int, most: int) -> Survey: ...


@dataclass(slots=True)
class World:
    """Everything that one reading of the configuration makes."""

    settings: Settings
    tools: Tools
    desk: Desk
    lookout: Lookout
    close: Callable[[], None]
    in_hand: int = 0  # attempts that were begun with it


@dataclass(frozen=True, slots=True)
class Found:
    """Rows to begin, the most urgent first, each with the mark by which its changes are noticed, and the world that
    they were read in."""

    world: World
    rows: Sequence[tuple[Enrolment, Mark]]


def look_around(world: World, in_hand: set[str], patience: Patience) -> Found:
    """Which certificates are to be begun now. Raises CertfleetError."""
    world.lookout.require_tables()
    now = int(world.tools.clock())
    room = max(0, MOST_IN_HAND - len(in_hand))
    left_over = {mark.name: mark for mark in world.lookout.left_over(now)}
    due = world.lookout.due(now, len(in_hand) + len(patience) + room)
    marks = left_over | {mark.name: mark for mark in due}
    wanted = [mark for mark in patience.wanted(marks.values(), now) if mark.name not in in_hand][:room]
    rows = {row.name: row for row in world.tools.certificates.enrolled([mark.name for mark in wanted])}
    found = []
    for mark in wanted:
        row = rows.get(mark.name)
        if row is None:  # removed since
            continue
        if left_alone(row, world.tools, resumes=row.name in left_over) is None:
            found.append((row, mark))
        else:
            patience.leave(mark, now + NOT_OURS_SECONDS)
    return Found(world, sorted(found, key=lambda pair: urgency(pair[0], now)))
