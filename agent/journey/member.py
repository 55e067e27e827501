"""The certificates of one install, and the services that they concern."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from functools import partial
from pathlib import Path

from agent.journey.due import Due
from agent.journey.ports import Tools, Turn
from agent.journey.watch import Judge, look_at_all
from agent.model.certificate import Certificate, Service
from agent.model.errors import HostLost, InstallError
from agent.model.live_file import Planned
from agent.rules.evidence import Sight, judge, runs, sights_of, with_neighbours
from agent.rules.journal import Part, SavedFile
from agent.rules.neighbours import neighbours
from common.dataclasses import dataclass, replace
from common.errors import CertfleetError


@dataclass(slots=True)
class Member:
    """A certificate that is due, in an install."""

    due: Due
    planned: dict[Path, Planned]  # its live files, by their real paths
    losing: tuple[str, ...] = ()  # to be said of its files
    refused_by: tuple[str, ...] = ()  # to be said of checks that held nothing back
    doubt: str = ""  # to be said if it fails
    committed: bool = True  # the journal says that it stays
    saved: tuple[SavedFile, ...] = ()  # which copy is of which file
    before: tuple[Sight, ...] = ()  # what its sockets showed when the install began
    neighbours: tuple[Certificate, ...] = ()
    beside: tuple[Sight, ...] = ()  # what was at the sockets of its neighbours then

    @property
    def name(self) -> str:
        return self.due.name

    @property
    def turn(self) -> Turn:
        return replace(self.due.turn, neighbours=self.neighbours)

    @property
    def certificate(self) -> Certificate:
        return self.due.turn.certificate

    @property
    def is_first(self) -> bool:
        """Is one of its files new? A service whose configuration names that file misses it before the install."""
        return any(not file.backup for file in self.saved)

    @property
    def paths(self) -> tuple[str, ...]:
        """Its files, as its service may name them."""
        return (*map(str, self.planned), *(str(file.path) for file in self.certificate.files))

    @property
    def texts(self) -> tuple[str, ...]:
        """`paths` and its key: nginx names the key where the two do not fit."""
        return (*self.paths, str(self.certificate.key))

    @property
    def part(self) -> Part:
        """The entry of this certificate in the journal."""
        return Part(self.name, self.due.sha256, self.saved, self.before)


def services_of(members: Iterable[Member]) -> dict[Service, list[Member]]:
    """Every service that *members* concern, with the members that concern it."""
    found: dict[Service, list[Member]] = {}
    for member in members:
        for service in member.certificate.services:
            found.setdefault(service, []).append(member)
    return found


def judge_of(member: Member) -> Judge:
    """The rule by which the sockets of *member* are judged once its files are in place."""
    due, by_hand = member.due, member.certificate.by_hand
    own = partial(judge, sha256=due.sha256, before=member.before, chain=due.chain, by_hand=by_hand)
    return partial(with_neighbours, judged=own, neighbours=member.beside)


def look_before(members: Sequence[Member], tools: Tools) -> None:
    """Note what the sockets of each show before its install, and at which sockets of neighbours something answers."""
    await_jobs(services_of(members), tools)
    found = neighbours([member.certificate for member in members], tools.certificates)
    for member, some in zip(members, found, strict=True):
        member.neighbours = some
    for member, sights in zip(members, look_at_all([member.turn for member in members], tools), strict=True):
        here = {sight.target for sight in sights if runs([sight])}
        member.neighbours = tuple(one for one in member.neighbours if one.probes[0].text in here)
        theirs = {one.probes[0].text for one in member.neighbours}
        own = {probe.text for probe in member.certificate.probes}
        member.before = tuple(sight for sight in sights if sight.target in own)
        member.beside = tuple(sight for sight in sights if sight.target in theirs)


def await_jobs(services: Iterable[Service], tools: Tools) -> None:
    """Wait for what others do with each *service* now, as an upgrade that starts it: one that is just starting reads
    its files before it answers, and may not be told."""
    for service in services:
        with suppress(InstallError, HostLost):  # it takes too long, and its sockets say how it is
            tools.programs.run("await its jobs", service.jobs)


def is_to_start(service: Service, turns: Iterable[Turn]) -> bool:
    """Is it started where it does not run? By its settings; or because an install with one of *turns* took it down."""
    return service.starts_stopped or any(service.name in turn.before.took_down for turn in turns)


def left_alone(member: Member, told: Mapping[Service, object]) -> list[str]:
    """A sentence for each of its services that was not told because it does not run, where no socket says that."""
    alone = [one for one in _unseen(member) if one.activate and one not in told and not one.asks]
    return [f"{one.label} does not run and was left alone: its next start takes the new files" for one in alone]


class Life(Enum):
    """The state of a service before it is told, as far as it is known."""

    RUNS = "runs"
    STOPPED = "stopped"  # or nothing proves that it runs, although it could be asked
    UNKNOWN = "unknown"  # agent.toml names no socket of it, and this host has nobody to ask


def life(service: Service, users: Sequence[Member], tools: Tools) -> Life:
    """Does the service run? It does if one of its sockets answers. Else its own command is asked, where there is one: a
    web server may listen at no port for TLS before its first certificate."""
    sights = [sight for user in users for sight in sights_of(service, user.certificate, user.before)]
    return life_by(service, sights, tools)


def life_by(service: Service, sights: Sequence[Sight], tools: Tools) -> Life:
    """The same, from the *sights* of its sockets. No answer is no proof, whatever the reason."""
    if runs(sights):
        return Life.RUNS
    if not service.is_up:
        return Life.STOPPED if sights else Life.UNKNOWN
    try:
        tools.programs.run("ask whether it runs", service.is_up)
    except InstallError:
        return Life.STOPPED
    return Life.RUNS


def failed_unseen(member: Member, told: Mapping[Service, Sequence[CertfleetError]]) -> list[CertfleetError]:
    """The failures of those of its services that no socket shows: those of another service prove nothing."""
    return [error for service in _unseen(member) for error in told.get(service, ())]


def _unseen(member: Member) -> list[Service]:
    """Its services that no socket shows."""
    certificate = member.certificate
    return [one for one in certificate.services if not sights_of(one, certificate, member.before)]
