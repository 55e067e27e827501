"""A look at services that do not run, and whose own check refuses what is in place, so that their next start fails; and
at those that answer, and whose commands would not reach what answers."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from agent.journey.member import Life, life_by
from agent.journey.ports import Turn
from agent.journey.watch import first_look
from agent.model.certificate import Service
from agent.model.errors import InstallError
from agent.rules.evidence import Sight, runs, sights_of
from common.check_line import WARN, Line
from common.errors import CertfleetError

_ANOTHER = "let that unit or script start it, or name the command that reloads what answers in `activate`"
_MEND = "mend what it names before the service is started"


def examine_services(turns: Sequence[Turn]) -> Iterator[Line]:
    """A line for each service that has an installed certificate among *turns*, does not run, and fails its check; and
    for each that answers, and does not run for systemd or its init script, which are to tell it. The check of one that
    runs is left to `run`: to a running service it says nothing new."""
    users: dict[Service, list[Turn]] = {}
    for turn in turns:
        for service in turn.certificate.services:
            users.setdefault(service, []).append(turn)
    for service, its in users.items():
        installed = [turn for turn in its if turn.before.installed is not None]
        with suppress(CertfleetError):  # its host is lost, as its certificates tell
            if _answers_elsewhere(service, its):
                asked, told = (" ".join(commands[0]) for commands in (service.is_up, service.activate))
                sentence = f"it answers, but `{asked}` says that it does not run: `{told}` does not reach what answers"
                yield Line(WARN, service.label, sentence, _ANOTHER)
            elif (
                installed
                and service.check
                and life_by(service, _seen(service, installed), its[0].tools) is Life.STOPPED
            ):
                yield from _refusal(service, installed[0])


def _answers_elsewhere(service: Service, users: Sequence[Turn]) -> bool:
    """Does it answer, and is it told by whoever says that it does not run, as by systemctl with the same unit?"""
    program, *words = service.is_up[0] if service.is_up else ("",)
    told = any(command[0] == program and not set(words).isdisjoint(command[1:]) for command in service.activate)
    return told and runs(_seen(service, users)) and life_by(service, (), users[0].tools) is Life.STOPPED


def _seen(service: Service, users: Sequence[Turn]) -> list[Sight]:
    return [sight for one in users for sight in sights_of(service, one.certificate, first_look(one))]


def _refusal(service: Service, user: Turn) -> Iterator[Line]:
    try:
        user.tools.programs.run("check", service.check)
    except InstallError as error:
        sentence = f"{service.label} does not run, and its check fails: {error}"
        yield Line(WARN, service.name or "commands", sentence, _MEND)
