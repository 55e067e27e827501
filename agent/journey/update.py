"""One certificate, one run: is there anything to do? Most days there is not, and this answers without parsing one.

The mark of its row, the digests of its live files, a digest of settings and key file, and its sockets are compared with
what is on record. Only if one of them differs is the certificate fetched (``agent.journey.take``). Rights of live files
that drifted are put right on the way.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agent.journey.answers import circumstances_of, not_enrolled, offered, still_refused, waiting
from agent.journey.ports import Turn
from agent.journey.put_right import put_right
from agent.journey.watch import first_look
from agent.model.errors import SourceError
from agent.model.live_file import digest
from agent.model.offer import Mark, Offer
from agent.model.result import Installed, Outcome, Refusal, Result
from agent.rules.conclusion import conclusion
from agent.rules.evidence import Proof, judge
from common.dataclasses import replace
from common.probe.view import Seen

if TYPE_CHECKING:
    from agent.journey.due import Due


def update(turn: Turn, mark: Mark | None) -> "Due | Result":
    """How one certificate stands, or that it is due; *mark* is None where the source does not know its name.

    Raises SourceError; FileError if live files cannot be read.
    """
    if mark is None:
        return not_enrolled(turn)
    if mark.is_waiting:
        return waiting(turn)
    certificate, files = turn.certificate, turn.tools.files
    circumstances = circumstances_of(turn)
    refusal, was = turn.before.refusal, turn.before.installed
    lives = {file: files.read(file.path) for file in certificate.files}
    digests = {str(file.path): live.digest if live else "" for file, live in lives.items()}
    if refusal is not None and _is_too_early(turn, refusal, circumstances):
        result = _as_it_is(turn, replace(refusal, mark=mark), was, digests)
        if result is not None:
            return put_right(turn, result, lives, circumstances)
    if was is not None and (was.mark, was.circumstances, was.files) == (mark, circumstances, digests):
        evidence = judge(first_look(turn), was.sha256, chain=was.chain, by_hand=certificate.by_hand)
        if evidence.proof is not Proof.WRONG:
            result = replace(turn.result(*conclusion(evidence, certificate)), refusal=None)
            return put_right(turn, result, lives, circumstances)
    from agent.journey.take import take  # noqa: PLC0415 - X.509 costs 0.1 s, and a run without news has no use for it

    found = take(turn, mark, circumstances)
    if isinstance(found, Result) and found.outcome is Outcome.REFUSED:
        return put_right(turn, found, lives, circumstances)
    return found


def unreachable(turn: Turn, error: SourceError) -> Result:
    """The source could not be asked; what can be looked at without it is looked at. Raises FileError."""
    lives = {file: turn.tools.files.read(file.path) for file in turn.certificate.files}
    result = turn.result(Outcome.UNREACHABLE, str(error), error.hint)
    return put_right(turn, result, lives, circumstances_of(turn))


def _is_too_early(turn: Turn, refusal: Refusal, circumstances: str) -> bool:
    """Is it too early to try again what was refused, and does the source still offer it? A row may change under one
    mark.

    Raises SourceError.
    """
    if turn.tools.retry or not refusal.lasts(circumstances, turn.tools.now):
        return False
    offer = offered(turn)
    return offer is not None and digest(offer.content) == refusal.sha256


def kept_from(turn: Turn, offer: Offer) -> Refusal | None:
    """The refusal, or failed install, for which a run does not try *offer* yet; None if it does."""
    refusal = turn.before.refusal
    if refusal is None or refusal.sha256 != digest(offer.content):
        return None
    return refusal if refusal.lasts(circumstances_of(turn), turn.tools.now) else None


def _as_it_is(turn: Turn, refusal: Refusal, was: Installed | None, digests: Mapping[str, str]) -> Result | None:
    """The result that it stays refused, with what has come about since: the one in place is not served any more; or the
    service that it broke is mended, so that it has only FAILED. None where it is to be tried once more: it is the first
    certificate here, and broke the service once, which systemd may have mended."""
    result = still_refused(turn, refusal)
    if refusal.outcome is not Outcome.BROKEN:
        lost = _lost(turn, was, digests)
        return replace(result, detail=f"{result.detail}; by now {lost}") if lost else result
    mended = _mended(turn, was, digests)
    if not mended:
        return result
    if was is None and refusal.attempts == 1:
        return None
    return replace(result, outcome=Outcome.FAILED, detail=f"{result.detail}; by now {mended}", hint="")


def _lost(turn: Turn, was: Installed | None, digests: Mapping[str, str]) -> str:
    """How the sockets do not show the certificate that is in place; "" if they do, or cannot be asked."""
    if was is None or was.files != digests:
        return ""
    evidence = judge(first_look(turn), was.sha256, by_hand=turn.certificate.by_hand)
    return evidence.detail if evidence.proof in {Proof.WRONG, Proof.DOWN} else ""


def _mended(turn: Turn, was: Installed | None, digests: Mapping[str, str]) -> str:
    """The sentence that the service is mended; "" while it is broken. Then its sockets show the certificate that was in
    place: a later run has brought its files back, or a person has started the service. Where none was in place, they
    answer."""
    if was is None:
        gone = any(sight.seen in {Seen.DOWN, Seen.UNKNOWN} for sight in first_look(turn))
        return "" if gone else "its sockets answer again"
    if was.files != digests:
        return ""
    proof = judge(first_look(turn), was.sha256, chain=was.chain).proof
    if proof is Proof.NOTHING_TO_ASK:
        return "the one before is in place"
    return "the one before is in place, and served" if proof is Proof.PROVEN else ""
