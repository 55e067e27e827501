"""Do the tables fit this version? One question at the start of a command, which must not load Alembic for it."""

import sqlalchemy as sa

from issuer.model.config import DatabaseSettings
from issuer.model.errors import OtherRevision
from issuer.store.database import Database

NEEDED = "0007"  # the newest in migrations/versions; revisions count up
_PRESENT = sa.text("SELECT version_num FROM alembic_version")


def present(database: Database) -> str:
    """The revision the database is at; "" for one that was never migrated, or is not there yet. Raises StoreError."""
    return "" if database.absent else database.read(revision_of)


def open_database(settings: DatabaseSettings) -> Database:
    """The database, ready for every command that works with its tables. Raises StoreError."""
    database = Database(settings)
    require(database)
    return database


def require(database: Database) -> None:
    """OtherRevision unless the tables are those that this version needs; StoreError when they cannot be asked for."""
    found = database.read(revision_of)
    if found != NEEDED:
        raise OtherRevision(found, NEEDED)


def revision_of(connection: sa.Connection) -> str:
    """:func:`present`, on a connection."""
    if not connection.dialect.has_table(connection, "alembic_version"):
        return ""
    return connection.scalar(_PRESENT) or ""
