"""The certificates of one install, and the services that they concern."""

from collections.abc import Iterable, Sequence
from enum import Enum
from functools import partial
from pathlib import Path

from agent.journey.due import Due
from agent.journey.ports import Tools, Turn
from agent.journey.watch import Judge
from agent.model.certificate import Certificate, Service
from agent.model.errors import InstallError
from agent.model.live_file import LiveFile
from agent.rules.evidence import Sight, judge, runs, sights_of
from agent.rules.journal import Part, SavedFile
from common.dataclasses import dataclass


@dataclass(slots=True)
class Member:
    """A certificate that is due, and its live files: what they become (*planned*, by real path), and what they are
    (*saved*). *before* is what its sockets showed when the install began, *losing* what is to be said of its files."""

    due: Due
    planned: dict[Path, LiveFile]
    losing: tuple[str, ...] = ()
    saved: tuple[SavedFile, ...] = ()
    before: tuple[Sight, ...] = ()

    @property
    def name(self) -> str:
        return self.due.name

    @property
    def turn(self) -> Turn:
        return self.due.turn

    @property
    def certificate(self) -> Certificate:
        return self.due.turn.certificate

    @property
    def is_first(self) -> bool:
        """Is one of its files new? A service whose configuration names that file misses it before the install."""
        return any(not file.backup for file in self.saved)

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
    by_hand = member.certificate.by_hand
    return partial(judge, sha256=member.due.sha256, before=member.before, chain=member.due.chain, by_hand=by_hand)


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
