"""How many checks it takes to leave bad certificates out of a service: a table over every place, without a host."""

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.journey.leave_out import leave_out
from agent.journey.member import Member
from agent.journey.ports import Turn
from agent.model.certificate import Certificate, Command, Service
from agent.model.errors import BrokenBefore, InstallError
from agent.model.result import Result
from agent.rules.journal import SavedFile

WEB = Service("web", (("check",),))


class Tools:
    """A service's own check over files with numbers: it fails while one of the *bad* ones is new, and *names* the first
    of these, or none. Where it was *broken* before, it fails always."""

    def __init__(self, count: int, bad: Sequence[int], *, names: bool = False, broken: bool = False) -> None:
        self.files = self.programs = self
        self.certificates = ()
        self.new, self.checks = set(range(count)), 0
        self._bad, self._names, self._broken = bad, names, broken

    def run(self, _step: str, _commands: Sequence[Command]) -> None:
        self.checks += 1
        failing = [number for number in self._bad if number in self.new]
        if failing or self._broken:
            raise InstallError("check", f"cannot load /{failing[0]}" if self._names and failing else "it fails")

    def replace(self, contents: Mapping[Path, object]) -> None:
        self.new |= {int(path.name) for path in contents}

    def restore(self, old: Mapping[Path, object]) -> None:
        self.new -= {int(path.name) for path in old}


def members(count: int) -> list[Member]:
    """So many, of which each has one file."""
    found = []
    for number in range(count):
        path, certificate = Path(f"/{number}"), Certificate(str(number), frozenset(), Path("/key"))
        here: Any = None
        due: Any = SimpleNamespace(name=str(number), turn=Turn(certificate, Result(str(number)), here))
        planned: Any = {path: SimpleNamespace(new=None)}
        found.append(Member(due, planned, saved=(SavedFile(path, "new"),)))
    return found


def left_out(users: Sequence[Member], tools: Any) -> dict[str, InstallError]:
    left = leave_out(WEB, users, tools)
    assert tools.new == set(range(len(users))) - set(map(int, left))
    return left


@pytest.mark.sampled
@pytest.mark.parametrize("count", range(1, 17))
@pytest.mark.parametrize("names", [True, False])
def test_checks_for_up_to_three_bad_ones(count: int, names: bool) -> None:
    """Wherever they are. Each that the check names costs one check; each other one halving, and one of the rest."""
    halving, users = math.ceil(math.log2(count)), members(count)
    for bad in itertools.chain.from_iterable(itertools.combinations(range(count), some) for some in range(4)):
        tools = Tools(count, bad, names=names)
        assert set(left_out(users, tools)) == set(map(str, bad))
        without_any = len(bad) > 1 and bad[0] == 0
        most = 1 + len(bad) if names else 1 + len(bad) * (halving + 1) + without_any
        assert tools.checks <= most, bad


@pytest.mark.parametrize("count", [1, 2, 16])
def test_a_check_that_failed_before(count: int) -> None:
    """Nobody is at fault, and it costs hardly more checks than one bad certificate."""
    tools = Tools(count, [], broken=True)
    assert {type(one) for one in left_out(members(count), tools).values()} == {BrokenBefore}
    assert tools.checks <= math.ceil(math.log2(count)) + 3
