"""The way back: after a failed step, and for an install that was interrupted. Everything here can be done twice."""

from pathlib import Path

import structlog

from agent.host import live_files
from agent.host.live_files import Snapshot
from agent.journey.steps import Ending, Tools, enter, outcome_of, placed, run_all, watch
from agent.model.certificate import Certificate
from agent.model.errors import InstallError
from agent.rules.evidence import Evidence, Proof, is_as_before, judge, served_any, was_down
from agent.rules.install_states import InstallState, Outcome
from agent.rules.journal import JournalEntry
from common.errors import CertfleetError, FileError

_log = structlog.get_logger()


def roll_back(
    certificate: Certificate | None, entry: JournalEntry, failure: CertfleetError, told: bool, tools: Tools
) -> Ending:
    """Put the old files back, tell the service if it was *told* of the new ones, and look whether it serves again
    what it served before. *certificate* is None when it is configured no more: files are then all there is to mend.
    """
    at_fault = isinstance(failure, InstallError)  # a full disk is not the certificate's fault
    try:
        _note_roll_back(entry, tools)
        live_files.restore(_old_files(entry))
    except CertfleetError as error:
        detail = f"{failure}; ROLL BACK FAILED, the old files could not be put back: {error}"
        return Ending(Outcome.BROKEN, detail, error.hint, at_fault, restored=False)
    problems = []
    if certificate is not None:
        if told:
            problems = _tell_again(certificate, tools)
        evidence = _look_until_as_before(certificate, entry, tools)
        if evidence.proof is Proof.PROVEN:
            problems = []  # the sockets know better than an exit code
        elif evidence.proof is Proof.WRONG:
            problems = [*problems, evidence.detail]
        if was_down(entry.before):
            problems = []  # it is as it was
    if problems:
        detail = f"{failure}; ROLLED BACK, but the service is not as before: {'; '.join(problems)}"
        return Ending(Outcome.BROKEN, detail, "look at the service now: its old files are in place", at_fault)
    return Ending(Outcome.FAILED, f"{failure}; rolled back, all is as it was", failure.hint, at_fault)


def settle(certificate: Certificate | None, entry: JournalEntry, tools: Tools) -> Ending:
    """End an install that was interrupted: it stands if it is in place and proven on the sockets; else roll back."""
    interrupted = FileError(f"an install was interrupted while {entry.state.value}")
    if entry.state is InstallState.BACKED_UP:
        return Ending(Outcome.FAILED, f"{interrupted}; no live file was touched")
    if certificate is not None and _is_in_place(entry):
        evidence = watch(certificate, lambda sights: judge(sights, entry.sha256, entry.before), False, tools)
        if entry.state is InstallState.COMMITTED or evidence.proof is Proof.PROVEN:
            return Ending(outcome_of(evidence), placed(evidence))
    return roll_back(certificate, entry, interrupted, True, tools)


def _note_roll_back(entry: JournalEntry, tools: Tools) -> None:
    """Where the journal cannot be written any more, the one on disk leads the next run to a roll back as well."""
    try:
        enter(InstallState.ROLLING_BACK, entry, tools)
    except FileError as error:
        _log.warning("journal.not-written", certificate=entry.name, error=str(error))


def _tell_again(certificate: Certificate, tools: Tools) -> list[str]:
    try:
        run_all("activate the old one", certificate.activate, tools)
    except InstallError as error:
        return [str(error)]
    return []


def _is_in_place(entry: JournalEntry) -> bool:
    try:
        live = [(live_files.snapshot(file.path), file.new_digest) for file in entry.files]
    except FileError:
        return False
    return all(found is not None and found.digest == wanted for found, wanted in live)


def _old_files(entry: JournalEntry) -> dict[Path, Snapshot | None]:
    """The files as they were, from the backups. FileError if a backup is not what was put there."""
    old: dict[Path, Snapshot | None] = {}
    for file in entry.files:
        backup = live_files.snapshot(Path(file.backup)) if file.backup else None
        if file.backup and (backup is None or backup.digest != file.old_digest):
            raise FileError(f"the backup {file.backup} of {file.path} is missing or damaged")
        old[file.path] = (
            Snapshot(backup.content, file.mode, file.uid, file.gid, file.attributes or {}) if backup else None
        )
    return old


def _look_until_as_before(certificate: Certificate, entry: JournalEntry, tools: Tools) -> Evidence:
    """PROVEN when every address that served is as before, NOTHING_TO_ASK when none served, WRONG otherwise."""
    if not served_any(entry.before):
        return Evidence(Proof.NOTHING_TO_ASK)
    return watch(certificate, lambda sights: is_as_before(sights, entry.before), True, tools)
