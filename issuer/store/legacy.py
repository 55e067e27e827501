"""Columns of the ancestor's table that certfleet keeps for the old scripts and does not use itself."""

from collections.abc import Collection

import sqlalchemy as sa

from issuer.store.database import Database
from issuer.store.tables import certs


def md5_moduli(database: Database, names: Collection[str]) -> dict[str, str]:
    """What stands in md5_modulus, by certificate; only rows that have something there."""
    query = sa.select(certs.c.name, certs.c.md5_modulus).where(certs.c.name.in_(names))
    rows = database.read(lambda connection: list(connection.execute(query)))
    return {row.name: row.md5_modulus.strip() for row in rows if row.md5_modulus}
