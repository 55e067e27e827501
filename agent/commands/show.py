"""How results leave the process: lines for people, documents for programs."""

from typing import TYPE_CHECKING, Any

from agent.rules.record import facts
from common.clock import utc_text
from common.command_line import complain, say

if TYPE_CHECKING:
    from agent.journey.run import Result


def show_result(result: "Result", *, silent: bool) -> None:
    """One line for each certificate unless *silent*; what is not well, why and what to do, on stderr."""
    if not silent:
        installed = result.installed
        what = f"serial {installed.serial} until {utc_text(installed.not_after)}" if installed else "-"
        say(f"{result.name}  {'newly ' if result.changed else ''}{result.outcome.value}  {what}")
    if not result.outcome.is_well:
        complain(f"{result.name}: {result.outcome.value}: {result.detail}")
        if result.hint:
            complain(f"  what to do: {result.hint}")


def result_document(result: "Result") -> dict[str, Any]:
    """One certificate of ``run --json``."""
    return {
        "name": result.name,
        "state": result.outcome.value,
        "well": result.outcome.is_well,
        "proven": result.outcome.is_proven,
        "changed": result.changed,
        "detail": result.detail,
        "hint": result.hint,
        **facts(result.installed, result.refusal),
    }


def show_facts(one: dict[str, Any]) -> None:
    """What was seen at one address."""
    say(f"{one['target']}  {one['address']}  {'ok' if one['well'] else 'NOT WELL: ' + one['problem']}")
    if one["seen"] != "served" or "names" not in one:
        return
    covered = {True: "yes", False: "NO", None: "not asked: the host is an address"}[one["host_covered"]]
    say(f"  names        {', '.join(one['names'])}")
    say(f"  issuer       {one['issuer']}")
    say(f"  serial       {one['serial']}")
    say(f"  valid        {one['not_before']} to {one['not_after']} ({one['days_left']} days left)")
    say(f"  sha256       {one['sha256']}")
    say(f"  host covered {covered}")
