"""A look at services: do their own checks pass on what is in place, and do their commands reach what answers?"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress

from agent.journey.member import Life, life_by
from agent.journey.ports import Turn
from agent.journey.watch import first_look
from agent.model.certificate import Service
from agent.model.errors import InstallError
from agent.rules.blame import is_named
from agent.rules.evidence import Sight, runs, sights_of
from common.check_line import BAD, OK, WARN, Line
from common.errors import CertfleetError

_ANOTHER = "let that unit or script start it, or name the command that reloads what answers in `activate`"
_MEND = "mend what it names before the service is started"
_REFUSES = (
    "mend what it names: until then its next start fails, and so does an install, unless that brings what is amiss; "
    "where the service runs with other files than that command reads, name them in `check` of agent.toml"
)
_WAITS = (
    "`run` writes them when the source has the certificate, and installs nothing else before; mend what is amiss beside"
)


def examine_services(turns: Sequence[Turn], under_way: Collection[str]) -> Iterator[Line]:
    """A line for each service with a check of its own, unless one of its certificates is *under_way*, by its name; and
    for each that answers, and does not run for systemd or its init script, which are to tell it."""
    users: dict[Service, list[Turn]] = {}
    for turn in turns:
        for service in turn.certificate.services:
            users.setdefault(service, []).append(turn)
    for service, its in users.items():
        with suppress(CertfleetError):  # its host is lost, as its certificates tell
            if _answers_elsewhere(service, its):
                asked, told = (" ".join(commands[0]) for commands in (service.is_up, service.activate))
                sentence = f"it answers, but `{asked}` says that it does not run: `{told}` does not reach what answers"
                yield Line(WARN, service.label, sentence, _ANOTHER)
            if service.check and all(turn.certificate.name not in under_way for turn in its):
                yield _checked(service, its, _missing(turns, its[0]))


def _answers_elsewhere(service: Service, users: Sequence[Turn]) -> bool:
    """Does it answer, and is it told by whoever says that it does not run, as by systemctl with the same unit?"""
    program, *words = service.is_up[0] if service.is_up else ("",)
    told = any(command[0] == program and not set(words).isdisjoint(command[1:]) for command in service.activate)
    return told and runs(_seen(service, users)) and life_by(service, (), users[0].tools) is Life.STOPPED


def _seen(service: Service, users: Sequence[Turn]) -> list[Sight]:
    return [sight for one in users for sight in sights_of(service, one.certificate, first_look(one))]


def _missing(turns: Sequence[Turn], user: Turn) -> dict[str, str]:
    """The certificates of the host of *user* by their files that are not there."""
    there = [turn.certificate for turn in turns if turn.certificate.host == user.certificate.host]
    files = user.tools.files
    try:
        return {str(file.path): one.name for one in there for file in one.files if files.read(file.path) is None}
    finally:
        files.release()


def _checked(service: Service, users: Sequence[Turn], missing: Mapping[str, str]) -> Line:
    """The service's check on the files that are in place, as an install runs it: it changes nothing."""
    subject, tools = service.name or "commands", users[0].tools
    try:
        tools.programs.run("check", service.check)
    except InstallError as error:
        said = str(error)
        own = {turn.certificate.name for turn in users}
        named = {name for file, name in missing.items() if is_named(file, said)}
        if away := sorted(named or own & set(missing.values())):  # HAProxy names none whose folder is empty
            sentence = f"its check fails while the files of {', '.join(away)} are missing: {said}"
            return Line(WARN, subject, sentence, _WAITS)
        if life_by(service, _seen(service, users), tools) is Life.STOPPED:
            sentence = f"{service.label} does not run, and its check fails: {said}"
            return Line(WARN, subject, sentence, error.hint or _MEND)
        return Line(BAD, subject, f"the check of {service.label} fails today: {said}", error.hint or _REFUSES)
    return Line(OK, subject, f"{service.label} passes its own check")
