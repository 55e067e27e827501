"""Output for monitoring: the line of a plugin, and a file for Prometheus' node exporter. Pure."""

from collections.abc import Callable, Sequence

from common.certificate import certified_names, not_after, not_before
from common.nagios import Metric, State, line, worst
from common.probe.conclude import conclusions
from common.probe.shown import Shown
from common.probe.verdict import Match
from common.probe.view import Seen, key_type_of
from common.text import one_line

_MOST_SAID = 5  # sentences in the line of a plugin


def state_of(one: Shown, now: float) -> State:
    """UNKNOWN where nobody could be asked; WARNING for what is still well, or is not by the fault of others."""
    if one.view.seen is Seen.UNKNOWN:
        return State.UNKNOWN
    if one.problems(now):
        return State.CRITICAL
    return State.WARNING if one.doubts(now) else State.OK


def plugin_line(all_shown: Sequence[Shown], now: float) -> tuple[State, str]:
    """The state, and the one line with it."""
    states = [state_of(one, now) for one in all_shown]
    said = [
        f"{one.place.target.text} {one.place.address}: {sentence}"
        for state, one in sorted(zip(states, all_shown, strict=True), key=lambda pair: pair[0] is not State.CRITICAL)
        for sentence in (*one.problems(now), *one.doubts(now))
    ]
    text = f"{sum(state is State.OK for state in states)} of {len(states)} looks are well"
    more = [f"and {len(said) - _MOST_SAID} more"] if len(said) > _MOST_SAID else []
    decisive = worst(states)
    whole = "; ".join([text, *conclusions(all_shown, now), *said[:_MOST_SAID], *more])
    return decisive, line("probe", decisive, whole, [metric for one in all_shown for metric in _metrics(one, now)])


def _metrics(one: Shown, now: float) -> list[Metric]:
    place = one.place
    label = " ".join(filter(None, (f"{place.target.scheme}://{place.host}", place.address, _kind(one))))
    found = []
    if one.leaf is not None:
        life = (not_after(one.leaf) - not_before(one.leaf)) / 86400
        left = (not_after(one.leaf) - now) / 86400
        found.append(Metric(f"{label} days", round(left, 2), warning=f"{life / 6:.4g}:", critical="0:"))
    if one.view.seconds is not None:
        found.append(Metric(f"{label} handshake", one.view.seconds, "s"))
    return found


def _kind(one: Shown) -> str:
    return key_type_of(one.view.shown[0]) if one.view.shown else ""


_Number = Callable[[Shown, float], float | None]
_SERIES: list[tuple[str, str, _Number]] = [
    ("served", "1 where a certificate is shown.", lambda one, _: float(one.view.seen is Seen.SERVED)),
    ("well", "1 where nothing is wrong with it.", lambda one, now: float(not one.problems(now))),
    (
        "not_after_timestamp_seconds",
        "The end of the certificate that is shown, valid or not.",
        lambda one, _: None if one.leaf is None else float(not_after(one.leaf)),
    ),
    (
        "not_before_timestamp_seconds",
        "Its beginning.",
        lambda one, _: None if one.leaf is None else float(not_before(one.leaf)),
    ),
    (
        "host_covered",
        "1 where it names the host, 0 where it does not.",
        lambda one, _: None if one.leaf is None or one.is_covered is None else float(one.is_covered),
    ),
    ("names", "How many names it has.", lambda one, _: None if one.leaf is None else len(certified_names(one.leaf))),
    ("handshake_seconds", "How long the TLS handshake took.", lambda one, _: one.view.seconds),
    (
        "revocation_asked",
        "How many URLs were asked whether it is revoked.",
        lambda one, _: None if one.leaf is None else len(one.revocation.asked),
    ),
    (
        "revocation_available",
        "1 where an answer about its revocation counts.",
        lambda one, _: None if one.leaf is None else float(one.revocation.available),
    ),
    (
        "revoked",
        "1 where it is revoked, 0 where it is not; no number where nobody can say.",
        lambda one, _: None if one.revocation.revoked is None else float(one.revocation.revoked),
    ),
    (
        "stapled",
        "1 where an OCSP answer is stapled that counts, 0 where none is.",
        lambda one, _: None if one.staple.is_there is None else float(one.staple.says.available),
    ),
    (
        "matches_database",
        "1 where it is what the database has for the name, 0 where not; no number where that cannot be verified.",
        lambda one, _: _MATCHES[one.verdict.match],
    ),
]
_MATCHES: dict[Match, float | None] = {Match.MATCH: 1.0, Match.MISMATCH: 0.0, Match.NOT_VERIFIABLE: None}


def textfile(all_shown: Sequence[Shown], now: float) -> bytes:
    """The text format of Prometheus. A series for each look, labelled by target, address, family, name and key type."""
    said: list[str] = []
    for name, help_text, number in _SERIES:
        said += [f"# HELP certfleet_probe_{name} {help_text}", f"# TYPE certfleet_probe_{name} gauge"]
        numbers = {_labels(one): number(one, now) for one in all_shown}
        said += [
            f"certfleet_probe_{name}{{{where}}} {value!r}" for where, value in numbers.items() if value is not None
        ]
    said += ["# HELP certfleet_probe_timestamp_seconds When these numbers were taken."]
    said += ["# TYPE certfleet_probe_timestamp_seconds gauge", f"certfleet_probe_timestamp_seconds {now!r}", ""]
    return "\n".join(said).encode()


def _labels(one: Shown) -> str:
    place = one.place
    labels = {"target": place.target.text, "address": place.address, "family": place.family}
    labels |= {"server_name": place.name, "key": _kind(one)}
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    """A value of a label. The format escapes \\n alone, and some readers see other line ends too."""
    return one_line(value).replace("\\", "\\\\").replace('"', '\\"')
