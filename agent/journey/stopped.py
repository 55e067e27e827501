"""Services that do not run, and whose next start would fail: their own check refuses what is in place."""

from collections.abc import Iterator, Sequence

from agent.journey.member import Life, life_by
from agent.journey.ports import Turn
from agent.journey.taken_down import life_now
from agent.model.certificate import Service
from agent.model.errors import InstallError
from agent.model.line import WARN, Line

_MEND = "mend what it names before the service is started; `presets SERVICE` tells its traps"


def refusals(turns: Sequence[Turn]) -> Iterator[Line]:
    """A line for each service that has an installed certificate among *turns*, does not run, and fails its check. The
    check of one that runs is left to `run`: to a running service it says nothing new."""
    users: dict[Service, list[Turn]] = {}
    for turn in turns:
        for service in turn.certificate.services if turn.before.installed is not None else ():
            users.setdefault(service, []).append(turn)
    for service, its in users.items():
        if service.check and _is_stopped(service, its):
            try:
                its[0].tools.programs.run("check", service.check)
            except InstallError as error:
                sentence = f"{service.label} does not run, and its check fails: {error}"
                yield Line(WARN, service.name or "commands", sentence, _MEND)


def _is_stopped(service: Service, users: Sequence[Turn]) -> bool:
    """Its sockets are looked at only where nobody else can say that it runs."""
    tools = users[0].tools
    return life_by(service, (), tools) is not Life.RUNS and life_now(service, users, tools) is Life.STOPPED
