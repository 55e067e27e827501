"""The audit in words: for a person, and for a monitoring system. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from issuer.model.audit import Finding, Kind, Severity
from issuer.model.failure import Failure
from issuer.rules.shared_failures import by_failure, some

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3  # exit codes of the monitoring plugins
_WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


def table_rows(found: Iterable[Finding]) -> list[list[str]]:
    """(severity, kind, certificates, sentence) of each finding, the worst first; one that many share stands once."""
    order = list(Kind)
    worst_first = sorted(found, key=lambda one: (one.severity is Severity.WARNING, order.index(one.kind), one.name))
    rows = []
    for common in by_failure(worst_first, _told):
        first, names = common.all[0], sorted({one.name for one in common.all})
        who = names[0] if len(names) == 1 else f"{len(names)}: {some(names)}"
        told = [common.failure.what, common.failure.hint, f"contact: {first.contact}" if first.contact else ""]
        rows.append([first.severity.value, first.kind.value, who, "; ".join(filter(None, told))])
    return rows


def summary(found: Collection[Finding], looked_at: int, coming: int, *, now: bool = False) -> str:
    """How many certificates have findings. *coming*: how many of them are replaced, by the next run or *now*."""
    bad = len({one.name for one in found})
    text = f"{bad} of {looked_at} certificate{'' if looked_at == 1 else 's'} with findings"
    return f"{text}; {'replacing' if now else 'the next run replaces'} {coming}" if coming else text


def plugin(found: Sequence[Finding], looked_at: int) -> tuple[str, int]:
    """The line of a monitoring plugin, with its numbers, and the exit code (Monitoring Plugins Development
    Guidelines)."""
    worst = {one.name: CRITICAL for one in found if one.severity is Severity.CRITICAL}
    worst = {one.name: WARNING for one in found} | worst
    counts = Counter(worst.values())
    code = max(worst.values(), default=OK)
    names = sorted(worst, key=lambda name: (-worst[name], name))
    told = f"{len(worst)} of {looked_at} with findings"
    told += f": {some(names)}" if names else ""
    numbers = f"critical={counts[CRITICAL]} warning={counts[WARNING]} certificates={looked_at}"
    return f"AUDIT {_WORDS[code]} - {told.replace('|', '/')} | {numbers}", code


def _told(one: Finding) -> tuple[str, Failure]:
    # kind and contact part what is told apart, though they are not shown by the failure
    return one.name, Failure(one.evidence, "", one.remedy, one.kind.value, one.contact)
