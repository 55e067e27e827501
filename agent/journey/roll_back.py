"""The way back: after a failed step, and for an install that was interrupted. Everything here can be done twice."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

from agent.journey.member import Life, await_jobs, life_by
from agent.journey.old_files import are_replaced, old_files
from agent.journey.ports import Tools, Turn
from agent.journey.stand_in import stand_in, take_away
from agent.journey.watch import Judge, look_at_all, of_service, watch, watch_all
from agent.model.certificate import Command, Service
from agent.model.errors import BrokenBefore, HostLost, InstallError
from agent.model.result import Outcome, Result
from agent.rules.conclusion import conclusion, why_here
from agent.rules.evidence import (
    Evidence,
    Proof,
    Sight,
    is_as_before,
    is_silent,
    judge,
    runs,
    sights_of,
    was_down,
    with_neighbours,
)
from agent.rules.install_states import InstallState
from agent.rules.journal import JournalEntry, Part
from common.dataclasses import dataclass, replace
from common.errors import CertfleetError, FileError
from common.late_log import LateLog

_log = LateLog()
Failed = dict[Service, list[CertfleetError]]  # what failed when a service was told


@dataclass(frozen=True, slots=True)
class Returning:
    """A certificate that goes back to what it was, because of the *failure*. *beside*: what was at the sockets of its
    neighbours before; *stays*: SHA-256 of the new leaves of the install that stay."""

    turn: Turn
    part: Part
    failure: CertfleetError
    beside: tuple[Sight, ...] = ()
    stays: tuple[str, ...] = ()


def enter(state: InstallState, entry: JournalEntry, tools: Tools) -> JournalEntry:
    """Note in the journal the *state* that the caller goes into next. Returns the new entry. Raises FileError."""
    entry = entry.at(state)
    tools.state.save_journal(entry)
    return entry


def roll_back(
    returning: Sequence[Returning], told: Collection[Service], tools: Tools, staying: Sequence[tuple[Turn, Judge]] = ()
) -> tuple[dict[str, Result], dict[str, Evidence], Failed]:
    """Put the old files of the *returning* back, tell those of their services again that were *told* of the new ones,
    and look whether they serve again what they served before. Where a service does not start without a file that was
    not there before, a self-signed certificate takes its place. Never raises a CertfleetError. Returns the results by
    name; the evidence by name, also on the *staying*, who share these services; and the services, with what failed.
    """
    results: dict[str, Result] = {}
    restored = [one for one in returning if _is_restored(one, results)]
    concerned = dict.fromkeys(service for one in restored for service in one.turn.certificate.services)
    services = [service for service in concerned if service in told]
    failed = _tell_again(services, restored, tools)
    evidence = _look_until_as_before(restored, staying, tools)
    if dead := [service for service in _silent(restored, evidence, tools) if service.restart and service in told]:
        failed |= {one: tell("restart it", one.restart, tools) for one in dead}
        evidence = _look_until_as_before(restored, staying, tools)
    stood, evidence = _with_stand_ins(restored, staying, evidence, [one for one in services if one.activate], tools)
    for one in restored:
        own = [str(error) for service in one.turn.certificate.services for error in failed.get(service, ())]
        results[one.part.name] = _result(one, own, evidence[one.part.name], stood=one.part.name in stood)
    broken = [one.turn for one in restored if results[one.part.name].outcome is Outcome.BROKEN]
    for turn, sights in zip(broken, look_at_all(broken, tools), strict=True):
        results[turn.certificate.name] = _with_taken_down(turn, results[turn.certificate.name], sights, told)
    return results, evidence, failed


def _with_stand_ins(
    restored: Sequence[Returning],
    staying: Sequence[tuple[Turn, Judge]],
    evidence: dict[str, Evidence],
    services: Collection[Service],
    tools: Tools,
) -> tuple[set[str], dict[str, Evidence]]:
    """Where some of the *services* still do not answer, and files that were new are gone, try once with self-signed
    certificates in their places. Returns the names of those that have one now, and the evidence then."""
    dead = {service for service in _silent(restored, evidence, tools) if service in services}
    concerned = [one for one in restored if not dead.isdisjoint(one.turn.certificate.services)]
    stood = [one for one in concerned if stand_in(one.turn, one.part)]
    if not stood:
        return set(), evidence
    for service in dead:
        tell("start it again", service.restart or service.start or service.activate, tools)
    names = {one.part.name for one in stood}
    found = _look_until_as_before(restored, staying, tools, names)
    if not _silent(stood, found, tools):
        return names, found
    for one in stood:
        take_away(one.turn, one.part)
    return set(), evidence


def _is_restored(one: Returning, results: dict[str, Result]) -> bool:
    """Put the old files back. If they cannot be, the result says so: the journal stays open, and the next run tries
    again."""
    try:
        one.turn.tools.files.restore(old_files(one.part.files, one.turn.tools))
    except CertfleetError as error:
        detail = f"{one.failure}; ROLL BACK FAILED, the old files could not be put back: {error}"
        result = one.turn.result(Outcome.BROKEN, detail, error.hint)
        results[one.part.name] = replace(result, at_fault=_is_at_fault(one.failure))
        return False
    return True


def _result(one: Returning, problems: list[str], evidence: Evidence, *, stood: bool) -> Result:
    failure, turn = one.failure, one.turn
    if stood:
        detail = f"{failure}; rolled back, but its service does not start without {turn.certificate.paths}: "
        result = turn.result(Outcome.FAILED, f"{detail}a self-signed certificate is in its place", failure.hint)
        return replace(result, at_fault=_is_at_fault(failure), ended=True)
    if evidence.proof is Proof.WRONG:
        problems = [*problems, evidence.detail]
    elif evidence.proof is Proof.PROVEN or was_down(one.part.before):
        problems = []  # the sockets know better than an exit code; a service that was down is as it was
    if problems:
        detail = f"{failure}; ROLLED BACK, but the service is not as before: {'; '.join(problems)}"
        files, why = turn.certificate.paths, why_here(turn.certificate, evidence.lost)
        now = f"look at the service now: its old files are in place, and its configuration must name {files}"
        result = turn.result(Outcome.BROKEN, detail, "; ".join(filter(None, [now, why])))
    else:
        result = turn.result(Outcome.FAILED, f"{failure}; rolled back, all is as it was", failure.hint)
    return replace(result, at_fault=_is_at_fault(failure), ended=True)


def _with_taken_down(turn: Turn, result: Result, sights: Sequence[Sight], told: Collection[Service]) -> Result:
    """*result*, with those of its services that were *told* and do not run any more: the next run starts them."""
    certificate, tools = turn.certificate, turn.tools
    try:
        down = [
            service.name
            for service in certificate.services
            if service in told and life_by(service, sights_of(service, certificate, sights), tools) is Life.STOPPED
        ]
    except HostLost:
        return result
    return replace(result, took_down=tuple(dict.fromkeys((*result.took_down, *down))))


def _is_at_fault(failure: CertfleetError) -> bool:
    """Is the certificate left alone for a while? A full disk is not its fault."""
    return isinstance(failure, InstallError) and not isinstance(failure, BrokenBefore)


def settle(entry: JournalEntry, turns: Mapping[str, Turn], tools: Tools) -> dict[str, Result]:
    """End an install that was interrupted: what is in place and proven on the sockets stands, as does what has replaced
    it since; the rest is rolled back. *turns* has one for each certificate of the entry."""
    interrupted = FileError(f"an install was interrupted while {entry.state.value}")
    if entry.state is InstallState.BACKED_UP:
        detail = f"{interrupted}; no live file was touched"
        return {name: replace(turn.result(Outcome.FAILED, detail), ended=True) for name, turn in turns.items()}
    if entry.state is InstallState.COMMITTED:  # the certificate's own turn looks at the sockets again
        detail = f"{interrupted}; the new files stay"
        return {name: replace(turn.result(Outcome.UNPROVEN, detail), ended=True) for name, turn in turns.items()}
    results = {part.name: _left(turns[part.name], interrupted) for part in entry.parts if _is_left(part, tools)}
    rest = [part for part in entry.parts if part.name not in results]
    proven = tuple(part for part in rest if _is_proven(turns[part.name], part))
    for part in proven:
        turn = turns[part.name]
        results[part.name] = replace(turn.result(*conclusion(Evidence(Proof.PROVEN), turn.certificate)), ended=True)
    others = [part for part in rest if part not in proven]
    stays = tuple(part.sha256 for part in proven)
    returning = [Returning(turns[part.name], part, interrupted, stays=stays) for part in others]
    if returning:
        note_roll_back(entry, tools)
        results |= roll_back(returning, _that_ran(returning, tools), tools)[0]
    return results


def _is_left(part: Part, tools: Tools) -> bool:
    """Have the live files been replaced since the install? So it is where the state folder comes from a backup: what it
    would put back may be years old."""
    try:
        return are_replaced(part.files, tools)
    except FileError:
        return False


def _left(turn: Turn, interrupted: FileError) -> Result:
    detail = f"{interrupted}; its live files have been replaced since, and stay"
    return replace(turn.result(Outcome.UNPROVEN, detail), ended=True)


def note_roll_back(entry: JournalEntry, tools: Tools) -> bool:
    """Note the roll back. A failure to write that does no harm: the journal on disk leads to a roll back as well."""
    return enter_if_written(InstallState.ROLLING_BACK, entry, tools)


def enter_if_written(state: InstallState, entry: JournalEntry, tools: Tools) -> bool:
    """Enter *state*, also where the journal cannot say so: then False."""
    try:
        enter(state, entry, tools)
    except FileError as error:
        _log.warning("journal.not-written", certificate=entry.name, error=str(error))
        return False
    return True


def tell(step: str, commands: Iterable[Command], tools: Tools) -> list[CertfleetError]:
    """Run each of the *commands*, also after one that failed: the sockets say what came of it. Returns the failures."""
    failures: list[CertfleetError] = []
    for command in commands:
        try:
            tools.programs.run(step, [command])
        except (InstallError, HostLost) as error:
            failures.append(error)
    return failures


def _tell_again(services: Iterable[Service], restored: Sequence[Returning], tools: Tools) -> Failed:
    """Tell each service that its files are the old ones; start it if it cannot be told, restart it if it cannot be
    started. One of which nobody could say whether it ran is never started. Nor is one that goes on answering: its unit
    may stand for others, which a person has stopped. Returns the failures."""
    failed = {}
    await_jobs(services, tools)
    for service in services:
        failures = tell("activate the old one", service.activate, tools)
        may_start = service.starts_stopped or service.is_up or any(_sights(service, one) for one in restored)
        for step, commands in (("start it again", service.start), ("restart it", service.restart)):
            if failures and commands and may_start and not _goes_on(service, restored, tools):
                failures = tell(step, commands, tools)
        failed[service] = failures
    return failed


def _goes_on(service: Service, restored: Sequence[Returning], tools: Tools) -> bool:
    """Does the service answer for each certificate for which it answered before?"""
    before = [one.turn for one in restored if runs(_sights(service, one))]
    now = zip(before, look_at_all(before, tools), strict=True)
    return bool(before) and not any(is_silent(of_service(service, turn, sights)) for turn, sights in now)


def _that_ran(returning: Sequence[Returning], tools: Tools) -> set[Service]:
    """The services that may have been told of the new files: all but those that are seen not to run."""
    sights: dict[Service, list[Sight]] = {}
    for one in returning:
        for service in one.turn.certificate.services:
            sights.setdefault(service, []).extend(_sights(service, one))
    return {service for service, seen in sights.items() if life_by(service, seen, tools) is not Life.STOPPED}


def _sights(service: Service, one: Returning) -> list[Sight]:
    """The sights of the service's sockets before the install, the neighbours' too."""
    return of_service(service, one.turn, (*one.part.before, *one.beside))


def _silent(restored: Sequence[Returning], evidence: Mapping[str, Evidence], tools: Tools) -> list[Service]:
    """The services of which nothing answers any more."""
    lost = [one.turn for one in restored if evidence[one.part.name].proof is Proof.WRONG]
    shown = zip(lost, look_at_all(lost, tools), strict=True)
    silent = [turn for turn, sights in shown if _is_silent(turn, sights)]
    return list(dict.fromkeys(service for turn in silent for service in turn.certificate.services))


def _is_silent(turn: Turn, sights: Sequence[Sight]) -> bool:
    """Do all of its own sockets keep silent, or all of its neighbours'?"""
    own = {probe.text for probe in turn.certificate.probes}
    return any(is_silent([one for one in sights if (one.target in own) is its]) for its in (True, False))


