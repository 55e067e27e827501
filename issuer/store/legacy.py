"""The ancestor's table: can it be adopted?"""

from dataclasses import dataclass

import sqlalchemy as sa

from issuer.store.database import Database
from issuer.store.tables import certs

_LAST = "webroot_path"  # of the classic columns, which come first
COLUMNS = tuple(certs.columns.keys())[: certs.columns.keys().index(_LAST) + 1]


@dataclass(frozen=True, slots=True)
class Adoptable:
    """A `certs` table that certfleet has not seen yet: how large it is, and the columns without which it is refused."""

    rows: int
    missing: tuple[str, ...]


def adoptable(database: Database) -> Adoptable | None:
    """What an upgrade would adopt; None where there is no such table. Raises StoreError."""

    def work(connection: sa.Connection) -> Adoptable | None:
        look = sa.inspect(connection)
        if not look.has_table(certs.name):
            return None
        there = {column["name"] for column in look.get_columns(certs.name)}
        rows = connection.scalar(sa.select(sa.func.count()).select_from(certs)) or 0
        return Adoptable(rows, tuple(name for name in COLUMNS if name not in there))

    return database.read(work)
