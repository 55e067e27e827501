"""THE JOURNEY of an install: stage → back up → check → swap → check → activate → prove → commit, or roll back.

The caller has pulled and verified the offer (``agent.journey.take``, ``agent.rules.verify``). Before the swap no file
that a service reads is touched. After it the journal knows the way back, whatever happens: a failed step, a full disk,
or a kill between any two instructions (the next run calls ``settle`` first).
The truth about a service is on its sockets: exit codes of its own tools only lead there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from agent.journey.ports import Tools, Turn
from agent.journey.roll_back import enter, roll_back
from agent.journey.watch import look, watch
from agent.model.errors import InstallError
from agent.model.live_file import LiveFile
from agent.model.result import Outcome, Result
from agent.rules.evidence import Evidence, Proof, Sight, conclusion, judge, was_down
from agent.rules.install_states import InstallState
from agent.rules.journal import JournalEntry, SavedFile
from agent.rules.verify import to_be_shown
from common.certificate import Bundle, fingerprint
from common.errors import CertfleetError, FileError
from common.late_log import LateLog

_log = LateLog()


def install(turn: Turn, bundle: Bundle, planned: Mapping[Path, LiveFile], *, sound: bool) -> Result:
    """Bring a verified *bundle* to the live files, which become what is *planned*, and to the service; or leave
    everything as it was. *sound*: the live files hold a working pair now, so that the service's check must pass before.

    Never raises a CertfleetError. The journal is still open at the end: the caller closes it when the result is on
    record, if it says that the install has *ended*.
    """
    try:
        stage(turn, bundle)
        before = look(turn)
        broken_before = check_before(turn, sound=sound)
        entry = open_journal(turn, bundle, back_up(turn, planned), before)
        entry = enter(InstallState.SWAPPING, entry, turn.tools)
    except CertfleetError as failure:
        result = turn.result(Outcome.FAILED, f"{failure}; no live file was touched", failure.hint)
        return replace(result, ended=True)
    with turn.tools.unbroken():
        return _carried_out(turn, entry, bundle, planned, broken_before=broken_before)


def _carried_out(
    turn: Turn, entry: JournalEntry, bundle: Bundle, planned: Mapping[Path, LiveFile], *, broken_before: str
) -> Result:
    """From the swap to the proof, or back."""
    try:
        swap(turn, planned)
        check_after(turn, entry, broken_before)
        entry = enter(InstallState.ACTIVATING, entry, turn.tools)
        told = activate(turn, entry)
        entry = enter(InstallState.PROVING, entry, turn.tools)
        evidence = prove(turn, entry, to_be_shown(bundle), told=told)
    except CertfleetError as failure:
        name, state = turn.certificate.name, entry.state
        _log.warning("install.failed", certificate=name, state=state.value, error=str(failure))
        return roll_back(turn, entry, failure, told=state is not InstallState.SWAPPING)
    commit(entry, turn.tools)
    return replace(turn.result(*conclusion(evidence)), changed=True, ended=True)


def stage(turn: Turn, bundle: Bundle) -> None:
    """Write the public parts to the work folder and load them with the key as a TLS server would."""
    state, name = turn.tools.state, turn.certificate.name
    state.new_work(name)
    staged = state.save_work(name, "fullchain.pem", bundle.leaf_pem + bundle.chain_pem)
    turn.tools.keys.serve(staged, turn.certificate.key)


def check_before(turn: Turn, *, sound: bool) -> str:
    """Is the service's configuration in order now? Then a failed check after the swap is ours. Returns the complaint.

    Where the live files are absent, damaged or do not fit the key, the check cannot pass yet: the new ones mend that.
    """
    try:
        turn.tools.programs.run("check before", turn.certificate.check)
    except InstallError as error:
        if not sound:
            return str(error)
        what = "the service's configuration was broken before"
        hint = "mend the service's configuration; the next run goes on"
        raise InstallError(error.step, what, why=str(error), hint=hint) from error
    return ""


def back_up(turn: Turn, planned: Mapping[Path, LiveFile]) -> tuple[SavedFile, ...]:
    """Copy every live file to the work folder, and say which copy is of which file."""
    saved = []
    for number, (file, new) in enumerate(planned.items()):
        live = turn.tools.files.read(file)
        if live is None:
            saved.append(SavedFile(file, new.digest))
            continue
        backup = turn.tools.state.save_work(turn.certificate.name, f"backup-{number}", live.content)
        facts = (live.digest, live.mode, live.uid, live.gid, dict(live.attributes or {}))
        saved.append(SavedFile(file, new.digest, str(backup), *facts))
    return tuple(saved)


def open_journal(turn: Turn, bundle: Bundle, saved: tuple[SavedFile, ...], before: tuple[Sight, ...]) -> JournalEntry:
    """From here on the way back is on record."""
    entry = JournalEntry(turn.certificate.name, fingerprint(bundle.leaf), InstallState.BACKED_UP, saved, before)
    turn.tools.state.save_journal(entry)
    return entry


def swap(turn: Turn, planned: Mapping[Path, LiveFile]) -> None:
    """From here on live files change."""
    turn.tools.files.replace(planned)


def check_after(turn: Turn, entry: JournalEntry, broken_before: str) -> None:
    """The service's own test, now on the new files; the service has not been told yet.

    A service that does not run and whose configuration was broken before may miss more than this certificate (two
    that are new on one host miss each other): these files are not at fault, and they stay.
    """
    try:
        turn.tools.programs.run("check", turn.certificate.check)
    except InstallError as error:
        if not (broken_before and was_down(entry.before)):
            raise
        _log.warning("install.check-fails-as-before", certificate=entry.name, error=str(error))


def activate(turn: Turn, entry: JournalEntry) -> bool:
    """Tell the service. One that did not run before cannot be told: its sockets say how it is. Was it told?"""
    try:
        turn.tools.programs.run("activate", turn.certificate.activate)
    except InstallError as error:
        if not was_down(entry.before):
            raise
        _log.warning("install.service-was-down", certificate=entry.name, error=str(error))
        return False
    return True


def prove(turn: Turn, entry: JournalEntry, chain: Sequence[str], *, told: bool) -> Evidence:
    """Look at the sockets until all that answer show the new leaf and its *chain*; InstallError if they do not in time.

    A service that was down before, and is still, has not been made worse: the verified files stay, for it may need
    them to start at all. So does one that shows no chain, unless its clients had a better one before.
    """
    evidence = watch(turn, lambda sights: judge(sights, entry.sha256, entry.before, chain), patient=told)
    if evidence.proof is Proof.WRONG:
        raise InstallError("prove", "the service does not serve the new certificate", why=evidence.detail)
    if evidence.proof is Proof.INCOMPLETE and _was_whole(turn, entry.before):
        what = "the service does not serve the new certificate whole, as it did the one before"
        raise InstallError("prove", what, why=evidence.detail, hint=conclusion(evidence)[2])
    return evidence


def _was_whole(turn: Turn, before: Sequence[Sight]) -> bool:
    """Did the sockets show the one before with all of its chain, and is it valid still?"""
    was = turn.before.installed
    if was is None or not was.not_before or was.not_after <= turn.tools.now:
        return False
    return judge(before, was.sha256, chain=was.chain).proof is Proof.PROVEN


def commit(entry: JournalEntry, tools: Tools) -> None:
    """The new certificate stays, even where the journal cannot say so any more: the next run would find it proven."""
    try:
        enter(InstallState.COMMITTED, entry, tools)
    except FileError as error:
        _log.warning("journal.not-written", certificate=entry.name, error=str(error))
