"""The audit in words: for a person, and for a monitoring system. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable

from common.nagios import Metric, State, line
from common.nagios import worst as worst_of
from common.text import some
from issuer.model.audit import Finding, Kind, Severity
from issuer.model.failure import Failure
from issuer.rules.shared_failures import by_failure

_STATES = {Severity.CRITICAL: State.CRITICAL, Severity.WARNING: State.WARNING}


def table_rows(found: Iterable[Finding]) -> list[list[str]]:
    """(severity, kind, certificates, sentence) of each finding, the worst first; one that many share stands once."""
    order = list(Kind)
    worst_first = sorted(found, key=lambda one: (one.severity is Severity.WARNING, order.index(one.kind), one.name))
    rows = []
    for common in by_failure(worst_first, _told, lambda one: one.about):
        first, names = common.all[0], sorted({one.name for one in common.all})
        who = names[0] if len(names) == 1 else f"{len(names)}: {some(names)}"
        told = [common.failure.what, common.failure.hint, f"contact: {first.contact}" if first.contact else ""]
        rows.append([first.severity.value, first.kind.value, who, "; ".join(filter(None, told))])
    return rows


def summary(found: Collection[Finding], looked_at: int, coming: int, *, now: bool = False) -> str:
    """How many certificates have findings. *coming*: how many of them are replaced, by the next run or *now*."""
    bad = len({one.name for one in found})
    text = f"{bad} of {looked_at} certificate{'' if looked_at == 1 else 's'} with findings"
    if not coming:
        return f"{text}; nothing is ordered" if bad and now else text
    return f"{text}; {'replacing' if now else 'the next run replaces'} {coming}"


def plugin(found: Iterable[Finding], looked_at: int, crowd: Failure | None = None) -> tuple[State, str]:
    """The state for a monitoring system, and the one line with it and its numbers. *crowd*: rows that nobody enrolled
    and that were not looked at; None for none."""
    states: dict[str, list[State]] = {}
    for one in found:
        states.setdefault(one.name, []).append(_STATES[one.severity])
    worst = {name: worst_of(each) for name, each in states.items()}
    counts, state = Counter(worst.values()), State.CRITICAL if crowd is not None else worst_of(worst.values())
    names = sorted(worst, key=lambda name: (-worst[name], name))
    told = f"{len(worst)} of {looked_at} with findings" + (f": {some(names)}" if names else "")
    told += f"; {crowd.what}" if crowd is not None else ""
    numbers = {"critical": counts[State.CRITICAL], "warning": counts[State.WARNING], "certificates": looked_at}
    return state, line("audit", state, told, [Metric(label, count) for label, count in numbers.items()])


def _told(one: Finding) -> tuple[str, Failure]:
    # kind and contact part what is told apart, though they are not shown by the failure
    return one.name, Failure(one.evidence, "", one.remedy, one.kind.value, one.contact)
