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


class Asked(Queries):
    """Notes how many rows each question is for, as a database that takes no larger number than its own."""

    def __init__(self, process: Process) -> None:
        super().__init__(process)
        self.numbers: list[int] = []

    def due(self, now: int, most: int) -> list[DueRow]:
        assert most < 2**63
        self.numbers.append(most)
        return super().due(now, most)


def test_little_room_takes_no_question_after_the_other() -> None:
    """Rows that take no room are judged many at once, however few certificates can be begun; what is left waits."""
    world, backlog = World(), Backlog()
    world.enrol()
    for number in range(550):
        name = f"n{number}.example.test"
        world.tables.certs[name] = dataclasses.replace(world.row(), name=name)
        world.seals.broken[name] = [Fault.NONE]
    here = generation(world.process())
    here.queries = asked = Asked(world.process())
    in_hand = {f"at-work{number}.test" for number in range(MOST_IN_HAND - 10)}
    assert [row.name for row, _ in take_in(here, in_hand, backlog).rows] == [NAME]
    assert len(asked.numbers) < 4
    world.seals.broken.clear()
    world.clock.moment += NOT_OURS_SECONDS
    assert len(take_in(here, in_hand, backlog).rows) == 10


class Restless(Queries):
    """One row, for which somebody asks anew at every question."""

    asked = 0

    def due(self, _now: int, _most: int) -> list[DueRow]:
        self.asked += 1
        return [DueRow(NAME, None, 0, f"wish {self.asked}")]


def test_a_row_that_never_rests_keeps_nobody() -> None:
    """It is left alone after some looks, and the next time comes."""
    world, backlog = World(), Backlog()
    world.enrol()
    world.seals.broken[NAME] = [Fault.NONE]
    here = generation(world.process())
    here.queries = asked = Restless(world.process())
    assert take_in(here, set(), backlog).rows == []
    assert asked.asked < 100
