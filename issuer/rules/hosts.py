"""How a host stands with a certificate, from the certificate itself and the host's last report. Pure."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from common.clock import utc_text
from common.text import storable
from issuer.model.config_watch import HostSettings
from issuer.model.enrolment import Enrolment
from issuer.model.hosts import Heard, HostState, Report, ReportKey, Standing

T = TypeVar("T")
WELL_WORDS = ("installed", "unprovable", "waiting", "not-enrolled", "held")
CLOCK_AHEAD = 86400  # seconds by which a host's clock may be ahead of ours
_WORST_FIRST = list(HostState)
_LONGEST_DETAIL = 300  # characters of an agent's sentence, for people
_ONE = {
    HostState.EXPIRED: ("host serves an expired one", "hosts serve an expired one"),
    HostState.NOT_WELL: ("host not well", "hosts not well"),
    HostState.SILENT: ("host silent", "hosts silent"),
    HostState.BEHIND: ("host behind", "hosts behind"),
}


def recalled(
    stored: Sequence[Report], heard: Mapping[ReportKey, Heard], now: int, *, is_all: bool
) -> tuple[list[Report], dict[ReportKey, Heard]]:
    """The reports about one certificate as they are believed by what was *heard* before, with those that the table has
    lost if *is_all* of it was read; and what is to be remembered. A moment ahead counts as that at which we saw it."""
    believed, news = list[Report](), dict[ReportKey, Heard]()
    for report in stored:
        before = heard.get(report.key)
        is_same = before is not None and before.reported == report.reported_at
        seen = before.seen if before is not None and is_same else now
        after = Heard(report.reported_at, seen, before.settled if before is not None else None)
        if after != before:
            news[report.key] = after
        ahead = after.seen < report.reported_at <= now + CLOCK_AHEAD
        moment = after.seen if ahead else report.reported_at
        believed.append(replace(report, reported_at=moment))
    there = {report.key for report in stored}.union(renamed(stored, heard))
    lost = {key: one for key, one in heard.items() if is_all and key not in there}
    believed += [Report(*key, "", 0, "", min(one.reported, one.seen), gone=True) for key, one in lost.items()]
    return believed, news


def renamed(stored: Sequence[Report], heard: Collection[ReportKey]) -> list[ReportKey]:
    """The keys that were *heard* of hosts that their accounts call by the same name in another case now. Tables of most
    servers know no difference: the new report has taken the place of the old one."""
    there = {report.key for report in stored}
    folded = {(name, host.casefold(), account) for name, host, account in there}
    return [key for key in heard if key not in there and (key[0], key[1].casefold(), key[2]) in folded]


def is_doubtful(
    stored: Sequence[Report], believed: Sequence[Report], heard: Mapping[ReportKey, Heard], signed: str
) -> bool:
    """Has the table other reports about one certificate than are *believed*, or names one of them another certificate
    than when it was last settled, or than the one that was *signed* last (SHA-256, "" for none)?"""
    settled = {key: one.settled for key, one in heard.items()}
    return stored != believed or any({settled.get(one.key), signed or one.sha256} != {one.sha256} for one in stored)


def standing(report: Report, row: Enrolment, now: int, settings: HostSettings) -> Standing:
    """How the host of *report* stands with the certificate of *row*."""
    found = _standing(report, row, now, settings)
    return replace(found, bad=row.enabled and not (found.state.is_well or is_forgotten(report, now, settings)))


def _standing(report: Report, row: Enrolment, now: int, settings: HostSettings) -> Standing:
    if report.gone:
        return Standing(report, HostState.SILENT, report.reported_at)
    is_present = bool(row.fingerprint) and report.sha256 == row.fingerprint
    ends = row.ends if is_present else report.not_after
    if report.sha256 and 0 < ends <= now:
        return Standing(report, HostState.EXPIRED, ends)
    if report.state not in WELL_WORDS or report.reported_at > now + CLOCK_AHEAD:
        return Standing(report, HostState.NOT_WELL, report.reported_at)
    if report.reported_at < now - settings.silent:
        return Standing(report, HostState.SILENT, report.reported_at)
    if is_present:
        return Standing(report, HostState.NOT_PROVABLE if report.state == "unprovable" else HostState.CURRENT)
    if not row.fingerprint:
        return Standing(report, HostState.WAITING)
    stored_at = _stored_at(row, now)
    is_late = stored_at <= now - settings.behind
    return Standing(report, HostState.BEHIND if is_late else HostState.WAITING, stored_at)


def is_still_behind(told: str, now: Standing | None) -> bool:
    """Is a host that people were *told* is behind no better *now*? A newer certificate was stored meanwhile, for which
    it waits."""
    return told == HostState.BEHIND.value and now is not None and now.state is HostState.WAITING


def is_forgotten(report: Report, now: int, settings: HostSettings) -> bool:
    """Has the host been silent for so long that it was taken down?"""
    return report.reported_at <= now - settings.forget


def in_turn(things: Iterable[T], whose: Callable[[T], str]) -> list[T]:
    """*things* in their order, but the first of each account before the second of any: one with many hides no other."""
    seen: Counter[str] = Counter()
    numbered: list[tuple[int, T]] = []
    for thing in things:
        seen[whose(thing)] += 1
        numbered.append((seen[whose(thing)], thing))
    return [thing for _, thing in sorted(numbered, key=lambda pair: pair[0])]


def worst_first(standings: Iterable[Standing]) -> list[Standing]:
    """The worst of each account before the second one of any: an account with many cannot hide another's."""
    ranked = sorted(standings, key=lambda one: (_WORST_FIRST.index(one.state), one.report.key))
    bad = [one for one in ranked if one.bad]
    return [*in_turn(bad, lambda one: one.report.account), *(one for one in ranked if not one.bad)]


def words(standing: Standing, now: int, detail: str = "") -> str:
    """How a host stands, in one line for people. *detail*: its agent's sentence."""
    report, since = standing.report, utc_text(standing.since) if standing.since else ""
    if report.reported_at > now + CLOCK_AHEAD:
        return f"not well: its report is of {utc_text(report.reported_at)}, so its clock is ahead"
    if standing.state is HostState.EXPIRED:
        return f"serves an expired one, since {since}"
    if standing.state is HostState.NOT_WELL:
        return ": ".join(filter(None, [storable(report.state, 20), storable(detail, _LONGEST_DETAIL)])) or "not well"
    if report.gone:
        return f"silent: its report of {since} is gone from the table; `hosts forget` if the host is no more"
    if standing.state is HostState.SILENT:
        return f"silent since {since}"
    if standing.state is HostState.BEHIND:
        told = f"; its agent says: {storable(detail, _LONGEST_DETAIL)}" if detail else ""  # such as a pause
        return f"behind: it serves another one than the present one, which is stored since {since}{told}"
    if standing.state is HostState.WAITING and since:
        return f"waiting: its agent has not taken the one that is stored since {since}"
    return str(standing.state.value)


def count_words(counts: Mapping[HostState, int]) -> str:
    """How many hosts are not well, by how they are not, the worst first; "" for none."""
    told = [(counts.get(state, 0), words) for state, words in _ONE.items()]
    return ", ".join(f"{count} {words[count > 1]}" for count, words in told if count)


def _stored_at(row: Enrolment, now: int) -> int:
    """Since when hosts could have taken the present certificate: by the row, unless it says what cannot be."""
    starts = row.life[0] if row.life else 0
    return row.ts_last_update if starts <= row.ts_last_update <= now else starts
