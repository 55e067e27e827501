"""The account's name in our tables, which holds the key's thumbprint, after a change of that key."""

import sqlalchemy as sa

from issuer.store.database import Database
from issuer.store.tables import certs, holds


def rename_account(database: Database, before: str, now: str) -> None:
    """Let certificates and holds of the account *before* belong to *now*. Safe to repeat. Raises StoreError."""
    if before == now:
        return

    def work(connection: sa.Connection) -> None:
        connection.execute(certs.update().where(certs.c.account == before).values(account=now))
        scopes = connection.scalars(sa.select(holds.c.scope).where(holds.c.account == before)).all()
        connection.execute(holds.delete().where(holds.c.account == now, holds.c.scope.in_(scopes)))
        connection.execute(holds.update().where(holds.c.account == before).values(account=now))

    database.write(work)
