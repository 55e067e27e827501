"""The reports of hosts (``installations``). Other machines write them, so every reading is bounded."""

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from common.chunks import chunks
from issuer.model.config_watch import HostSettings
from issuer.model.hosts import Report, ReportKey
from issuer.rules.hosts import CLOCK_AHEAD, WELL_WORDS
from issuer.store.cells import too_far
from issuer.store.database import Database, rows_of
from issuer.store.tables import certs, host_alarms, installations

MOST_READ = 50_000  # reports in one answer
_NAMES_CHANGED = 500  # in one statement
_PORTION = 1000  # names in one answer
_LONGEST_DETAIL = 2000  # characters
_OF_ALL = ("name", "host", "account", "sha256", "not_after", "state", "ts_report")  # as a Report has them
_DETAIL = sa.func.substr(installations.c.detail, 1, _LONGEST_DETAIL, type_=installations.c.detail.type)


def _fairly(most: int) -> sa.Select[Any]:
    """Reports, so many at most: the first of each account before the second of any. Accounts that write very many, also
    about other certificates, keep no other's from being read."""
    columns = installations.c
    number = sa.func.row_number().over(partition_by=columns.account, order_by=(columns.name, columns.host))
    return sa.select(*(columns[column] for column in _OF_ALL)).order_by(number).limit(most)


_REPORTS = _fairly(MOST_READ)


class Hosts:
    """Each method asks one question. Raises StoreError."""

    def __init__(self, database: Database):
        self._database = database

    def reports(self, names: Collection[str]) -> dict[str, list[Report]]:
        """The reports about *names*, without the agents' sentences."""

        def work(connection: sa.Connection) -> dict[str, list[Report]]:
            found: dict[str, list[Report]] = {}
            for row in rows_of(connection, _REPORTS, installations.c.name, names):
                found.setdefault(row.name, []).append(Report(*row))
            return found

        return self._database.read(work)

    def names(self) -> set[str]:
        """The certificates about which there are reports."""
        names = sa.select(installations.c.name).distinct().where(installations.c.name > "")
        portions = self._database.portions(names, installations.c.name, _PORTION)
        return {row.name for rows in portions for row in rows}

    def forget(self, hosts: Sequence[str], account: str | None) -> int:
        """Delete the reports of *hosts*, all without any, by one *account* or by every one, and what was told of them;
        how many reports that were."""

        def work(connection: sa.Connection) -> int:
            deleted = 0
            for table in (host_alarms, installations):
                of_hosts = [table.c.host.in_(hosts)] if hosts else []
                of_account = [] if account is None else [table.c.account == account]
                deleted = connection.execute(table.delete().where(*of_hosts, *of_account)).rowcount
            return deleted

        return self._database.write(work)

    def count(self, name: str) -> int:
        """How many reports there are about *name*."""
        query = sa.select(sa.func.count()).select_from(installations).where(installations.c.name == name)
        return self._database.read(lambda connection: int(connection.scalar(query) or 0))

    def details(self, reports: Sequence[Report]) -> dict[ReportKey, str]:
        """As :func:`details_of`."""
        return self._database.read(lambda connection: details_of(connection, reports))

    def suspects(self, now: int, settings: HostSettings) -> list[str]:
        """The certificates of which a host may not be well, or was told to be not well. Each question has an index."""
        columns, forgotten = installations.c, now - settings.forget
        lately = columns.ts_report > forgotten
        questions: Sequence[sa.Select[Any]] = (
            sa.select(certs.c.name).where(certs.c.hosts_look_at <= now - settings.behind),
            sa.select(certs.c.name).where(too_far(certs.c.hosts_look_at, now, 0)),
            sa.select(columns.name).where(lately, columns.ts_report < now - settings.silent).distinct(),
            sa.select(columns.name).where(columns.ts_report > now + CLOCK_AHEAD).distinct(),
            sa.select(columns.name).where(_none_of(columns.state, WELL_WORDS), lately).distinct(),
            sa.select(columns.name).where(columns.not_after.between(1, now), lately).distinct(),
            sa.select(host_alarms.c.name).distinct(),
        )

        def work(connection: sa.Connection) -> list[str]:
            return sorted({name for question in questions for name in connection.scalars(question) if name})

        return self._database.read(work)

    def all_follow(self, names: Collection[str], now: int, behind: int) -> None:
        """Save that no host of *names* is behind the certificate that was stored *behind* seconds before *now*, or by a
        clock that was ahead: those hosts need no look for it."""
        moment = certs.c.hosts_look_at
        stored = sa.or_(moment <= now - behind, too_far(moment, now, 0))

        def work(connection: sa.Connection) -> None:
            for some in chunks(sorted(names), _NAMES_CHANGED):
                connection.execute(certs.update().where(certs.c.name.in_(some), stored).values(hosts_look_at=None))

        if names:
            self._database.write(work, durable=False)


def _none_of(column: sa.ColumnElement[str], words: Collection[str]) -> sa.ColumnElement[bool]:
    """Is a cell none of *words*? In ranges between them, because SQLite answers NOT IN by no index."""
    ranked = sorted(words)
    between = [sa.and_(column > one, column < following) for one, following in pairwise(ranked)]
    return sa.or_(column < ranked[0], *between, column > ranked[-1])


def details_of(connection: sa.Connection, reports: Sequence[Report]) -> dict[ReportKey, str]:
    """The agents' sentences of some *reports*, by their keys."""
    columns = installations.c
    query = sa.select(columns.name, columns.host, columns.account, _DETAIL.label("detail")).limit(MOST_READ)
    wanted = {report.key for report in reports}
    found: dict[ReportKey, str] = {}
    for some in chunks(sorted(wanted), _NAMES_CHANGED):
        rows = connection.execute(query.where(sa.tuple_(columns.name, columns.host, columns.account).in_(some)))
        found |= {(row.name, row.host, row.account): row.detail for row in rows}
    return found
