"""After a service was told of new files: what its sockets, its commands, its log and its own proofs say of each."""

from collections.abc import Iterator, Mapping, Sequence

from agent.journey.member import Member, await_jobs, failed_unseen, judge_of, services_of
from agent.journey.ports import Tools
from agent.journey.shown import with_names
from agent.journey.watch import of_service, watch_all
from agent.model.certificate import Certificate, Service
from agent.model.errors import HostLost, InstallError
from agent.rules.blame_in_logs import named_in, new_lines
from agent.rules.conclusion import conclusion, why_here
from agent.rules.evidence import Evidence, Proof, judge
from common.dataclasses import replace
from common.errors import CertfleetError
from common.probe.view import Seen

Failures = dict[str, CertfleetError]  # by the name of the certificate
Told = Mapping[Service, Sequence[CertfleetError]]  # with what failed
Said = Mapping[Service, Sequence[str]]  # the last lines of its logs


def prove(members: Sequence[Member], told: Told, tools: Tools) -> dict[str, Evidence]:
    """Look at the sockets until all that answer show the new leaves and their chains, or the time is over. Services of
    which none could be told are not waited for."""
    patient = any(len(failures) < max(1, len(service.activate)) for service, failures in told.items())
    return watch_all([(member.turn, judge_of(member)) for member in members], tools, patient=patient)


def stopped_since(
    members: Sequence[Member], evidence: Mapping[str, Evidence], told: Told, tools: Tools
) -> list[Service]:
    """The services *told* that somebody has stopped since, as an upgrade does for a moment: no certificate is at fault
    for that. From now on their members know them as stopped before the install."""
    wrong = [member for member in members if evidence[member.name].proof is Proof.WRONG]
    asked = [service for service in services_of(wrong) if service in told and service.was_stopped]
    await_jobs(asked, tools)
    stopped = [service for service in asked if _was_stopped(service, tools)]
    for member in members if stopped else ():
        looks = (*member.before, *member.beside)
        over = {sight for service in stopped for sight in of_service(service, member.turn, looks)}
        member.before = tuple(replace(one, seen=Seen.DOWN) if one in over else one for one in member.before)
        member.beside = tuple(one for one in member.beside if one not in over)
    return stopped


def _was_stopped(service: Service, tools: Tools) -> bool:
    try:
        tools.programs.run("ask who stopped it", service.was_stopped)
    except (InstallError, HostLost):
        return False
    return True


def faults(members: Sequence[Member], evidence: Mapping[str, Evidence], told: Told) -> Failures:
    """The certificates that their sockets do not show as they must, each with why.

    A service that was down before, and is still, has not been made worse: the verified files stay, for it may need
    them to start at all. So does one that shows no chain, unless its clients had a better one before. A command that
    failed counts where the sockets cannot say more.
    """
    failures: Failures = {}
    for member in members:
        found = evidence[member.name]
        hint = conclusion(found, member.certificate)[2]
        commands = [error for service in member.certificate.services for error in told.get(service, ())]
        if found.proof is Proof.WRONG:
            failures[member.name] = commands[0] if commands else _wrong(member, found, hint)
        elif found.proof is Proof.INCOMPLETE and _was_whole(member):
            what = "the service does not serve the new certificate whole, as it did the one before"
            failures[member.name] = InstallError("prove", what, why=found.detail, hint=hint)
        elif found.proof in {Proof.NOTHING_TO_ASK, Proof.UNKNOWN} and commands:
            failures[member.name] = commands[0]
        elif failed := failed_unseen(member, told):
            failures[member.name] = failed[0]
    return _with_unseen(failures, members, evidence)


def _wrong(member: Member, found: Evidence, hint: str) -> InstallError:
    """The failure where a socket shows something else; *hint* is for one of another certificate than the one before."""
    was, why = member.turn.before.installed, why_here(member.certificate, (*found.others, *found.lost))
    before = was.sha256 if was is not None else ""
    if found.lost:
        hint = why or hint
    elif all(sight.sha256 == before for sight in found.others):
        hint = "; or ".join(filter(None, [why, hint]))
    what = "the service does not serve the new certificate"
    return InstallError("prove", what, why=with_names(found, before), hint=hint)


def _with_unseen(failures: Failures, members: Sequence[Member], evidence: Mapping[str, Evidence]) -> Failures:
    """The *failures*; where a service shows none of the new certificates, also of those that no socket can show: one of
    these may be why."""
    for users in services_of(members).values():
        proofs = {evidence[user.name].proof for user in users}
        if Proof.WRONG in proofs and proofs.isdisjoint({Proof.PROVEN, Proof.INCOMPLETE}):
            why = next(failures[user.name] for user in users if evidence[user.name].proof is Proof.WRONG)
            failures = dict.fromkeys((user.name for user in users), why) | failures
    return failures


def verify(members: Sequence[Member], told: Mapping[Service, object], tools: Tools) -> Failures:
    """Run each service's own proofs, for what no socket shows. A failure is the fault of all that concern the
    service."""
    failures: Failures = {}
    for service, users in services_of(members).items():
        if service in told:
            try:
                tools.programs.run("verify", service.verify)
            except (InstallError, HostLost) as failure:
                failures |= {user.name: failure for user in users}
    return failures


def listen(members: Sequence[Member], tools: Tools) -> Said:
    """The last lines in the logs of their services."""
    return {service: list(_lines(service, tools)) for service in services_of(members)}


def _lines(service: Service, tools: Tools) -> Iterator[str]:
    for command in service.journal:
        yield from tools.programs.lines(command)
    for log in service.logs:
        yield from tools.programs.ends_of(log)


def named_first(failures: Failures, group: Sequence[Member], told: Told, before: Said, tools: Tools) -> Failures:
    """Those of the *failures* whose files a service names in its log, since that was as *before*, or in what a command
    said of it; with its words. All of them where it names none: any may be at fault; with its words on the files of
    another certificate for the service, outside the *group* of the install, which may be why."""
    failed = [member for member in group if member.name in failures]
    try:
        now = listen(failed, tools)
    except HostLost:
        return failures
    lines = [line for service, some in now.items() for line in new_lines(before.get(service, ()), some)]
    lines += [str(error) for service in now for error in told.get(service, ())]
    lines += dict.fromkeys(map(str, failures.values()))
    found = named_in(lines, {member.name: member.texts for member in failed})
    read = {member.name: member.certificate.to_read for member in failed}
    if not found:
        inside = {member.name for member in group}
        others = [
            one for one in tools.certificates if one.name not in inside and not now.keys().isdisjoint(one.services)
        ]
        words = next(filter(None, named_in(lines, {one.name: _texts(one) for one in others}).values()), "")
        found = dict.fromkeys(failures, words)
    return {name: _in_its_words(failures[name], words, read[name]) for name, words in found.items()}


def _texts(certificate: Certificate) -> tuple[str, ...]:
    return (*(str(file.path) for file in certificate.files), str(certificate.key))


def _in_its_words(failure: CertfleetError, words: str, to_read: str) -> CertfleetError:
    if not words or words in str(failure) or str(failure) in words:
        return failure
    step = failure.step if isinstance(failure, InstallError) else "prove"
    why, hint = f"{failure.why}; its log says: {words}", f"mend what its log says{to_read}"
    return InstallError(step, failure.what, why=why, hint=hint)


def _was_whole(member: Member) -> bool:
    """Did the sockets show the one before with all of its chain, and is it valid still?"""
    was = member.turn.before.installed
    if was is None or not was.not_before or was.not_after <= member.turn.tools.now:
        return False
    return judge(member.before, was.sha256, chain=was.chain).proof is Proof.PROVEN
