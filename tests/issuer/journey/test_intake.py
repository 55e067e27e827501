"""What the daemon begins next, in a world in memory."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from issuer.loops.backlog import Backlog
from issuer.loops.intake import MOST_IN_HAND, NOT_OURS_SECONDS, Generation, take_in
from issuer.model.seal_faults import Fault
from issuer.model.survey import DueRow, Survey
from tests.issuer.fakes.world import NAME, Process, World


class Queries:
    """The due rows of the world; those of nobody come first."""

    def __init__(self, process: Process) -> None:
        self.process = process

    def require_tables(self) -> None:
        """They are ours."""

    def left_over(self, _now: int) -> list[DueRow]:
        return []

    def due(self, now: int, most: int) -> list[DueRow]:
        rows = sorted(self.process.tools.certificates.due(now), key=lambda row: row.name == NAME)
        return [DueRow(row.name, row.due_at, row.failures, row.reissue_reason) for row in rows[:most]]

    def survey(self, now: int, *, stuck_after: int, most: int, besides: Sequence[str] = ()) -> Survey:
        raise AssertionError("nobody counts here")


def generation(process: Process) -> Generation:
    unused: Any = None
    tools, queries = process.tools, Queries(process)
    return Generation(tools.settings, tools, unused, queries, unused, unused, unused, unused, {})


def test_rows_that_nobody_enrolled_take_no_room() -> None:
    """A certificate that is due is begun at the first look, however many there are; and what is due waits for room."""
    world, backlog = World(), Backlog()
    world.enrol()
    strangers = [f"n{number}.example.test" for number in range(3 * MOST_IN_HAND)]
    for name in strangers:
        world.tables.certs[name] = dataclasses.replace(world.row(), name=name)
        world.seals.broken[name] = [Fault.NONE]
    here = generation(world.process())
    assert [row.name for row, _ in take_in(here, set(), backlog).rows] == [NAME]
    assert len(backlog) == len(strangers)
    world.seals.broken.clear()
    world.clock.moment += NOT_OURS_SECONDS
    assert len(take_in(here, {NAME}, backlog).rows) == MOST_IN_HAND - 1


def test_a_wish_for_all_leaves_room_for_what_our_own_memory_looks_at() -> None:
    """A certificate whose moment somebody has put off in the database is begun beside them."""
    world, backlog = World(), Backlog()
    world.enrol()
    here = world.process()
    for number in range(2 * MOST_IN_HAND):
        name = f"n{number}.example.test"
        world.tables.certs[name] = dataclasses.replace(world.row(), name=name, reissue_reason="all")
    later = int(world.clock()) + 30 * 86400
    world.change(due_at=later, ts_expire=later, reissue_reason="revoked")
    here.tools.looks.plan(NAME, int(world.clock()), 0)
    begun = [row.name for row, _ in take_in(generation(here), set(), backlog).rows]
    assert len(begun) == MOST_IN_HAND
    assert NAME in begun
