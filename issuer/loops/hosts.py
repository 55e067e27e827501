"""The look at hosts, by `run` and by the daemon. People are told once that a host is not well: when that begins,
changes and ends.

It reads what an index finds, and decides nothing: issuer/rules/hosts.py says how a host stands.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from common.chunks import chunks
from issuer.journey.rows import CertificateRows
from issuer.model.config_watch import HostSettings
from issuer.model.hosts import HostState, Report, Standing
from issuer.rules.hosts import is_forgotten, standing

_AT_ONCE = 500  # certificates whose rows and reports are in memory


class HostStore(Protocol):
    """The reports in the database, and those that it has lost. Every method raises StoreError, FileError."""

    def recall(self, now: int) -> None:
        """Compare every report with what is remembered; the next looks take in what differs."""

    def suspects(self, now: int, settings: HostSettings) -> list[str]:
        """The certificates of which a host may not be well, or was told to be not well."""

    def reports(self, names: Collection[str], now: int) -> Mapping[str, Sequence[Report]]:
        """The reports about *names* as they are believed at *now*."""

    def all_follow(self, names: Collection[str], now: int, behind: int) -> None:
        """Save that no host of *names* is behind the certificate that was stored *behind* seconds before *now* (epoch
        seconds), or by a clock that was ahead."""

    def settle(self, reports: Collection[Report]) -> None:
        """Save that a look at *reports* finds nothing more until they change: all is well, or nobody needs to know."""


Tell = Callable[[Collection[str], Collection[Standing]], None]
"""Tells what is new about the hosts of some certificates. Never raises CertfleetError."""


def look_at_hosts(
    hosts: HostStore, rows: CertificateRows, tell: Tell, settings: HostSettings, now: int
) -> Counter[HostState]:
    """How many hosts are not well, by how they are not; what is news is told. Raises StoreError, FileError."""
    found: Counter[HostState] = Counter()
    for names in chunks(hosts.suspects(now, settings), _AT_ONCE):
        reports, follow, standings = dict(hosts.reports(names, now)), list[str](), list[Standing]()
        settled: list[Report] = []
        for row in rows.enrolled(names):
            mine = reports.pop(row.name, ())
            standings += (standing(report, row, now, settings) for report in mine)
            well = [one for one in mine if one.sha256 == row.fingerprint or is_forgotten(one, now, settings)]
            settled += well
            if len(well) == len(mine):
                follow.append(row.name)
        hosts.all_follow(follow, now, settings.behind)
        tell(names, standings)
        hosts.settle([*settled, *(report for of_nobody in reports.values() for report in of_nobody)])
        found.update(one.state for one in standings if one.bad)
    return found
