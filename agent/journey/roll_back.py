"""The way back: after a failed step, and for an install that was interrupted. Everything here can be done twice."""

from dataclasses import replace
from pathlib import Path

from agent.journey.ports import Tools, Turn
from agent.journey.watch import watch
from agent.model.errors import InstallError
from agent.model.live_file import LiveFile, digest
from agent.model.result import Outcome, Result
from agent.rules.evidence import Evidence, Proof, conclusion, is_as_before, judge, served_any, was_down
from agent.rules.install_states import InstallState
from agent.rules.journal import JournalEntry
from common.errors import CertfleetError, FileError
from common.late_log import LateLog

_log = LateLog()


def enter(state: InstallState, entry: JournalEntry, tools: Tools) -> JournalEntry:
    """Write the journal first, so that the caller may do the deed. Raises FileError."""
    entry = entry.at(state)
    tools.state.save_journal(entry)
    return entry


def roll_back(turn: Turn, entry: JournalEntry, failure: CertfleetError, *, told: bool) -> Result:
    """Put the old files back, tell the service if it was *told* of the new ones, and look whether it serves again
    what it served before. Never raises a CertfleetError.
    """
    at_fault = isinstance(failure, InstallError)  # a full disk is not the certificate's fault
    try:
        _note_roll_back(entry, turn.tools)
        turn.tools.files.restore(_old_files(entry, turn.tools))
    except CertfleetError as error:  # the journal stays open, so that the next run tries again
        detail = f"{failure}; ROLL BACK FAILED, the old files could not be put back: {error}"
        return replace(turn.result(Outcome.BROKEN, detail, error.hint), at_fault=at_fault)
    problems = _tell_again(turn) if told else []
    evidence = _look_until_as_before(turn, entry)
    if evidence.proof is Proof.PROVEN or was_down(entry.before):
        problems = []  # the sockets know better than an exit code; a service that was down is as it was
    elif evidence.proof is Proof.WRONG:
        problems = [*problems, evidence.detail]
    if problems:
        detail = f"{failure}; ROLLED BACK, but the service is not as before: {'; '.join(problems)}"
        result = turn.result(Outcome.BROKEN, detail, "look at the service now: its old files are in place")
    else:
        result = turn.result(Outcome.FAILED, f"{failure}; rolled back, all is as it was", failure.hint)
    return replace(result, at_fault=at_fault, ended=True)


def settle(turn: Turn, entry: JournalEntry) -> Result:
    """End an install that was interrupted: it stands if it is in place and proven on the sockets; else roll back."""
    interrupted = FileError(f"an install was interrupted while {entry.state.value}")
    if entry.state is InstallState.BACKED_UP:
        return replace(turn.result(Outcome.FAILED, f"{interrupted}; no live file was touched"), ended=True)
    if entry.state is InstallState.COMMITTED:  # the certificate's own turn looks at the sockets again
        return replace(turn.result(Outcome.UNPROVEN, f"{interrupted}; the new files stay"), ended=True)
    if _is_in_place(entry, turn.tools):
        evidence = watch(turn, lambda sights: judge(sights, entry.sha256, entry.before), patient=False)
        if evidence.proof is Proof.PROVEN:
            return replace(turn.result(*conclusion(evidence)), ended=True)
    return roll_back(turn, entry, interrupted, told=True)


def _note_roll_back(entry: JournalEntry, tools: Tools) -> None:
    """A journal that cannot be written any more does no harm: the one on disk leads to a roll back as well."""
    try:
        enter(InstallState.ROLLING_BACK, entry, tools)
    except FileError as error:
        _log.warning("journal.not-written", certificate=entry.name, error=str(error))


def _tell_again(turn: Turn) -> list[str]:
    try:
        turn.tools.programs.run("activate the old one", turn.certificate.activate)
    except InstallError as error:
        return [str(error)]
    return []


def _is_in_place(entry: JournalEntry, tools: Tools) -> bool:
    try:
        return all(tools.files.digest(file.path) == file.new_digest for file in entry.files)
    except FileError:
        return False


def _old_files(entry: JournalEntry, tools: Tools) -> dict[Path, LiveFile | None]:
    """The files as they were, from the backups. FileError if a backup is missing or has another digest."""
    old: dict[Path, LiveFile | None] = {}
    for file in entry.files:
        content = tools.state.read_work(Path(file.backup)) if file.backup else None
        if file.backup and (content is None or digest(content) != file.old_digest):
            raise FileError(f"the backup {file.backup} of {file.path} is missing or damaged")
        was = LiveFile(content, file.mode, file.uid, file.gid, file.attributes or {}) if content is not None else None
        old[file.path] = was
    return old


def _look_until_as_before(turn: Turn, entry: JournalEntry) -> Evidence:
    """PROVEN when every address that served is as before, WRONG when one is not; else NOTHING_TO_ASK: none served, or
    agent.toml names no socket of this certificate any more."""
    if not (served_any(entry.before) and turn.certificate.probes):
        return Evidence(Proof.NOTHING_TO_ASK)
    return watch(turn, lambda sights: is_as_before(sights, entry.before), patient=True)
