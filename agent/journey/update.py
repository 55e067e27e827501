"""One certificate, one run: is there anything to do? Most days there is not, and this answers without parsing one.

The mark of its row, the digests of its live files, a digest of settings and key file, and its sockets are compared with
what is on record. Only if one of them differs is the certificate fetched (``agent.journey.take``). Rights of live files
that drifted are put right on the way.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from agent.journey.ports import Turn
from agent.journey.put_right import put_right
from agent.journey.watch import look
from agent.model.errors import SourceError
from agent.model.live_file import digest
from agent.model.offer import Mark
from agent.model.result import Installed, Outcome, Refusal, Result
from agent.rules.evidence import Proof, conclusion, judge

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
    if refusal is not None and _is_held(turn, refusal, circumstances):
        result = held(turn, replace(refusal, mark=mark))
        if refusal.outcome is Outcome.BROKEN and was is not None and was.files == digests:
            result = _as_it_is(turn, result, was)
        return put_right(turn, result, lives, circumstances)
    if was is not None and (was.mark, was.circumstances, was.files) == (mark, circumstances, digests):
        evidence = judge(look(turn), was.sha256, chain=was.chain, by_hand=certificate.by_hand)
        if evidence.proof is not Proof.WRONG:
            result = replace(turn.result(*conclusion(evidence)), refusal=None)
            return put_right(turn, result, lives, circumstances)
    from agent.journey.take import take  # noqa: PLC0415 - X.509 costs 0.1 s, and a run without news has no use for it

    return take(turn, mark, circumstances)


def unreachable(turn: Turn, error: SourceError) -> Result:
    """The source could not be asked; what can be looked at without it is looked at. Raises FileError."""
    lives = {file: turn.tools.files.read(file.path) for file in turn.certificate.files}
    result = turn.result(Outcome.UNREACHABLE, str(error), error.hint)
    return put_right(turn, result, lives, circumstances_of(turn))


def circumstances_of(turn: Turn) -> str:
    """A digest of its settings and inputs: ``Certificate.circumstances``."""
    certificate, tools = turn.certificate, turn.tools
    others = [tools.here.stamp(file) for file in certificate.inputs[1:]]
    return certificate.circumstances([tools.files.stamp(certificate.key), *others])


def not_enrolled(turn: Turn) -> Result:
    name = turn.certificate.name
    detail = f"the source does not know {name}: not enrolled"
    hint = f"run `certfleet-issuer populate {name}` there; if it was removed on purpose, take it out of agent.toml"
    return turn.result(Outcome.NOT_ENROLLED, detail, hint)


def waiting(turn: Turn) -> Result:
    detail, hint = (
        "enrolled, waiting for its first certificate",
        "nothing to do here; the issuer needs it enabled, and a run",
    )
    return turn.result(Outcome.WAITING, detail, hint)


def _is_held(turn: Turn, refusal: Refusal, circumstances: str) -> bool:
    """Is it too early to try again what was refused, and is still what is offered? A row may change under one mark.

    Raises SourceError.
    """
    if turn.tools.retry or not refusal.holds(circumstances, turn.tools.now):
        return False
    offer = turn.tools.source.fetch(turn.certificate.name)
    return offer is not None and digest(offer.content) == refusal.sha256


def held(turn: Turn, refusal: Refusal) -> Result:
    """It stays refused, for the same reason and with the same hint."""
    return replace(turn.result(refusal.outcome, refusal.reason, refusal.hint), refusal=refusal)


def _as_it_is(turn: Turn, broken: Result, was: Installed) -> Result:
    """*broken*, while the sockets do not show the certificate that was in place; FAILED when they do: a later run has
    brought its files back, or a person has started the service."""
    evidence = judge(look(turn), was.sha256, chain=was.chain)
    if evidence.proof not in {Proof.PROVEN, Proof.NOTHING_TO_ASK}:
        return broken
    shown = "in place" if evidence.proof is Proof.NOTHING_TO_ASK else "in place, and served"
    detail = f"{broken.detail}; by now the one before is {shown}"
    return replace(broken, outcome=Outcome.FAILED, detail=detail, hint="")
