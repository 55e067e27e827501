"""Looking at the sockets of services until they prove something, and for a moment longer."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from agent.journey.ports import Tools, Turn
from agent.model.certificate import Service
from agent.model.errors import HostLost, InstallError
from agent.rules.evidence import Evidence, LookAt, Proof, Sight, runs, sights_of
from common.dataclasses import replace
from common.probe.view import Seen

T = TypeVar("T")
Judge = Callable[[tuple[Sight, ...]], Evidence]

_IN_VAIN = 9  # looks in a row, over six seconds, that are turned away: then no more are made
_EARLY = 4  # looks, over a second: only then is anybody asked whether a service has ended
_FINAL = frozenset({Proof.PROVEN, Proof.NOTHING_TO_ASK, Proof.UNKNOWN, Proof.PENDING})


def look(turn: Turn) -> tuple[Sight, ...]:
    """One look at every socket of the certificate, and of its neighbours; never raises."""
    (sights,) = look_at_all([turn], turn.tools)
    return sights


def look_at_all(turns: Sequence[Turn], tools: Tools) -> list[tuple[Sight, ...]]:
    """The same for several certificates, of any machines. A look that several of them want is made once."""
    wanted = [
        [
            LookAt(one.probes, one.server_name, one.key, one.host)
            for one in (turn.certificate, *turn.neighbours)
            if one.probes
        ]
        for turn in turns
    ]
    asked = list(dict.fromkeys(itertools.chain.from_iterable(wanted)))
    found = dict(zip(asked, tools.sockets.look_at_all(asked), strict=True)) if asked else {}
    return [tuple(sight for one in some for sight in found[one]) for some in wanted]


class Together:
    """Looks at the sockets of several certificates, all made together when the first is wanted. If they were made one
    after another, services that hang, or one with hundreds of certificates, would hold up the run for an hour."""

    def __init__(self, turns: Sequence[Turn]):
        self._turns = turns
        self._found: dict[str, tuple[Sight, ...]] | None = None

    def of(self, turn: Turn) -> tuple[Sight, ...]:
        """The sights of *turn* from that moment. If a fault of ours breaks the common look, one certificate fails and
        each other looks for itself. So do those of a host that is away: most of their turns end before they look."""
        if self._found is None:
            self._found = {}
            turns = [one for one in self._turns if one.tools.is_reached]
            found = _with_those_turned_away(turns, look_at_all(turns, turn.tools), turn.tools)
            self._found |= zip((one.certificate.name for one in turns), found, strict=True)
        return self._found.get(turn.certificate.name) or look(turn)


def _with_those_turned_away(
    turns: Sequence[Turn], found: list[tuple[Sight, ...]], tools: Tools
) -> list[tuple[Sight, ...]]:
    """The sights of *turns*. *found*: those of the common look. An address that showed a certificate to some and none
    to others may not take so many connections of one client: the others ask again, one after another."""
    shows = {sight.address for sights in found for sight in sights if sight.seen is Seen.SERVED}

    def is_turned_away(number: int) -> bool:
        return any(one.seen in {Seen.DOWN, Seen.NO_TLS} and one.address in shows for one in found[number])

    away, count, deadline = list(filter(is_turned_away, range(len(found)))), 0, tools.sockets.deadline(0)
    while away and count < _IN_VAIN and tools.sockets.wait(deadline, count):
        one = away.pop(0)
        found[one], count = look(turns[one]), count + 1
        if is_turned_away(one):
            away.append(one)
        else:
            count = 0
    return found


def with_first_looks(begins: "Sequence[Turn | T]") -> "list[Turn | T]":
    """*begins*, the turns among which share one `Together` for their first look."""
    together = Together([one for one in begins if isinstance(one, Turn)])
    return [replace(one, first_look=together.of) if isinstance(one, Turn) else one for one in begins]


def first_look(turn: Turn) -> tuple[Sight, ...]:
    """The sights from before the run changed anything. They decide what is due; `look` proves an install."""
    return look(turn) if turn.first_look is None else turn.first_look(turn)


def of_service(service: Service, turn: Turn, sights: Sequence[Sight]) -> list[Sight]:
    """The *sights* of sockets of *service*, the neighbours' too."""
    return [sight for one in (turn.certificate, *turn.neighbours) for sight in sights_of(service, one, sights)]