def _is_proven(turn: Turn, part: Part) -> bool:
    """Are its files in place, and do its sockets show it? Without a socket it is not proven."""
    try:
        if not all(turn.tools.files.digest(file.path) == file.new_digest for file in part.files):
            return False
    except FileError:
        return False
    evidence = watch(turn, lambda sights: judge(sights, part.sha256, part.before), patient=False)
    return evidence.proof is Proof.PROVEN


def _look_until_as_before(
    restored: Sequence[Returning], staying: Sequence[tuple[Turn, Judge]], tools: Tools, stood: Collection[str] = ()
) -> dict[str, Evidence]:
    """The evidence by name, also on the *staying*. On one that was restored: PROVEN or UNKNOWN if every address is as
    before, WRONG if one is not, NOTHING_TO_ASK if nothing was there or agent.toml names no socket of it any more. On
    one in whose place a self-signed certificate *stood*: PROVEN if anything answers."""
    stays = {*_in_place(tools), *(leaf for one in restored for leaf in one.stays)}
    back: list[tuple[Turn, Judge]] = [
        (one.turn, _answers)
        if one.part.name in stood
        else (one.turn, partial(with_neighbours, judged=_as_before_of(one, stays), neighbours=one.beside))
        for one in restored
    ]
    return watch_all([*back, *staying], tools, patient=True)


def _answers(sights: Sequence[Sight]) -> Evidence:
    return Evidence(Proof.PROVEN if runs(sights) else Proof.WRONG)


def _in_place(tools: Tools) -> Iterator[str]:
    """SHA-256 of the leaf that each certificate has in place, by its record."""
    for certificate in tools.certificates:
        with suppress(FileError):
            installed = tools.state.record(certificate.name).installed
            if installed is not None:
                yield installed.sha256


def _as_before_of(one: Returning, stays: Collection[str]) -> Callable[[Sequence[Sight]], Evidence]:
    before, installed = one.part.before if one.turn.certificate.probes else (), one.turn.before.installed
    own = installed.sha256 if installed is not None else ""
    return partial(is_as_before, before=before, own=own, stays=stays)
