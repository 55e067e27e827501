"""Seals in their columns, and what concerns the seals of many rows. Moments are epoch seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa

from common.chunks import chunks
from issuer.store.database import Database
from issuer.store.present import add_event
from issuer.store.tables import certs, events

_AT_ONCE = 500  # rows in one transaction


@dataclass(frozen=True, slots=True)
class Seal:
    """The *text* of a seal, and what `history` says of it."""

    text: str
    told: str


def put_seal(connection: sa.Connection, name: str, seal: Seal | None, now: int, *, change: bool = False) -> None:
    """Put *seal* beside the row, or beside its *change*. None changes nothing."""
    if seal is None:
        return
    column = certs.c.change_seal if change else certs.c.seal
    connection.execute(certs.update().where(certs.c.name == name).values({column: seal.text}))
    add_event(connection, now, name, "change sealed" if change else "sealed", seal.told)


class SealStore:
    """Raises StoreError."""

    def __init__(self, database: Database):
        self._database = database

    def put(self, seals: Sequence[tuple[str, Seal, bool]], now: int) -> None:
        """Put many seals: each with the name of its row, and whether it is that of its change."""

        def work(some: Sequence[tuple[str, Seal, bool]], connection: sa.Connection) -> None:
            for name, seal, change in some:
                put_seal(connection, name, seal, now, change=change)

        for some in chunks(seals, _AT_ONCE):
            self._database.write(partial(work, some))

    def add_tombstone(self, name: str, tombstone: str, now: int) -> None:
        """Tell every issuer that the row of *name*, which is gone already, is not to be missed."""
        self._database.write(lambda connection: add_event(connection, now, name, "removed", tombstone))

    def tombstones(self, name: str) -> list[str]:
        """The marks of removals in the history of *name*, the newest first."""
        removals = sa.select(events.c.detail).where(events.c.name == name, events.c.event == "removed")
        query = removals.order_by(events.c.id.desc())
        return self._database.read(lambda connection: list(filter(None, connection.scalars(query))))
