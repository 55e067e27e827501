"""THE JOURNEY of an install: stage → back up → swap → check → activate → prove → commit, or roll back.

Its unit is a group: the certificates that are due and concern one service, or several that share some. A service is
checked and told once for all of them. A certificate at fault is left out or taken back, and the others go on.

The caller has pulled and verified each (``agent.journey.take``). Before the swap no file that a service reads is
touched. After it the journal knows the way back, whatever happens: a failed step, a full disk, or a kill between any
two instructions (the next run calls ``settle`` first).
The truth about a service is on its sockets: exit codes of its own tools only lead there.
"""

import itertools
from collections.abc import Mapping, Sequence

from agent.journey.due import Due, losing_lists, plan
from agent.journey.faulty import faulty
from agent.journey.keep import keep_replaced
from agent.journey.leave_out import leave_out
from agent.journey.member import (
    Life,
    Member,
    await_jobs,
    is_to_start,
    judge_of,
    left_alone,
    life,
    look_before,
    services_of,
)
from agent.journey.ports import Tools, Turn
from agent.journey.proving import Failures, Said, faults, listen, named_first, prove, stopped_since, verify
from agent.journey.readers import kept_from_all, kept_from_their_restart, with_cure
from agent.journey.roll_back import Returning, enter, enter_if_written, note_roll_back, roll_back, tell
from agent.model.certificate import Service
from agent.model.errors import InstallError, Stopped
from agent.model.result import Outcome, Result
from agent.rules.activation import is_too_often
from agent.rules.conclusion import conclusion
from agent.rules.evidence import Evidence, Proof
from agent.rules.install_states import InstallState
from agent.rules.journal import JournalEntry, SavedFile
from common.dataclasses import dataclass, field, replace
from common.errors import CertfleetError, FileError
from common.late_log import LateLog

_log = LateLog()

_MOST_NAMED = 3  # rounds in which only those go back that a service names: it may be down all the while
_ANSWER = frozenset({Proof.PROVEN, Proof.INCOMPLETE, Proof.PENDING, Proof.WRONG})  # of a service that runs


@dataclass(slots=True)
class Install:
    """An install under way: its journal *entry*; its *results* by name; the services that were *told* of new files,
    with what failed the last time; the *evidence* on each member after the first telling; those that *returned* to what
    they were."""

    tools: Tools
    entry: JournalEntry
    results: dict[str, Result]
    told: dict[Service, list[CertfleetError]] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    returned: list[Returning] = field(default_factory=list)


def install(group: Sequence[Due], tools: Tools) -> list[tuple[Due, Result, Member | None]]:
    """Bring each certificate of a group to its live files and services, or leave its files as they were. Returns each
    with its result, and with its member where its new files stay.

    Never raises a CertfleetError; Stopped on a request to stop. The journal (its name:
    ``group[0].turn.journal``) stays open: the caller closes it once all results are on record, if all have *ended*.
    """
    results: dict[str, Result] = {}
    journal = group[0].turn.journal
    members = prepare(group, results, tools)
    try:
        if members:
            under_way = Install(tools, open_journal(journal, members, tools), results)
            under_way.entry = enter(InstallState.SWAPPING, under_way.entry, tools)
    except CertfleetError as failure:
        results |= {member.name: _untouched(member.turn, failure) for member in members}
        members = []
    if members:
        members = _swapped(members, under_way)
    if members:
        with tools.unbroken():
            members = _proven(members, under_way)
    staying = {member.name: member for member in members}
    return [(due, results[due.name], staying.get(due.name)) for due in group]


def _swapped(members: list[Member], under_way: Install) -> list[Member]:
    """From the swap to the check, or back. Returns the members whose new files no service's check refuses; no service
    has been told. Raises Stopped on a request to stop, with all files as they were."""
    tools = under_way.tools
    try:
        members, _ = take_back(members, swap(members, tools), under_way)
        members, _ = take_back(members, check_after(members, tools), under_way)
        members, _ = take_back(members, kept_from_their_restart(members, tools), under_way)
    except FileError as failure:
        take_back(members, {member.name: failure for member in members}, under_way)
        return []
    except Stopped:
        take_back(members, {member.name: FileError("a request to stop") for member in members}, under_way)
        if all(under_way.results[member.name].ended for member in members):
            tools.state.finish(under_way.entry.name)
        raise
    return members


def _proven(members: list[Member], under_way: Install) -> list[Member]:
    """From the reload to the commit, or back. Returns the members that are served, or that nothing speaks against."""
    group = members
    try:
        said = _tell(members, under_way)
    except CertfleetError as failure:
        take_back(members, {member.name: failure for member in members}, under_way)
        return []
    members, evidence = _without_faulty(members, said, under_way)
    committed = not members or commit(under_way)
    for member in members:
        member.committed = committed
        under_way.results[member.name] = _installed(member, evidence[member.name], under_way.told)
    _mark_refused(group, members, under_way)
    return members


