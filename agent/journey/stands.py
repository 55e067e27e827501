"""The certificate of an interrupted install that stands is put on record as the one in place.

A pause, a window or a source that is away may keep a later run from judging the offer anew: without that record it
would look for the certificate before.
"""

from agent.journey.due import found_in_files
from agent.journey.ports import Turn
from agent.model.offer import Mark
from agent.model.result import Installed, Outcome, Result
from agent.rules.journal import Part
from agent.rules.record import remembered
from agent.rules.verify import to_be_shown
from common.certificate import fingerprint, not_after, not_before, serial_text
from common.dataclasses import replace
from common.errors import CertfleetError


def with_what_stands(turn: Turn, part: Part, result: Result) -> Result:
    """*result* of settling, in which the certificate of *part* is the one that is installed, if all live files are as
    that install wrote them. It has no mark and no circumstances: the first run that may judges the offer."""
    if result.outcome in {Outcome.FAILED, Outcome.BROKEN}:
        return result
    try:
        installed = _installed(turn, part)
    except CertfleetError:  # its own turn meets that too, and says so
        return result
    if installed is None:
        return result
    kept, past = turn.before.gone_back, remembered(turn.before, part.sha256)
    gone_back = kept if kept is not None and kept.to == part.sha256 else None
    return replace(result, installed=installed, refusal=None, past=past, gone_back=gone_back)


def _installed(turn: Turn, part: Part) -> Installed | None:
    """Raises CertfleetError where key or live files cannot be read."""
    files, digests, written = turn.tools.files, {one.path: one.new_digest for one in part.files}, dict[str, str]()
    for target in turn.certificate.files:
        real = files.locate(target.path)
        live = files.read(real)
        if live is None or digests.get(real) != live.digest:
            return None
        written[str(target.path)] = live.facts
    bundle = found_in_files(turn, turn.tools.keys.load(turn.certificate.key))
    if bundle is None or fingerprint(bundle.leaf) != part.sha256:
        return None
    was = turn.before.installed
    return Installed(
        sha256=part.sha256,
        serial=serial_text(bundle.leaf),
        not_before=not_before(bundle.leaf),
        not_after=not_after(bundle.leaf),
        mark=Mark(0, 0),
        files={path: facts.split()[0] for path, facts in written.items()},
        written={**(was.written if was is not None else {}), **written},
        circumstances="",
        chain=to_be_shown(bundle),
    )
