"""Seals in their columns, and what concerns the seals of many rows. Moments are epoch seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa

from common.chunks import chunks
from issuer.model.enrolment import change_scope
from issuer.store.cells import OctetLength
from issuer.store.database import Database
from issuer.store.present import add_event
from issuer.store.tables import certs, events

_AT_ONCE = 500  # rows in one transaction
_MOST = 1000  # removals of one name: whoever writes the database may write any number
_LONGEST = 2000  # octets of a mark: it names a row, and nothing else


@dataclass(frozen=True, slots=True)
class Seal:
    """The *text* of a seal for the row of *name*, or for its *change*, and what `history` says of it."""

    name: str
    text: str
    told: str
    change: bool = False

    @property
    def scope(self) -> str:
        """The scope under which an issuer remembers it (issuer/trust/memory.py)."""
        return change_scope(self.name) if self.change else self.name


def put_seal(connection: sa.Connection, seal: Seal, now: int) -> None:
    """Put *seal* beside its row, or beside the change of that."""
    column = certs.c.change_seal if seal.change else certs.c.seal
    connection.execute(certs.update().where(certs.c.name == seal.name).values({column: seal.text}))
    add_event(connection, now, seal.name, "change sealed" if seal.change else "sealed", seal.told)


class SealStore:
    """Raises StoreError."""

    def __init__(self, database: Database):
        self._database = database

    def put(self, seals: Sequence[Seal], now: int, *, whole: bool = False) -> None:
        """Put many seals; all of them or none if *whole*."""

        def work(some: Sequence[Seal], connection: sa.Connection) -> None:
            for seal in some:
                put_seal(connection, seal, now)

        for some in [seals] if whole else chunks(seals, _AT_ONCE):
            self._database.write(partial(work, some))

    def add_tombstone(self, name: str, tombstone: str, now: int) -> None:
        """Tell every issuer that the row of *name*, which is gone already, is not to be missed."""
        self._database.write(lambda connection: add_event(connection, now, name, "removed", tombstone))

    def tombstones(self, name: str) -> list[str]:
        """The marks of removals in the history of *name*, the newest first; no more of them than anybody removes."""
        ours = (events.c.name == name, events.c.event == "removed", OctetLength(events.c.detail) <= _LONGEST)
        query = sa.select(events.c.detail).where(*ours).order_by(events.c.id.desc()).limit(_MOST)
        return self._database.read(lambda connection: list(filter(None, connection.scalars(query))))
