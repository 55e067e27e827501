"""Counts what all issuers on the database asked of a CA within the span of a limit."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from issuer.model.limits import Limit, names_text
from issuer.model.orders import BY_WINDOW, OrderState
from issuer.store.cells import believable
from issuer.store.database import Database
from issuer.store.tables import orders

_EXEMPT = [cause.value for cause in BY_WINDOW]
_UNDER_WAY = orders.c.active_name > ""
_STORED = orders.c.state == OrderState.STORED.value
# not one that replaces a certificate in its window of renewal information
_OUTSIDE = sa.or_(orders.c.replaces.is_(None), orders.c.reason.is_(None), orders.c.reason.not_in(_EXEMPT))
_LONGEST_NAME = 253  # characters (RFC 1035 §2.3.4): whoever writes the database may write a longer one
_MOST_LABELS = 12  # of a domain that limits count by: a public suffix and one more
_Counted = tuple[int, int, bool]  # id, moment of its last step, is its certificate stored?


class Counts:
    """An :class:`issuer.journey.pacing.OrderCounts`.

    A span reaches beyond *now* by as much as another issuer's clock may be ahead.
    """

    def __init__(self, database: Database):
        self._database = database

    def orders(self, directory: str, limit: Limit, now: int, *, besides: int) -> list[int]:
        """Where the limit says so, an order that replaces a certificate in its window does not count."""
        counts = sa.true() if limit.in_window else _OUTSIDE
        known = sa.or_(orders.c.url > "", _UNDER_WAY)
        query = sa.select(orders.c.created_at).where(*_newest(directory, limit, now, besides), counts, known)
        return self._database.read(lambda connection: list(connection.scalars(_most(query, limit))))

    def certificates(
        self, directory: str, limit: Limit, now: int, *, besides: int, names: Sequence[str], domain: str
    ) -> tuple[list[int], int]:
        """For a domain as :meth:`orders`; for a set of names each order counts."""
        wanted = _has_name_in(domain) if domain else orders.c.names == names_text(names)
        counts = sa.true() if limit.in_window or not domain else _OUTSIDE
        query = sa.select(orders.c.state, orders.c.updated_at).where(
            *_newest(directory, limit, now, besides), sa.or_(_STORED, _UNDER_WAY), wanted, counts
        )
        rows = self._database.read(lambda connection: connection.execute(_most(query, limit)).all())
        stored = [row.updated_at for row in rows if row.state == OrderState.STORED.value]
        return stored, len(rows) - len(stored)


class CountsAtOnce:
    """Answers as Counts does, about many certificates at one moment: it reads the orders of a span once, so it does not
    see an order that is opened later. Raises StoreError."""

    def __init__(self, database: Database):
        self._database = database
        self._counts = Counts(database)
        self._moments: dict[tuple[str, Limit, int, int], list[int]] = {}
        self._certificates: dict[tuple[str, Limit, int], dict[str, list[_Counted]]] = {}

    def orders(self, directory: str, limit: Limit, now: int, *, besides: int) -> list[int]:
        asked = (directory, limit, now, besides)
        if asked not in self._moments:
            self._moments[asked] = self._counts.orders(directory, limit, now, besides=besides)
        return self._moments[asked]

    def certificates(
        self, directory: str, limit: Limit, now: int, *, besides: int, names: Sequence[str], domain: str
    ) -> tuple[list[int], int]:
        asked = (directory, limit, now)
        if asked not in self._certificates:
            self._certificates[asked] = self._read(*asked)
        # a domain has no blank, and begins with a dot here: it is no set of names
        all_of_them = self._certificates[asked].get(f".{domain}" if domain else names_text(names), [])
        found = [one for one in all_of_them if one[0] != besides][: limit.count]
        stored = [moment for _, moment, is_stored in found if is_stored]
        return stored, len(found) - len(stored)

    def _read(self, directory: str, limit: Limit, now: int) -> dict[str, list[_Counted]]:
        """The newest orders by each set of names and each domain that they count for: one more than the limit allows,
        because a question may leave one out."""
        columns = (orders.c.id, orders.c.names, orders.c.state, orders.c.updated_at, _OUTSIDE.label("outside"))
        query = sa.select(*columns).where(*_newest(directory, limit, now, 0), sa.or_(_STORED, _UNDER_WAY))
        newest_first = query.order_by(orders.c.created_at.desc())
        found: defaultdict[str, list[_Counted]] = defaultdict(list)

        def work(connection: sa.Connection) -> None:
            found.clear()
            for row in connection.execute(newest_first):
                counted = (row.id, row.updated_at, row.state == OrderState.STORED.value)
                for key in _counts_for(row.names, domains=limit.in_window or bool(row.outside)):
                    if len(found[key]) <= limit.count:
                        found[key].append(counted)

        self._database.read(work)
        return found


def _counts_for(names: str, *, domains: bool) -> Iterator[str]:
    """The set of names of an order, and with *domains* each domain that has one of them and that may be asked for, with
    a dot before it."""
    yield names
    found = set[str]()
    for name in names.split() if domains else ():
        if len(name) > _LONGEST_NAME:
            continue
        labels = name.split(".")[-_MOST_LABELS:]
        found.update(".".join(labels[first:]) for first in range(len(labels)))
    yield from (f".{domain}" for domain in found)


def _newest(directory: str, limit: Limit, now: int, besides: int) -> tuple[sa.ColumnElement[bool], ...]:
    in_span = believable(orders.c.created_at, now - limit.seconds, limit.seconds)
    return in_span, orders.c.directory == directory, orders.c.id != besides


def _most(query: sa.Select[tuple[int]], limit: Limit) -> sa.Select[tuple[int]]:
    """The newest rows, as many as the limit allows."""
    return query.order_by(orders.c.created_at.desc()).limit(limit.count)


def _has_name_in(domain: str) -> sa.ColumnElement[bool]:
    """Is one of an order's names *domain*, or below it?"""
    listed = sa.literal(".").concat(sa.func.replace(orders.c.names, " ", " .")).concat(" ")
    return listed.contains(f".{domain} ", autoescape=True)
