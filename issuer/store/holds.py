"""Holds: moments that a CA named, before which nothing is ordered there. Every issuer on the database shares them."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from issuer.model.enrolment import change_scope
from issuer.model.failure import Failure
from issuer.model.limits import ACCOUNT, LONGEST_HOLD, LONGEST_HOLD_ON_NAME, REGISTRATION, Hold
from issuer.store.cells import believable
from issuer.store.database import Database
from issuer.store.failures import line
from issuer.store.present import add_event
from issuer.store.tables import certs, holds

# seconds by which the moments of one limit differ: orders asked for side by side are told one each, and one is kept
_SIDE_BY_SIDE = 60


def in_force(now: Any) -> sa.ColumnElement[bool]:
    """Does a hold count at *now*?"""
    longest = sa.case((holds.c.scope == ACCOUNT, LONGEST_HOLD), else_=LONGEST_HOLD_ON_NAME)
    return believable(holds.c.until, now, longest)


_ALL = sa.select(holds).where(in_force(sa.bindparam("now", type_=sa.BigInteger))).order_by(holds.c.until.desc())
_HELD = _ALL.where(
    holds.c.account == sa.bindparam("the_account"), holds.c.scope.in_(sa.bindparam("scopes", expanding=True))
)


class Holds:
    """A HoldStore (issuer/journey/ports.py), with the ways to lift a hold. Accounts are named by the SHA-256 of
    directory and key."""

    def __init__(self, database: Database):
        self._database = database

    def all(self, now: int) -> list[Hold]:
        """Every hold in force, the longest first."""
        rows = self._database.read(lambda connection: connection.execute(_ALL, {"now": now}).all())
        return [Hold(row.account, row.scope, row.until, Failure(row.reason)) for row in rows]

    def until(self, account: str, name: str, now: int, *, goes_on: bool = False) -> tuple[int, Failure] | None:
        scopes = [name[:190]] if goes_on else [ACCOUNT, name[:190]]
        asked = {"the_account": account, "scopes": scopes, "now": now}
        row = self._database.read(lambda connection: connection.execute(_HELD, asked).first())
        return (row.until, Failure(row.reason)) if row is not None else None

    def add(self, account: str, scope: str, until: int, failure: Failure, now: int) -> None:
        """In place of an earlier one; those that have passed are deleted."""
        key = {"account": account, "scope": scope[:190]}

        def work(connection: sa.Connection) -> None:
            same = sa.and_(holds.c.account == account, holds.c.scope == key["scope"])
            connection.execute(holds.delete().where(sa.or_(holds.c.until <= now, same)))
            connection.execute(holds.insert().values(**key, until=until, reason=line(failure)))

        self._database.write(work)

    def lift(self, names: Sequence[str], now: int) -> None:
        """Delete the holds on *names* and on whole accounts. Certificates that wait for the end of one are due now."""
        alone = [scope[:190] for name in names for scope in (name, change_scope(name))]
        self._lift([ACCOUNT, REGISTRATION, *alone], now)

    def lift_registration(self, now: int) -> None:
        """Delete the holds on registering accounts. Certificates that wait for the end of one are due now."""
        self._lift([REGISTRATION], now)

    def _lift(self, scopes: Sequence[str], now: int) -> None:
        concerned = (holds.c.until > now, holds.c.scope.in_(scopes))

        def work(connection: sa.Connection) -> None:
            for hold in connection.execute(sa.select(holds).where(*concerned)).all():
                about = (hold.until - _SIDE_BY_SIDE, hold.until + _SIDE_BY_SIDE)
                waits = [certs.c.due_at.between(*about)]
                if hold.scope not in (ACCOUNT, REGISTRATION):
                    waits.append(certs.c.name == hold.scope)
                connection.execute(certs.update().where(*waits).values(due_at=now))
                changes = certs.update().where(certs.c.change_due_at.between(*about))
                connection.execute(changes.values(change_due_at=now))
                add_event(connection, now, hold.scope, "hold lifted", hold.reason)
            connection.execute(holds.delete().where(*concerned))

        self._database.write(work)


def rename_account(database: Database, before: str, now: str) -> None:
    """Let certificates and holds of the account *before* belong to *now*, after a change of its key: its name in our
    tables holds the key's thumbprint. Safe to repeat. Raises StoreError."""
    if before == now:
        return

    def work(connection: sa.Connection) -> None:
        connection.execute(certs.update().where(certs.c.account == before).values(account=now))
        scopes = connection.scalars(sa.select(holds.c.scope).where(holds.c.account == before)).all()
        connection.execute(holds.delete().where(holds.c.account == now, holds.c.scope.in_(scopes)))
        connection.execute(holds.update().where(holds.c.account == before).values(account=now))

    database.write(work)
