"""The addresses of hosts that were seen over days (``egress``): a firewall resolves at other moments than we do."""

from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from common.chunks import chunks
from common.egress.needs import Sighting
from issuer.store.cells import too_far
from issuer.store.database import Database
from issuer.store.tables import egress

_REMEMBERED = 90 * 86400  # seconds since an address was seen last
_MOST = 10_000  # rows that are read and kept; the ones that were seen longest ago go first
_MOST_OF_HOST = 500  # who answers for a name may give another address each time, and crowds no other host out
_AT_ONCE = 500

_SAME = sa.and_(egress.c.host == sa.bindparam("the_host"), egress.c.address == sa.bindparam("the_address"))
_DELETE = egress.delete().where(_SAME)


class Egress:
    """Each method is one transaction. Raises StoreError."""

    def __init__(self, database: Database):
        self._database = database

    def remembered(self, hosts: Iterable[str], now: int) -> dict[str, list[Sighting]]:
        """The sightings of each of *hosts* before *now* (epoch seconds), the newest 500 of one. A moment to come is
        none."""
        newest = sa.select(egress).where(egress.c.host == sa.bindparam("the_host"), sa.not_(_to_come(now)))
        newest = newest.order_by(egress.c.last_seen.desc()).limit(_MOST_OF_HOST)
        names = sorted(set(hosts))

        def work(connection: sa.Connection) -> dict[str, list[Sighting]]:
            found: dict[str, list[Sighting]] = {}
            for host in names:
                for row in connection.execute(newest, {"the_host": host}):
                    sighting = Sighting(row.address, row.ttl, row.first_seen, row.last_seen, now=False)
                    found.setdefault(row.host, []).append(sighting)
            return found

        return self._database.read(work)

    def remember(self, known: Mapping[str, Sequence[Sighting]], now: int) -> None:
        """Save what is *known* by host of addresses that are seen *now*, and forget what was not seen for 90 days, or
        is too much."""
        rows = [_row(host, one) for host, some in known.items() for one in some if one.now]

        def work(connection: sa.Connection) -> None:
            for some in chunks(rows, _AT_ONCE):
                connection.execute(_DELETE, [{"the_host": row["host"], "the_address": row["address"]} for row in some])
                connection.execute(egress.insert(), some)
            connection.execute(egress.delete().where(sa.or_(egress.c.last_seen < now - _REMEMBERED, _to_come(now))))
            for host in known:
                _keep_newest(connection, egress.c.host == host, _MOST_OF_HOST)
            _keep_newest(connection, sa.true(), _MOST)

        self._database.write(work, durable=False)


def _keep_newest(connection: sa.Connection, these: sa.ColumnElement[bool], most: int) -> None:
    """Forget all of *these* but *most*, of very many the next 10,000."""
    newest_first = sa.select(egress.c.host, egress.c.address).where(these).order_by(egress.c.last_seen.desc())
    others = connection.execute(newest_first.offset(most).limit(_MOST)).all()
    if others:
        connection.execute(_DELETE, [{"the_host": host, "the_address": address} for host, address in others])


def _row(host: str, one: Sighting) -> dict[str, object]:
    return {"host": host, "address": one.address, "first_seen": one.first, "last_seen": one.last, "ttl": one.ttl}


def _to_come(now: int) -> sa.ColumnElement[bool]:
    """A thief's, or of a clock that was wrong: it would outlast what is seen."""
    return too_far(egress.c.last_seen, now, 0)
