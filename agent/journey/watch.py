"""Looking at the sockets of services until they prove something, and for a moment longer."""

import itertools
from collections.abc import Callable, Sequence
from typing import TypeVar

from agent.journey.ports import Tools, Turn
from agent.model.certificate import Service
from agent.model.errors import HostLost, InstallError
from agent.rules.evidence import Evidence, LookAt, Proof, Sight, runs, sights_of
from common.dataclasses import replace

T = TypeVar("T")
Judge = Callable[[tuple[Sight, ...]], Evidence]

_RARELY = 10  # looks, a second or more, between two questions whether a service has ended
_FINAL = frozenset({Proof.PROVEN, Proof.NOTHING_TO_ASK, Proof.UNKNOWN, Proof.PENDING})


def look(turn: Turn) -> tuple[Sight, ...]:
    """One look at every socket of the certificate, and of its neighbours; never raises."""
    (sights,) = look_at_all([turn], turn.tools)
    return sights


def look_at_all(turns: Sequence[Turn], tools: Tools) -> list[tuple[Sight, ...]]:
    """The same for several certificates, of whatever machines; what several want is looked at once."""
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
    """Looks at the sockets of several certificates. All are made at once, when the first is wanted: one after another,
    services that hang, or one with hundreds of certificates, would hold up the run for an hour."""

    def __init__(self, turns: Sequence[Turn]):
        self._turns = turns
        self._found: dict[str, tuple[Sight, ...]] | None = None

    def of(self, turn: Turn) -> tuple[Sight, ...]:
        """The sights of *turn* from that moment. A fault of ours in the common look fails one certificate; the others
        look for themselves, as do those of a host that is away: most of their turns end before that."""
        if self._found is None:
            self._found = {}
            turns = [one for one in self._turns if one.tools.is_reached]
            self._found |= zip((one.certificate.name for one in turns), look_at_all(turns, turn.tools), strict=True)
        return self._found.get(turn.certificate.name) or look(turn)


def with_first_looks(begins: "Sequence[Turn | T]") -> "list[Turn | T]":
    """The turns among *begins* look `Together`."""
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
    connections side by side for a tenth of a second, and an Apache that is about to die still answers. Not *patient*:
    take the first evidence, also if it is bad. Nor is a service waited for that has ended for good: then its clients
    get the old one the sooner.
    """
    settle = max((service.settle for turn, _ in watched for service in turn.certificate.services), default=0)
    deadline, count = tools.sockets.deadline(settle) if patient else 0.0, itertools.count(1)
    while True:
        found = _steady(watched, tools)
        open_ones = [one for one in watched if found[one[0].certificate.name].proof not in _FINAL]
        if not open_ones or not tools.sockets.wait(deadline):
            return found
        if next(count) % _RARELY == 0 and all(_is_in_vain(*one, tools) for one in open_ones):
            return found


def _steady(watched: Sequence[tuple[Turn, Judge]], tools: Tools) -> dict[str, Evidence]:
    """Look several times in a row. The evidence is final only if each look finds it so; else it is that of the first
    look that does not. Of a certificate that cannot be asked for the looks prove that its service still listens."""
    end = tools.sockets.steady_until()
    while True:
        sights = look_at_all([turn for turn, _ in watched], tools)
        found = {turn.certificate.name: judge(seen) for (turn, judge), seen in zip(watched, sights, strict=True)}
        if any(one.proof not in _FINAL for one in found.values()) or not any(sights) or not tools.sockets.wait(end):
            return found


def _is_in_vain(turn: Turn, judge: Judge, tools: Tools) -> bool:
    """Is all that is waited for on sockets of services that have ended?"""
    sights = look(turn)
    each = [(service, of_service(service, turn, sights)) for service in turn.certificate.services]
    over = [one for service, its in each if its and not runs(its) and _has_ended(service, tools) for one in its]
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
