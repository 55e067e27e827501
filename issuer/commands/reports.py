"""The reports in the database beside what this issuer remembers of them."""

from collections.abc import Collection, Sequence

from common.chunks import chunks
from issuer.model.config import Settings
from issuer.model.config_watch import HostSettings
from issuer.model.hosts import Heard, Report, ReportKey
from issuer.rules.hosts import is_doubtful, is_forgotten, recalled, renamed
from issuer.store.database import Database
from issuer.store.hosts import MOST_READ, Hosts
from issuer.trust.hosts import HOSTS, HostMemory
from issuer.trust.memory import MEMORY, Memory

_AT_ONCE = 500  # certificates whose reports are in memory


class Reports:
    """A HostStore (issuer/loops/hosts.py); the table alone is its *store*. Every method raises StoreError, and those
    that remember FileError."""

    def __init__(self, settings: Settings, database: Database):
        self._hosts = settings.hosts
        self.store = Hosts(database)
        self._memory = HostMemory(settings.state_dir / HOSTS)
        self._signed = Memory(settings.state_dir / MEMORY)
        self._doubted = set[str]()  # certificates

    def reports(self, names: Collection[str], now: int) -> dict[str, list[Report]]:
        """Also those that the table has lost. New ones are remembered."""
        return {name: believed for name, (believed, _) in self._recalled(names, now).items()}

    def _recalled(self, names: Collection[str], now: int) -> dict[str, tuple[list[Report], bool]]:
        """For each name the reports as they are believed, and whether a look has to take in something new."""
        stored, heard = self.store.reports(names), self._memory.heard(names)
        signed = self._signed.last_stated(names)
        is_all = sum(map(len, stored.values())) < MOST_READ  # else some may only be unread
        found, news, over = dict[str, tuple[list[Report], bool]](), dict[ReportKey, Heard](), list[ReportKey]()
        for name in stored.keys() | heard.keys():
            there, before = stored.get(name, []), heard.get(name, {})
            believed, new = recalled(there, before, now, is_all=is_all)
            old = [one.key for one in believed if one.gone and is_forgotten(one, now, self._hosts)]
            old += renamed(there, before) if is_all else []
            believed = [one for one in believed if one.key not in old]
            found[name] = (believed, is_doubtful(there, believed, before, signed.get(name, "")))
            news |= new
            over += old
        if news or over:
            self._memory.remember(news, {key for before in heard.values() for key in before}, over)
        return found

    def recall(self, now: int) -> None:
        """It reads all of them, so it is done less often than a look."""
        doubted = set[str]()
        for names in chunks(sorted(self.store.names() | self._memory.names()), _AT_ONCE):
            doubted |= {name for name, (_, doubtful) in self._recalled(names, now).items() if doubtful}
        self._doubted = doubted

    def suspects(self, now: int, settings: HostSettings) -> list[str]:
        return sorted({*self.store.suspects(now, settings), *self._doubted})

    def all_follow(self, names: Collection[str], now: int, behind: int) -> None:
        self.store.all_follow(names, now, behind)

    def settle(self, reports: Collection[Report]) -> None:
        self._memory.settle({one.key: one.sha256 for one in reports if not one.gone})

    def forget(self, hosts: Sequence[str], account: str | None) -> int:
        """Delete and forget the reports of *hosts*, all without any, by one *account* or by every one; how many."""
        deleted = self.store.forget(hosts, account)
        return max(deleted, self._memory.forget(hosts, account))
