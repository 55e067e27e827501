"""Services that an install took down, and that its roll back could not bring up again: later runs start them.

A record remembers the names of such services until they are seen to run. Only what runs is forgotten, and only what an
install took down is started: a service that a person has stopped stays so.
"""

from collections.abc import Collection, Mapping, Sequence

from agent.journey.member import Life, life_by
from agent.journey.on_record import on_record, reported
from agent.journey.ports import Tools, Turn
from agent.journey.roll_back import tell
from agent.journey.watch import Together, look_at_all, watch
from agent.model.certificate import Service
from agent.model.errors import HostLost, InstallError
from agent.model.result import Outcome, Result, with_notes_told
from agent.rules.conclusion import conclusion
from agent.rules.evidence import Evidence, Proof, Sight, judge, runs, sights_of
from agent.rules.standing import standing
from common.dataclasses import dataclass, replace

_IN_PLACE = {Outcome.INSTALLED, Outcome.UNPROVABLE, Outcome.UNPROVEN, Outcome.INCOMPLETE, Outcome.PENDING}
_IN_PLACE |= {Outcome.ENDING, Outcome.EXPIRED}
_LOOK = "look at the service now: each run tries to start it"


@dataclass(frozen=True, slots=True)
class Effort:
    """Does a service run by now? *note*: what was done for it, or what hinders it."""

    runs: bool
    note: str = ""


Efforts = Mapping[Service, Effort]


def start_again(turns: Sequence[Turn], but: Collection[Service] = ()) -> Efforts:
    """Start each service, *but* some, that an install took down by the records of *turns*, and that its own check does
    not refuse. Never raises a CertfleetError."""
    users: dict[Service, list[Turn]] = {}
    for turn in turns:
        for service in turn.certificate.services:
            if service.name in turn.before.took_down and service not in but:
                users.setdefault(service, []).append(turn)
    return {service: _effort(service, its, its[0].tools) for service, its in users.items()}


def _effort(service: Service, users: Sequence[Turn], tools: Tools) -> Effort:
    what = f"{service.label} went down with an install that failed"
    try:
        if life_now(service, users, tools) is not Life.STOPPED:
            return Effort(runs=True)
        tools.programs.run("check", service.check)
        with tools.unbroken():
            failures = tell("start it again", service.restart or service.start or service.activate, tools)
            user = max(users, key=lambda one: bool(one.certificate.probes))
            watch(user, lambda sights: _is_up(service, user, sights), patient=not failures)
            if life_now(service, users, tools) is not Life.STOPPED:
                return Effort(runs=True, note=f"{what}, and was started again")
    except (InstallError, HostLost) as error:
        return Effort(runs=False, note=f"{what}, and is not started: {error}")
    return Effort(runs=False, note="; ".join([f"{what}, and does not start", *map(str, failures)]))


def life_now(service: Service, users: Sequence[Turn], tools: Tools) -> Life:
    """Does the service run now, by the sockets that its *users* have for it, or by its own command?"""
    shown = zip(users, look_at_all(users, tools), strict=True)
    return life_by(service, [one for turn, all_ in shown for one in sights_of(service, turn.certificate, all_)], tools)


def _is_up(service: Service, user: Turn, sights: Sequence[Sight]) -> Evidence:
    its = sights_of(service, user.certificate, sights)
    return Evidence(Proof.PROVEN if runs(its) or not its else Proof.DOWN)


def with_efforts(turns: Sequence[Turn | Result], efforts: Efforts) -> list[Turn | Result]:
    """The *turns*, whose records are rid of the services that run again; one for each says what was done for it."""
    said: set[Service] = set()
    found: list[Turn | Result] = []
    for turn in turns:
        if isinstance(turn, Result) or not turn.before.took_down:
            found.append(turn)
            continue
        fresh = [one for one in turn.certificate.services if one in efforts and one not in said and efforts[one].runs]
        said.update(fresh)
        notes = (*turn.before.notes, *filter(None, (efforts[one].note for one in fresh)))
        before = replace(turn.before, took_down=_still_down(turn, turn.before, efforts), notes=notes)
        found.append(replace(turn, before=before))
    return found


def _still_down(turn: Turn, result: Result, efforts: Efforts) -> tuple[str, ...]:
    """The names in ``took_down`` of services that agent.toml still has, and that do not run."""
    its = {one.name: efforts.get(one, Effort(runs=False)).runs for one in turn.certificate.services}
    return tuple(name for name in result.took_down if not its.get(name, True))


def look_again(
    seen: Sequence[tuple[Turn, Result]], broken: Mapping[Service, bool], efforts: Efforts, *, after_installs: bool
) -> list[Result]:
    """The results of *seen* as they are at the end of a run, in which installs have left services *broken*, those with
    true down, and *efforts* were made before them: those are made again after them, but for what is down since."""
    if after_installs:
        down = [service for service, is_down in broken.items() if is_down]
        efforts = {**efforts, **start_again([replace(turn, before=result) for turn, result in seen], down)}
    concerned = [(turn, result) for turn, result in seen if result.took_down or _lost(turn, broken)]
    together = Together([turn for turn, _ in concerned])
    found = [(turn, _again(turn, result, broken, efforts, together)) for turn, result in concerned]
    # one that went down with an earlier install is not on record yet: it would be well there for a moment
    news = [(turn, now) for (turn, was), (_, now) in zip(concerned, found, strict=True) if was.took_down or now != was]
    kept = {}
    if news:
        tools = news[0][0].tools
        kept = {one.name: one for one in reported(on_record(news, tools), tools)}
    return [kept.get(result.name, result) for _, result in seen]


def _lost(turn: Turn, broken: Mapping[Service, bool]) -> list[Service]:
    return [service for service in turn.certificate.services if service in broken]


def _again(turn: Turn, result: Result, broken: Mapping[Service, bool], efforts: Efforts, looks: Together) -> Result:
    lost = _lost(turn, broken)
    found, notes = replace(result, took_down=_still_down(turn, result, efforts)), list[str]()
    if result.outcome in _IN_PLACE and result.installed is not None:
        was, sights = result.installed, looks.of(turn)
        evidence = judge(sights, was.sha256, chain=was.chain, by_hand=turn.certificate.by_hand)
        outcome, detail, hint = conclusion(evidence, turn.certificate)
        down = [one for one in lost if broken[one] and not runs(sights_of(one, turn.certificate, sights))]
        names = tuple(dict.fromkeys((*found.took_down, *(one.name for one in down))))
        found = replace(found, outcome=outcome, detail=detail, hint=hint, took_down=names)
        notes = [*result.notes, *(f"{one.label} went down with an install of this run" for one in down)]
    notes += [efforts[one].note for one in turn.certificate.services if one in efforts and one.name in found.took_down]
    if found.outcome.is_well and found.took_down:  # as of a hold, or of one without a socket: its service is down
        found = replace(found, outcome=Outcome.BROKEN, hint=_LOOK)
    return with_notes_told(standing(replace(found, notes=tuple(notes)), turn.tools.now))
