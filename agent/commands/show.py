"""Turns a result into lines for people and a document for programs: for `run`, `status` and `rollback`."""

from agent.model.result import Outcome, Result
from common.clock import utc_text
from common.command_line import complain, say


def is_well(result: Result, now: float) -> bool:
    """Is its outcome good, the last one, and was the issuer's side told of it within a day? *now*: epoch seconds."""
    return result.outcome.is_well and not result.outdated and not result.is_untold(now)


Reasons = dict[tuple[Outcome, str, str], str]
"""Outcome, explanation and hint that were told in full, with the certificate that they were told of."""


def tell(result: Result, now: float, reasons: Reasons, *, silent: bool) -> None:
    """Say the line of a certificate and its remarks, unless *silent*. On stderr say why one is not well and what to do,
    and the notes on one that is well."""
    if not silent:
        installed = result.installed
        shown = f"serial {installed.serial} until {utc_text(installed.not_after)}" if installed else "-"
        say(f"{result.name}  {'newly ' if result.changed else ''}{state_words(result)}  {shown}")
        for remark in result.remarks if result.outcome.is_well else ():
            say(f"  {remark}")
    if not result.outcome.is_well:
        complain(*explained(result, now, reasons, tried=result.at_fault))
    else:
        for note in result.notes:
            complain(f"{result.name}: {note}")
    if result.is_untold(now):
        complain(untold(result))


def state_words(result: Result) -> str:
    """The state; of what was just installed while the source was away, that too."""
    word = result.outcome.value
    return f"installed, {word}" if result.changed and result.outcome is Outcome.UNREACHABLE else word


def explained(result: Result, now: float, reasons: Reasons, *, tried: bool = True) -> list[str]:
    """Lines that say why it is in this state, what to do, and when the agent tries a refused one again; not *tried*
    says that this run left it at that. Why and what to do of several certificates are said once: *reasons* grows."""
    first = reasons.setdefault((result.outcome, result.explanation, result.hint), result.name)
    why = result.explanation if first == result.name else f"for the same reason as {first}"
    lines = [f"{result.name}: {result.outcome.value}: {why}"] if result.explanation else []
    if result.outdated:
        lines.append(f"{result.name}: a later run could not put on record what it found; so it stood before")
    if result.hint and first == result.name:
        lines.append(f"  what to do: {result.hint}")
    if result.refusal is not None and result.outcome is result.refusal.outcome:
        until = utc_text(result.refusal.until)
        left = "" if tried else "this run did not try it: "
        lines.append(f"  {left}it is tried again when a newer one comes or after {until}; now with `run --retry`")
    if result.installed is not None and result.installed.not_after <= now and result.outcome is not Outcome.EXPIRED:
        lines.append(f"  meanwhile the certificate in place expired at {utc_text(result.installed.not_after)}")
    return lines


def untold(result: Result) -> str:
    """The sentence about a report that the issuer's side has not got for a day."""
    since = utc_text(result.unsent)
    return f"{result.name}: the issuer's side has not been told since {since}: it shows an earlier state of this host"


def document(result: Result, *, well: bool) -> dict[str, object]:
    """The document of one certificate, for ``run --json`` and ``status --json``."""
    installed, refusal = result.installed, result.refusal
    return {
        "name": result.name,
        "state": result.outcome.value,
        "well": well,
        "proven": result.outcome.is_proven,
        "detail": result.explanation,
        "hint": result.hint,
        "since": utc_text(result.since) if result.since else None,
        "sha256": installed.sha256 if installed else None,
        "serial": installed.serial if installed else None,
        "not_after": utc_text(installed.not_after) if installed else None,
        "refused": None
        if refusal is None
        else {"sha256": refusal.sha256, "attempts": refusal.attempts, "next_attempt": utc_text(refusal.until)},
        "gone_back_from": list(result.gone_back.left.values()) if result.gone_back is not None else None,
        "held_until": utc_text(result.pause.until) if result.pause is not None else None,
        "waits_for_window": utc_text(result.postponed.opens) if result.postponed is not None else None,
        "staged": result.staged is not None,
        "enabled": not result.disabled,
        "report_unsent": result.unsent > 0,
        "outdated": result.outdated,
    }


def run_document(result: Result, now: float) -> dict[str, object]:
    """The document of a *result* of this run: it also says whether the run has changed anything."""
    return {**document(result, well=is_well(result, now)), "changed": result.changed}
