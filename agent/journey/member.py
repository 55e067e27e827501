"""The certificates of one install, and the services that they concern."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.journey.due import Due
from agent.journey.ports import Tools, Turn
from agent.model.certificate import Certificate, Service
from agent.model.errors import InstallError
from agent.model.live_file import LiveFile
from agent.rules.evidence import Sight, was_down
from agent.rules.journal import Part, SavedFile


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
    def part(self) -> Part:
        """Its entry in the journal."""
        return Part(self.name, self.due.sha256, self.saved, self.before)


def services_of(members: Iterable[Member]) -> dict[Service, list[Member]]:
    """Every service that they concern, with its own."""
    found: dict[Service, list[Member]] = {}
    for member in members:
        for service in member.certificate.services:
            found.setdefault(service, []).append(member)
    return found


def is_stopped(service: Service, users: Sequence[Member], tools: Tools) -> bool:
    """Does the service not run, before it is told? One of which a socket answers does. Of another its own command is
    asked, where there is one: a web server may listen at no port for TLS before its first certificate."""
    sights = [sight for user in users for sight in sights_of(service, user.certificate, user.before)]
    is_silent = was_down(sights)
    if sights and not (is_silent and service.is_up):
        return is_silent
    try:
        tools.programs.run("ask whether it runs", service.is_up)
    except InstallError:
        return True
    return False


def sights_of(service: Service, certificate: Certificate, sights: Sequence[Sight]) -> list[Sight]:
    """Those of the *sights* of a certificate that show sockets of the service."""
    texts = {probe.text for use in certificate.uses if use.service == service for probe in use.probes}
    return [sight for sight in sights if sight.target in texts]
