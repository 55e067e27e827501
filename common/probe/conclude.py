"""Conclusions from looks at a service by IPv4 and by IPv6: is only one of them broken, do they differ? Pure."""

from collections.abc import Iterator, Sequence

from common.certificate import fingerprint
from common.probe.shown import Shown
from common.probe.view import Seen, key_type_of

_FAMILIES = ("IPv4", "IPv6")


def conclusions(all_shown: Sequence[Shown], now: float) -> list[str]:
    """Sentences on services that were looked at by both families: one could not be asked, one alone is broken, or the
    two show different certificates. *now*: epoch seconds."""
    services: dict[tuple[str, str], list[Shown]] = {}
    for one in all_shown:
        services.setdefault((one.place.target.text, one.place.name), []).append(one)
    return [
        f"{' for '.join(filter(None, (target, '' if name in target else name)))}: {sentence}"
        for (target, name), some in services.items()
        for sentence in _about(some, now)
    ]


def _about(some: Sequence[Shown], now: float) -> Iterator[str]:
    by_family = {family: [one for one in some if one.place.family == family] for family in _FAMILIES}
    if not all(by_family.values()):
        return
    unasked = {family for family, few in by_family.items() if all(one.view.seen is Seen.UNKNOWN for one in few)}
    broken = {family for family, few in by_family.items() if all(one.problems(now) for one in few)}
    well = {family for family, few in by_family.items() if not any(one.problems(now) for one in few)}
    for family in sorted(unasked - set(_FAMILIES if len(unasked) > 1 else ())):
        yield f"{family} could not be asked from here"
    for family in sorted(broken - unasked):
        if well == set(_FAMILIES) - {family}:
            yield f"only {family} is broken"
    if not unasked and _differ(by_family["IPv4"], by_family["IPv6"]):
        yield "IPv4 and IPv6 show different certificates"


def _differ(one: Sequence[Shown], other: Sequence[Shown]) -> bool:
    """Is another certificate shown for the same type of key?"""
    seen, compared = _by_type(one), _by_type(other)
    return any(seen[kind] != compared[kind] for kind in seen.keys() & compared.keys())


def _by_type(some: Sequence[Shown]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in some:
        if one.leaf is not None:
            found.setdefault(key_type_of(one.view.shown[0]), set()).add(fingerprint(one.leaf))
    return found
