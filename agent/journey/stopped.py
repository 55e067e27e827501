"""Services that do not run, and whose next start would fail: their own check refuses what is in place."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from agent.journey.member import Life, life_by
from agent.journey.ports import Turn
from agent.journey.watch import first_look
from agent.model.certificate import Service
from agent.model.errors import InstallError
from agent.model.line import WARN, Line
from agent.rules.evidence import sights_of
from common.errors import CertfleetError

_MEND = "mend what it names before the service is started"


def refusals(turns: Sequence[Turn]) -> Iterator[Line]:
    """A line for each service that has an installed certificate among *turns*, does not run, and fails its check. The
    check of one that runs is left to `run`: to a running service it says nothing new."""
    users: dict[Service, list[Turn]] = {}
    for turn in turns:
        for service in turn.certificate.services if turn.before.installed is not None else ():
            users.setdefault(service, []).append(turn)
    for service, its in users.items():
        with suppress(CertfleetError):  # its host is lost, as its certificates tell
            if service.check and _is_stopped(service, its):
                yield from _refusal(service, its[0])


def _refusal(service: Service, user: Turn) -> Iterator[Line]:
    try:
        user.tools.programs.run("check", service.check)
    except InstallError as error:
        sentence = f"{service.label} does not run, and its check fails: {error}"
        yield Line(WARN, service.name or "commands", sentence, _MEND)


def _is_stopped(service: Service, users: Sequence[Turn]) -> bool:
    sights = [sight for one in users for sight in sights_of(service, one.certificate, first_look(one))]
    return life_by(service, sights, users[0].tools) is Life.STOPPED
