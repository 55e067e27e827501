"""THE JOURNEY of an install: stage → back up → check → swap → check → activate → prove → commit, or roll back.

The caller has pulled and verified the offer (``agent.journey.update``, ``agent.rules.verify``). Before the swap no file
that a service reads is touched. After it the journal knows the way back, whatever happens: a failed step, a full disk,
or a kill between any two instructions (the next run calls ``settle`` first).
The truth about a service is on its sockets: exit codes of its own tools only lead there.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path

import structlog

from agent.host import live_files
from agent.journey.roll_back import roll_back
from agent.journey.steps import Ending, Tools, enter, outcome_of, placed, run_all, watch
from agent.model.certificate import Certificate
from agent.model.errors import InstallError
from agent.rules.evidence import Evidence, Proof, Sight, judge, was_down
from agent.rules.install_states import InstallState, Outcome
from agent.rules.journal import JournalEntry, SavedFile
from common.certificate import Bundle, fingerprint
from common.errors import CertfleetError, FileError
from common.files import NewContent, write_atomic

_log = structlog.get_logger()


def install(certificate: Certificate, bundle: Bundle, key: bytes, sound: bool, tools: Tools) -> Ending:
    """Bring a verified *bundle* to the live files and the service, or leave everything as it was. Never raises
    a CertfleetError. *sound*: the live files hold a working pair now, so that the service's check must pass before.

    The journal is still open at the end: the caller closes it when the ending is on record (``StateFolder.finish``).
    """
    try:
        planned = live_files.plan(certificate, bundle, key, tools.protected)
        work = tools.state.work_folder(certificate.name)
        stage(certificate, bundle, work)
        before = tools.sockets.look(certificate.probes, certificate.server_name)
        broken_before = check_before(certificate, sound, tools)
        entry = open_journal(certificate, bundle, back_up(planned, work), before, tools)
        entry = enter(InstallState.SWAPPING, entry, tools)
    except CertfleetError as failure:
        return Ending(Outcome.FAILED, f"{failure}; no live file was touched", failure.hint)
    try:
        swap(planned)
        check_after(certificate, entry, broken_before, tools)
        entry = enter(InstallState.ACTIVATING, entry, tools)
        told = activate(certificate, entry, tools)
        entry = enter(InstallState.PROVING, entry, tools)
        evidence = prove(certificate, entry, told, tools)
        return commit(entry, evidence, tools)
    except CertfleetError as failure:
        _log.warning("install.failed", certificate=certificate.name, state=entry.state.value, error=str(failure))
        told = entry.state is not InstallState.SWAPPING
        return roll_back(certificate, entry, failure, told, tools)


def stage(certificate: Certificate, bundle: Bundle, work: Path) -> None:
    """Write the public parts to the folder *work* and load them with the key as a TLS server would."""
    staged = work / "fullchain.pem"
    write_atomic(staged, bundle.leaf_pem + bundle.chain_pem, mode=0o600)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(staged, certificate.key)
    except (ssl.SSLError, OSError) as error:
        what = "a TLS server could not load the certificate with its key"
        raise InstallError("stage", what, why=str(error)) from error


def check_before(certificate: Certificate, sound: bool, tools: Tools) -> str:
    """Is the service's configuration in order now? Then a failed check after the swap is ours. Returns what is wrong.

    Where the live files are absent, damaged or do not fit the key, the check cannot pass yet: the new ones mend that.
    """
    try:
        run_all("check before", certificate.check, tools)
    except InstallError as error:
        if not sound:
            return str(error)
        what = "the service's configuration was broken before"
        hint = "mend the service's configuration; the next run goes on"
        raise InstallError(error.step, what, why=str(error), hint=hint) from error
    return ""


def back_up(planned: Mapping[Path, NewContent], work: Path) -> tuple[SavedFile, ...]:
    """Copy every live file to the folder *work*, and say what is where."""
    saved = []
    for number, (file, new) in enumerate(planned.items()):
        live = live_files.snapshot(file)
        digest = live_files.digest(new.content)
        if live is None:
            saved.append(SavedFile(file, digest))
            continue
        backup = work / f"backup-{number}"
        write_atomic(backup, live.content, mode=0o600)
        saved.append(
            SavedFile(file, digest, str(backup), live.digest, live.mode, live.uid, live.gid, dict(live.attributes))
        )
    return tuple(saved)


def open_journal(
    certificate: Certificate, bundle: Bundle, saved: tuple[SavedFile, ...], before: tuple[Sight, ...], tools: Tools
) -> JournalEntry:
    """From here on the way back is on record."""
    entry = JournalEntry(certificate.name, fingerprint(bundle.leaf), InstallState.BACKED_UP, saved, before)
    tools.state.save_journal(entry)
    return entry


def swap(planned: Mapping[Path, NewContent]) -> None:
    """From here on live files change."""
    live_files.swap(planned)


def check_after(certificate: Certificate, entry: JournalEntry, broken_before: str, tools: Tools) -> None:
    """The service's own test, now on the new files; the service has not been told yet.

    A service that does not run and whose configuration was broken before may miss more than this certificate (two
    that are new on one host miss each other): these files are not what is wrong, and they stay.
    """
    try:
        run_all("check", certificate.check, tools)
    except InstallError as error:
        if not (broken_before and was_down(entry.before)):
            raise
        _log.warning("install.check-fails-as-before", certificate=certificate.name, error=str(error))


def activate(certificate: Certificate, entry: JournalEntry, tools: Tools) -> bool:
    """Tell the service. One that did not run before cannot be told: its sockets say how it is. Was it told?"""
    try:
        run_all("activate", certificate.activate, tools)
    except InstallError as error:
        if not was_down(entry.before):
            raise
        _log.warning("install.service-was-down", certificate=certificate.name, error=str(error))
        return False
    return True


def prove(certificate: Certificate, entry: JournalEntry, told: bool, tools: Tools) -> Evidence:
    """Look at the sockets until all that answer show the new leaf; InstallError if they do not in time.

    A service that was down before, and is still, has not been made worse: the verified files stay, for it may need
    them to start at all.
    """
    evidence = watch(certificate, lambda sights: judge(sights, entry.sha256, entry.before), told, tools)
    if evidence.proof is Proof.WRONG:
        raise InstallError("prove", "the service does not serve the new certificate", why=evidence.detail)
    return evidence


def commit(entry: JournalEntry, evidence: Evidence, tools: Tools) -> Ending:
    """The new certificate stays, even where the journal can say so no more: it is proven, and would be found so."""
    try:
        enter(InstallState.COMMITTED, entry, tools)
    except FileError as error:
        _log.warning("journal.not-written", certificate=entry.name, error=str(error))
    return Ending(outcome_of(evidence), placed(evidence))