def _tell(members: Sequence[Member], under_way: Install) -> Said:
    """Tell the services of new files, and look at what they show. Returns what their logs said before."""
    tools = under_way.tools
    under_way.entry = enter(InstallState.ACTIVATING, under_way.entry, tools)
    said = listen(members, tools)
    under_way.told |= activate(members, tools)
    under_way.entry = enter(InstallState.PROVING, under_way.entry, tools)
    under_way.evidence = prove(members, under_way.told, tools)
    if stopped := stopped_since(members, under_way.evidence, under_way.told, tools):
        under_way.told = {service: failed for service, failed in under_way.told.items() if service not in stopped}
        under_way.evidence = prove(members, under_way.told, tools)
    return said


def _without_faulty(members: list[Member], said: Said, under_way: Install) -> tuple[list[Member], dict[str, Evidence]]:
    """Take back the members at fault, until nothing speaks against the others, which are returned with the evidence on
    them. Those that their services name in their logs go first: without them the others may be served."""
    tools, group, evidence = under_way.tools, members, under_way.evidence
    tries, accused = itertools.count(), set[str]()
    while failures := faults(members, evidence, under_way.told) or verify(members, under_way.told, tools):
        if next(tries) < _MOST_NAMED:
            named = named_first(failures, group, under_way.told, said, tools)
            accused |= named.keys() if len(named) < len(failures) else set()
            failures = named
        members, found = take_back(members, failures, under_way)
        evidence = evidence | found
    if len(accused) > 1:  # a log may hold the words of others too, as of a client: some may be accused in error
        under_way.results |= {name: replace(under_way.results[name], alone=True) for name in accused}
    return members, evidence


def _installed(member: Member, evidence: Evidence, told: Mapping[Service, object]) -> Result:
    result = member.turn.result(*conclusion(evidence, member.certificate))
    notes = (*result.notes, *member.losing, *member.refused_by, *left_alone(member, told))
    took_down = () if evidence.proof is Proof.PROVEN else result.took_down
    return replace(result, changed=True, ended=True, notes=notes, took_down=took_down)


def prepare(group: Sequence[Due], results: dict[str, Result], tools: Tools) -> list[Member]:
    """Make each ready for the swap, with a way back. Where that fails, one is left as it is, with its result in
    *results*; the others go on and are returned."""
    members = []
    for number, due in enumerate(group):
        try:
            if number == 0:
                tools.state.new_work(due.turn.journal)
            member = stage(due)
            member.saved = back_up(member, group[0].turn.journal, number, tools)
        except CertfleetError as failure:
            results[due.name] = _untouched(due.turn, failure)
            continue
        members.append(member)
    in_place = ((member.name, member.due.in_place) for member in members)
    keep_replaced([(name, bundle) for name, bundle in in_place if bundle is not None], tools)
    look_before(members, tools)
    return members


def stage(due: Due) -> Member:
    """Plan what its live files become. Raises InstallError if its key is no longer the one that was verified; also
    ConfigError, RefusedError, FileError."""
    if due.turn.tools.keys.load(due.key_file).spki_sha256 != due.key.spki_sha256:
        raise InstallError("stage", f"the key {due.key_file} is another one than a moment ago")
    planned = plan(due)
    return Member(due, planned, losing_lists(planned))


def _untouched(turn: Turn, failure: CertfleetError) -> Result:
    result = turn.result(Outcome.FAILED, f"{failure}; no live file was touched", failure.hint)
    return replace(result, ended=True)


def back_up(member: Member, folder: str, number: int, tools: Tools) -> tuple[SavedFile, ...]:
    """Copy every live file, as it was read for the plan, to the work *folder*. Returns which copy is of which file.
    *number*: of the member. Raises FileError."""
    saved = []
    for count, (file, one) in enumerate(member.planned.items()):
        live, new = one.live, one.new
        if live is None:
            saved.append(SavedFile(file, new.digest))
            continue
        backup = tools.state.save_work(folder, f"backup-{number}-{count}", live.content)
        facts = (live.digest, live.mode, live.uid, live.gid, dict(live.attributes or {}))
        saved.append(SavedFile(file, new.digest, str(backup), *facts))
    return tuple(saved)


def open_journal(name: str, members: Sequence[Member], tools: Tools) -> JournalEntry:
    """Save the way back, before anything changes. Raises FileError."""
    parts, host = tuple(member.part for member in members), members[0].certificate.host
    entry = JournalEntry(name, InstallState.BACKED_UP, parts, host)
    tools.state.sync_work(name)
    tools.state.save_journal(entry)
    return entry


