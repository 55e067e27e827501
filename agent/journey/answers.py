"""Answers about one certificate that need no look at its live files: the source's offer, the result without an offer or
after a refusal, and the circumstances under which an answer is remembered."""

from shlex import quote

from agent.journey.ports import Turn
from agent.model.offer import Offer
from agent.model.result import Outcome, Refusal, Result
from common.dataclasses import replace


def offered(turn: Turn) -> Offer | None:
    """The source's offer, or the staged one where the source is away; None for an unknown name. Raises SourceError."""
    if turn.away is None:
        return turn.tools.source.fetch(turn.certificate.name)
    staged = turn.before.staged
    return staged.offer if staged is not None else None


def not_enrolled(turn: Turn) -> Result:
    """The result where the source has no row of that name."""
    name = turn.certificate.name
    detail = f"the source does not know {name}"
    hint = (
        f"look at how agent.toml spells it; `certfleet-issuer populate {quote(name)}` on the issuer enrols it; "
        "if it was removed on purpose, take it out of agent.toml"
    )
    return turn.result(Outcome.NOT_ENROLLED, detail, hint)


def waiting(turn: Turn) -> Result:
    """The result where the row has no certificate yet."""
    detail, hint = (
        "enrolled, waiting for its first certificate",
        "nothing to do here; the issuer needs it enabled, and a run",
    )
    return turn.result(Outcome.WAITING, detail, hint)


def still_refused(turn: Turn, refusal: Refusal) -> Result:
    """The result of one that stays refused, for the same reason and with the same hint."""
    return replace(turn.result(refusal.outcome, refusal.reason, refusal.hint), refusal=refusal)


def circumstances_of(turn: Turn) -> str:
    """A digest of the certificate's settings, keys and inputs: ``Certificate.circumstances``."""
    certificate, tools = turn.certificate, turn.tools
    keys = map(tools.files.stamp, certificate.keys)
    return certificate.circumstances([*keys, *map(tools.on(None).files.stamp, certificate.inputs)])
