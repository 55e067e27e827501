"""The reports of hosts, and the issuer's memory of them, in the memory of the test."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from issuer.model.config_watch import HostSettings
from issuer.model.hosts import Heard, Report, ReportKey
from issuer.model.moments import CLOCKS_APART
from issuer.rules.hosts import WELL_WORDS, is_doubtful, is_forgotten, recalled


class MemoryHosts:
    """A HostStore. *table* is what others write; *behind*: by certificate, since when a host may be behind."""

    def __init__(self) -> None:
        self.table: dict[ReportKey, Report] = {}
        self.behind: dict[str, int] = {}
        self._heard: dict[ReportKey, Heard] = {}
        self._doubted = set[str]()

    def recall(self, now: int) -> None:
        names = {name for name, _, _ in (*self.table, *self._heard)}
        believed = self.reports(names, now)
        heard = {name: {key: one for key, one in self._heard.items() if key[0] == name} for name in names}
        self._doubted = {name for name in names if is_doubtful(self._stored(name), believed[name], heard[name], "")}

    def suspects(self, now: int, settings: HostSettings) -> list[str]:
        lately = [one for one in self.table.values() if not is_forgotten(one, now, settings)]
        found = {one.name for one in lately if one.state not in WELL_WORDS or 0 < one.not_after <= now}
        found |= {one.name for one in lately if one.reported_at < now - settings.silent}
        found |= {name for name, since in self.behind.items() if _was(since, now, settings.behind)}
        return sorted(found | self._doubted)

    def reports(self, names: Collection[str], now: int) -> dict[str, Sequence[Report]]:
        found: dict[str, Sequence[Report]] = {}
        for name in names:
            heard = {key: one for key, one in self._heard.items() if key[0] == name}
            found[name], news = recalled(self._stored(name), heard, now, is_all=True)
            self._heard |= news
        return found

    def all_follow(self, names: Collection[str], now: int, behind: int) -> None:
        self.behind = {name: at for name, at in self.behind.items() if name not in names or not _was(at, now, behind)}

    def settle(self, reports: Collection[Report]) -> None:
        self._heard |= {one.key: replace(self._heard[one.key], settled=one.sha256) for one in reports if not one.gone}

    def _stored(self, name: str) -> list[Report]:
        return [report for report in self.table.values() if report.name == name]


def _was(moment: int, now: int, ago: int) -> bool:
    """Did it pass so many seconds *ago*, or can it not be meant?"""
    return moment <= now - ago or moment > now + CLOCKS_APART
