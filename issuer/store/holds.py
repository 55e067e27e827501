"""What a CA's limits hold up: shared by every issuer on the database."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from issuer.model.failure import Failure
from issuer.model.limits import ACCOUNT, LONGEST_HOLD
from issuer.store.cells import believable
from issuer.store.database import Database
from issuer.store.failures import line
from issuer.store.present import add_event
from issuer.store.tables import certs, holds


def in_force(now: Any) -> sa.ColumnElement[bool]:
    """Does a hold count at *now*?"""
    return believable(holds.c.until, now, LONGEST_HOLD)


_HELD = (
    sa.select(holds.c.until, holds.c.reason)
    .where(
        holds.c.account == sa.bindparam("the_account"),
        holds.c.scope.in_(sa.bindparam("scopes", expanding=True)),
        in_force(sa.bindparam("now", type_=sa.BigInteger)),
    )
    .order_by(holds.c.until.desc())
)


class Holds:
    """Holds are kept by account (SHA-256 of directory and key) and scope: a certificate, or ``*`` for all of them."""

    def __init__(self, database: Database):
        self._database = database

    def until(self, account: str, name: str, now: int, *, goes_on: bool = False) -> tuple[int, Failure] | None:
        """(moment, facts) of the longest hold on *name* that has not passed; None without one. An order that *goes_on*
        is no new one: the holds on the whole account do not concern it."""
        scopes = [name[:190]] if goes_on else [ACCOUNT, name[:190]]
        asked = {"the_account": account, "scopes": scopes, "now": now}
        row = self._database.read(lambda connection: connection.execute(_HELD, asked).first())
        return (row.until, Failure(row.reason or "")) if row is not None else None

    def add(self, account: str, scope: str, until: int, failure: Failure, now: int) -> None:
        """Remember a hold; passed ones are cleared on the way."""
        key = {"account": account, "scope": scope[:190]}

        def work(connection: sa.Connection) -> None:
            same = sa.and_(holds.c.account == account, holds.c.scope == key["scope"])
            connection.execute(holds.delete().where(sa.or_(holds.c.until <= now, same)))
            connection.execute(holds.insert().values(**key, until=until, reason=line(failure)))

        self._database.write(work)

    def lift(self, names: Sequence[str], now: int) -> int:
        """Forget what holds *names* up, and the holds on whole accounts; what was put off until then is looked at
        again. Returns how many there were."""
        concerned = (holds.c.until > now, holds.c.scope.in_([ACCOUNT, *(name[:190] for name in names)]))

        def work(connection: sa.Connection) -> int:
            found = connection.execute(sa.select(holds).where(*concerned)).all()
            for hold in found:
                waits = [certs.c.due_at == hold.until]
                if hold.scope != ACCOUNT:
                    waits.append(certs.c.name == hold.scope)
                connection.execute(certs.update().where(*waits).values(due_at=now))
                add_event(connection, now, hold.scope, "hold lifted", hold.reason or "")
            connection.execute(holds.delete().where(*concerned))
            return len(found)

        return self._database.write(work)
