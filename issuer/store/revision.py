"""Do the tables fit this version? Each command asks once at its start, and must not load Alembic for it."""

import sqlalchemy as sa

from issuer.model.config import DatabaseSettings
from issuer.model.errors import OtherRevision
from issuer.store.database import Database

NEEDED = "0023"  # the newest in migrations/versions; revisions count up
_PRESENT = sa.text("SELECT version_num FROM alembic_version")


def present(database: Database) -> str:
    """The database's revision; "" if it was never migrated or does not exist yet. Raises StoreError."""
    return "" if database.absent else database.read(revision_of)


def open_database(settings: DatabaseSettings) -> Database:
    """The database, whose tables fit. Raises StoreError, OtherRevision."""
    database = Database(settings)
    require(database)
    return database


def require(database: Database) -> None:
    """Raise OtherRevision unless the tables are those that this version needs. Raises StoreError."""
    found = database.read(revision_of)
    if found != NEEDED:
        raise OtherRevision(found, NEEDED)


def revision_of(connection: sa.Connection) -> str:
    """As :func:`present`, on a connection."""
    if not connection.dialect.has_table(connection, "alembic_version"):
        return ""
    return connection.scalar(_PRESENT) or ""
