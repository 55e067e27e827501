"""A person goes back to a certificate that was in place before, by the same journey as any install.

It stays: what was left is not taken again, however often the source offers it. A newer one is.
"""

from collections.abc import Sequence
from shlex import quote

from agent.journey.answers import circumstances_of
from agent.journey.due import Due, found_in_files, unless_in_place
from agent.journey.groups import install_all
from agent.journey.keep import kept
from agent.journey.on_record import on_record, reported
from agent.journey.ports import Tools, Turn
from agent.journey.vouch import revoked, vouch
from agent.model.certificate import Certificate
from agent.model.errors import HostLost, VerificationError
from agent.model.live_file import digest
from agent.model.offer import Mark
from agent.model.result import Outcome, Result, with_notes_told
from agent.model.waiting import GoneBack
from agent.rules.kept import choice
from agent.rules.standing import standing
from agent.rules.verify import Expectation, verify
from common.certificate import Bundle, fingerprint, serial_text
from common.dataclasses import replace
from common.errors import CertfleetError, Finding


def go_back(certificate: Certificate, serial: str, tools: Tools) -> Result:
    """Install the kept one with that *serial*; for "" the one before. Interrupted installs are settled already.

    Raises RefusedError where there is none; VerificationError where it does not fit any more, FileError, ConfigError:
    no live file was touched. A result that FAILED is on no record: all is as it was.
    """
    before = tools.state.record(certificate.name)
    there, journal = tools.on(certificate.host), tools.state.free_journal(certificate.name)
    turn = Turn(certificate, before, there, before.pause, before.disabled, journal=journal)
    key = turn.tools.keys.load(certificate.key)
    in_place, installed = found_in_files(turn, key), before.installed
    in_files = fingerprint(in_place.leaf) if in_place is not None else _untouched(turn)
    left = dict(before.gone_back.left) if before.gone_back is not None else {}
    chosen = choice(kept(certificate.name, tools), in_files, left, key.spki_sha256, serial)
    to, present = fingerprint(chosen.leaf), in_files or (installed.sha256 if installed is not None else "")
    if left.pop(to, None) is None and present not in {"", to}:  # else it is a step forward again, or none
        left = {present: _serial(in_place, turn), **left}
    gone_back = GoneBack(to, left, int(tools.now)) if left else None
    due = _ready(turn, chosen, gone_back, installed.mark if installed is not None else Mark(0, 0))
    if findings := revoked(turn, chosen):
        raise _unfit(chosen, findings)
    ((_, result),) = next(install_all([due]))
    if result.outcome is not Outcome.FAILED:
        found = with_notes_told(standing(replace(result, refusal=None), tools.now))
        (result,) = on_record([(turn, found)], tools)
    if result.ended:
        tools.state.finish(turn.journal)
    if result.outcome is Outcome.FAILED:
        return replace(result, refusal=None)  # no run tries it again
    return reported([result], tools)[0]


def _untouched(turn: Turn) -> str:
    """The SHA-256 of the leaf that was installed, if each live file is as that install wrote it: a keystore may not be
    opened. "" else."""
    was, files = turn.before.installed, turn.tools.files
    if was is None or any(files.digest(file.path) != was.files.get(str(file.path)) for file in turn.certificate.files):
        return ""
    return was.sha256


def stay(turn: Turn, gone_back: GoneBack, mark: Mark) -> Due | Result:
    """The offer was left by a rollback: the certificate that was gone back to stays, or is put back.

    Raises FileError.
    """
    hint = f"`certfleet-agent release {quote(turn.certificate.name)}` takes what the source offers"
    try:
        for one in kept(turn.certificate.name, turn.tools):
            if fingerprint(one.leaf) == gone_back.to:
                return unless_in_place(_ready(turn, one, gone_back, mark))
    except HostLost:
        raise
    except CertfleetError as error:
        return turn.result(Outcome.REFUSED, f"{error}; no live file was touched", hint)
    detail = "the certificate that was gone back to is not kept any more; no live file was touched"
    return turn.result(Outcome.REFUSED, detail, hint)


def _ready(turn: Turn, bundle: Bundle, gone_back: GoneBack | None, mark: Mark) -> Due:
    """The kept one as an install takes it. The issuer's word on it was heard when it came. Raises VerificationError
    with every finding."""
    tools, certificate = turn.tools, turn.certificate
    key = tools.keys.load(certificate.key)
    in_place = found_in_files(turn, key)
    findings = verify(bundle, Expectation(key.spki_sha256, certificate.names), tools.now)
    by_issuer = False
    if not findings:
        voucher, findings = vouch(turn, bundle, key, in_place)
        by_issuer = voucher.is_issuer
    if findings:
        raise _unfit(bundle, findings)
    offered = digest(bundle.leaf_pem + bundle.chain_pem)
    circumstances = circumstances_of(turn)
    return Due(turn, bundle, key, mark, circumstances, offered, by_issuer, in_place, gone_back)


def _unfit(bundle: Bundle, findings: Sequence[Finding]) -> VerificationError:
    what = f"the certificate kept, serial {serial_text(bundle.leaf)}, does not fit"
    return VerificationError(what, findings, hint="name another one with --to")


def _serial(in_place: Bundle | None, turn: Turn) -> str:
    if in_place is not None:
        return serial_text(in_place.leaf)
    return turn.before.installed.serial if turn.before.installed is not None else "unknown"