def swap(members: Sequence[Member], tools: Tools) -> Failures:
    """Write the new content into the live files. Returns the members whose files cannot be written."""

    def replace_of(some: Sequence[Member]) -> None:
        tools.files.replace({file: one.new for member in some for file, one in member.planned.items()})

    return {member.name: failure for member, failure in faulty(replace_of, members)}


def check_after(members: Sequence[Member], tools: Tools) -> Failures:
    """Find the members with a new file that their services may not read; then let each service's own check judge the
    new files of the others. No service has been told yet. Returns those at fault. Raises FileError."""
    failures = kept_from_all(members, tools)
    for service, users in services_of(members).items():
        failures |= leave_out(service, [user for user in users if user.name not in failures], tools)
    return failures


def activate(members: Sequence[Member], tools: Tools) -> dict[Service, list[CertfleetError]]:
    """Tell each service once. One that nothing proves to run is left alone, unless it is to be started; one that a
    person restarts is always left alone. systemd refuses a unit that was started too often of late: such a service gets
    its commands for `restart` instead. Returns the services that were told, with what failed."""
    told = {}
    await_jobs(services_of(members), tools)
    for service, users in services_of(members).items():
        if service.asks:
            continue
        stopped = life(service, users, tools) is Life.STOPPED
        if stopped and not is_to_start(service, [user.turn for user in users]):
            _log.warning("install.service-was-down", service=service.name, certificate=users[0].name)
            continue
        told[service] = tell("activate", (stopped and service.start) or service.activate, tools)
        if service.restart and any(is_too_often(str(failure)) for failure in told[service]):
            told[service] = tell("restart it", service.restart, tools)
    return told


def take_back(
    members: list[Member], failures: Failures, under_way: Install
) -> tuple[list[Member], dict[str, Evidence]]:
    """Roll back those with *failures*; services that were told are told once more. Members that went back earlier and
    are BROKEN since are rolled back again. Returns those that stay, and the evidence on them if a service was told."""
    if not failures:
        return members, {}
    tools, told = under_way.tools, under_way.told
    staying = [member for member in members if member.name not in failures]
    leaving = [one for one in members if one.name in failures]
    stays = tuple(member.due.sha256 for member in staying)
    why = {one.name: with_cure(failures[one.name], one) for one in leaving}
    returning = [Returning(one.turn, one.part, why[one.name], one.beside, stays) for one in leaving]
    earlier = [one for one in under_way.returned if under_way.results[one.part.name].outcome is Outcome.BROKEN]
    for one in returning:
        state = under_way.entry.state.value
        _log.info("install.failed", certificate=one.part.name, state=state, error=str(one.failure))
    with tools.unbroken():
        if not staying:
            note_roll_back(under_way.entry, tools)
        watched = [(member.turn, judge_of(member)) for member in staying] if told else []
        found, evidence, failed = roll_back([*earlier, *returning], told, tools, watched)
    told |= failed
    under_way.returned += returning
    under_way.results |= found
    return staying, evidence


def _mark_refused(group: Sequence[Member], staying: Sequence[Member], under_way: Install) -> None:
    """Mark the certificates of services that were told and took none of them. Where they are several, each goes alone
    next time, because one may have taken the service down."""
    stays, results = {member.name for member in staying}, under_way.results
    refused = {
        service: users
        for service, users in services_of(group).items()
        if service in under_way.told and stays.isdisjoint(user.name for user in users)
    }
    down = {service for service, users in refused.items() if not _runs_on(users, under_way.evidence)}
    for users in refused.values():
        for user in users:
            result, ran_on = results[user.name], down.isdisjoint(user.certificate.services)
            results[user.name] = replace(result, alone=result.alone or len(users) > 1, ran_on=ran_on)


def _runs_on(users: Sequence[Member], evidence: Mapping[str, Evidence]) -> bool:
    """Do the sockets of *users* of one service show that it runs, and does none show less than before?"""
    found = [evidence[user.name] for user in users if user.name in evidence]
    return any(one.proof in _ANSWER for one in found) and not any(one.lost for one in found)


def commit(under_way: Install) -> bool:
    """The new certificates stay. False where the journal could not be written: the next run would find them proven. The
    journal keeps the way back of those that could not be brought back."""
    left = [one.part.name for one in under_way.returned if not under_way.results[one.part.name].ended]
    if left:
        return note_roll_back(under_way.entry.of(left), under_way.tools)
    return enter_if_written(InstallState.COMMITTED, under_way.entry, under_way.tools)
