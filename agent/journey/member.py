"""The certificates of one install, and the services that they concern."""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path

from agent.journey.due import Due
from agent.journey.ports import Tools, Turn
from agent.model.certificate import Certificate, Service
from agent.model.errors import InstallError
from agent.model.live_file import LiveFile
from agent.rules.evidence import Sight, runs, sights_of
from agent.rules.journal import Part, SavedFile
from common.dataclasses import dataclass


@dataclass(slots=True)
class Member:
    """A certificate that is due, and its live files: what they become (*planned*, by real path), and what they are
    (*saved*). *before* is what its sockets showed when the install began, *losing* what is to be said of its files, and
    *refused_by* what of checks that held nothing back."""

    due: Due
    planned: dict[Path, LiveFile]
    losing: tuple[str, ...] = ()
    refused_by: tuple[str, ...] = ()
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


def is_to_start(service: Service, turns: Iterable[Turn]) -> bool:
    """Is it started where it does not run? By its settings; or because an install with one of *turns* took it down."""
    return service.starts_stopped or any(service.name in turn.before.took_down for turn in turns)


def left_alone(member: Member, told: Mapping[Service, object]) -> list[str]:
    """A sentence for each of its services that was not told because it does not run, where no socket says that."""
    certificate = member.certificate
    silent = [one for one in certificate.services if one.activate and one not in told and not one.asks]
    unseen = [one for one in silent if not sights_of(one, certificate, member.before)]
    return [f"{one.label} does not run and was left alone: its next start takes the new files" for one in unseen]


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