def watch(turn: Turn, judge: Judge, *, patient: bool) -> Evidence:
    """`watch_all` for one certificate."""
    return watch_all([(turn, judge)], turn.tools, patient=patient)[turn.certificate.name]


def watch_all(watched: Sequence[tuple[Turn, Judge]], tools: Tools, *, patient: bool) -> dict[str, Evidence]:
    """Look until each judge finds its proof, and all go on finding it for a moment. Returns the evidence on each
    certificate by its name.

    One look is not enough, also where it cannot say which certificate is served: nginx lets old and new workers accept
    connections side by side for a tenth of a second, and an Apache that is about to die still answers. Without
    *patient*, bad evidence is taken at the first look. A service that has ended for good is not waited for: so its
    clients get the old certificate back the sooner.

    A service may turn away a client that comes too often. While it is waited for, one certificate of each address is
    asked for, and the others when that is shown.
    """
    settle = max((service.settle for turn, _ in watched for service in turn.certificate.services), default=0)
    deadline, seen = tools.sockets.deadline(settle) if patient else 0.0, _Watched(watched, tools)
    for count in itertools.count():
        if not seen.open_ones and seen.is_steady():
            return seen.evidence
        if not tools.sockets.wait(deadline, count):
            break
        turn = count % len(seen.open_ones)  # begin with another one each time: the first may never be shown
        asked = seen.one_of_each_address(seen.open_ones[turn:] + seen.open_ones[:turn])
        seen.look_again(asked)
        if count >= _EARLY and seen.are_in_vain(asked):
            break
        if not set(asked) & set(seen.open_ones):
            seen.look_again(seen.open_ones)
    if patient:
        seen.look_again(seen.open_ones)
    return seen.evidence


class _Watched:
    """Certificates that are looked at several times, by name; the last *evidence* on each."""

    def __init__(self, watched: Sequence[tuple[Turn, Judge]], tools: Tools) -> None:
        self._watched = {turn.certificate.name: (turn, judge) for turn, judge in watched}
        self._tools = tools
        self._sights: dict[str, tuple[Sight, ...]] = {}
        self.evidence: dict[str, Evidence] = {}
        self.look_again(list(self._watched))

    def look_again(self, names: Sequence[str]) -> None:
        looks = look_at_all([self._watched[one][0] for one in names], self._tools)
        for one, sights in zip(names, looks, strict=True):
            self._sights[one], self.evidence[one] = sights, self._watched[one][1](sights)

    @property
    def open_ones(self) -> list[str]:
        """Those without their proof."""
        return [one for one, evidence in self.evidence.items() if evidence.proof not in _FINAL]

    def one_of_each_address(self, names: Iterable[str]) -> list[str]:
        """Some of *names*, which together have every address of all."""
        found, addresses = list[str](), set[str]()
        for one in names:
            its = {sight.address for sight in self._sights[one]}
            if not its <= addresses:
                addresses |= its
                found.append(one)
        return found

    def is_steady(self) -> bool:
        """Do all go on showing theirs? One certificate of each address is looked at several times in a row; where one
        fails, all are. For a certificate that cannot be asked for, the looks prove that its service still listens."""
        end, some = self._tools.sockets.steady_until(), self.one_of_each_address(self._watched)
        count = itertools.count()
        while some and self._tools.sockets.wait(end, next(count)):
            self.look_again(some)
            if self.open_ones:
                self.look_again([one for one in self._watched if one not in some])
                return False
        return True

    def are_in_vain(self, names: Sequence[str]) -> bool:
        """Are all of *names* waited for at sockets of services that have ended?"""
        return bool(names) and all(self._is_in_vain(*self._watched[one], self._sights[one]) for one in names)

    def _is_in_vain(self, turn: Turn, judge: Judge, sights: Sequence[Sight]) -> bool:
        each = [(service, of_service(service, turn, sights)) for service in turn.certificate.services]
        over = [
            one for service, its in each if its and not runs(its) and _has_ended(service, self._tools) for one in its
        ]
        others = tuple(one for one in sights if one not in over)
        return bool(over) and (not others or judge(others).proof in _FINAL)


def _has_ended(service: Service, tools: Tools) -> bool:
    if not service.has_ended:
        return False
    try:
        tools.programs.run("ask whether it has ended", service.has_ended)
    except (InstallError, HostLost):
        return False
    return True
