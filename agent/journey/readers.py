"""Files that the services of their certificate run and may not read: they would take no new files, and end at their
next start."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from agent.journey.member import Member, services_of
from agent.journey.ports import Tools
from agent.journey.proving import Failures
from agent.model.certificate import Certificate
from agent.model.errors import BrokenBefore, InstallError
from agent.rules.activation import is_restart
from common.errors import CertfleetError, FileError

RIGHTS_HINT = (
    "let it read that: `owner`, or `group` and `mode`, of that file in agent.toml, or `chown`, `chgrp` and `chmod`; "
    "where another user may read it for the service, say so: `key_readable_by` in a preset of your own"
)


def kept_from_all(members: Sequence[Member], tools: Tools) -> Failures:
    """The members with a new file that none of its services may read. Where none of the files holds a key, the services
    may read it elsewhere, as in a file that a person made: that they may not read the key's own file is a doubt then,
    which is told only if they fail."""
    failures: Failures = {}
    for member in members:
        certificate = member.certificate
        if problem := unreadable(certificate, [file.path for file in certificate.files], tools):
            failures[member.name] = InstallError("check", problem, hint=RIGHTS_HINT)
        elif not any(file.holds_key for file in certificate.files):
            member.doubt = unreadable(certificate, [certificate.key], tools)
    return failures


def kept_from_their_restart(members: Sequence[Member], tools: Tools) -> Failures:
    """The members with a service that a restart tells of their files, if it may not read a file of another certificate
    that is in place: it may end, and start no more. None of the members is at fault."""
    failures: Failures = {}
    names = {member.name for member in members}
    for service, users in services_of(members).items():
        if not service.may_read or not is_restart(service.activate):
            continue
        others = [one for one in tools.certificates if one.name not in names and service in one.services]
        problem = next(filter(None, (unreadable(one, _in_place(one, tools), tools) for one in others)), "")
        if problem:
            what = f"{problem}: its restart may end it, with any new file"
            failures |= {user.name: BrokenBefore(what, hint=RIGHTS_HINT) for user in users}
    return failures


def unreadable(certificate: Certificate, files: Iterable[Path], tools: Tools) -> str:
    """A sentence about the first of the *files* that no service of the certificate may read; "" if there is none, or
    nobody can tell. One that reads as root reads all."""
    services = certificate.services
    if not services or not all(service.may_read for service in services):
        return ""
    closed = (file for file in files if not any(_reads(service.may_read, file, tools) for service in services))
    readers = " and ".join(dict.fromkeys(f"{one.label} runs as {one.reader}" for one in services))
    return next((f"{readers}, who may not read {file}" for file in closed), "")


def with_cure(failure: CertfleetError, member: Member) -> CertfleetError:
    """The *failure* of *member*; where nothing says more, with what may be its cause, and what to do."""
    if type(failure) is not InstallError or failure.hint:
        return failure
    why, hint = failure.why, f"mend what it says{member.certificate.to_read}"
    if member.doubt:
        why, hint = f"{why}; {member.doubt}, which its configuration may name", f"{hint}; or {RIGHTS_HINT}"
    return InstallError(failure.step, failure.what, why=why, hint=hint)


def _in_place(certificate: Certificate, tools: Tools) -> Iterator[Path]:
    """The files of another certificate that are there; what else is wrong with one is told by its own install."""
    for file in certificate.files:
        with suppress(FileError):
            if tools.files.read(file.path) is not None:
                yield file.path


def _reads(may_read: Sequence[str], file: Path, tools: Tools) -> bool:
    try:
        tools.programs.run("ask who may read it", [(*may_read, str(file))])
    except InstallError:
        return False
    return True
