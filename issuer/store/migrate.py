"""Bring the database to the newest revision. Imports Alembic, so only `db` commands load it."""

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from issuer.model.errors import OtherRevision, StoreError
from issuer.store.database import Database
from issuer.store.revision import NEEDED, present, revision_of

_LOCK_SECONDS = 60


def upgrade(database: Database) -> tuple[str, str]:
    """Migrate; returns the revisions before and after. Two upgrades at once wait for one another. Raises StoreError."""
    database.create()
    before = present(database)
    database.write(_upgrade)
    return before, present(database)


def _upgrade(connection: sa.Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    locking = connection.dialect.name != "sqlite"  # SQLite's BEGIN IMMEDIATE is the lock there
    if locking and not connection.scalar(sa.text("SELECT GET_LOCK('certfleet-upgrade', :s)"), {"s": _LOCK_SECONDS}):
        raise StoreError("another upgrade of this database is running", hint="wait until it has finished")
    try:
        found = revision_of(connection)
        if found > NEEDED:  # which Alembic would not find
            raise OtherRevision(found, NEEDED)
        command.upgrade(config, "head")
    except ValueError as error:  # a revision's own refusal
        raise StoreError(
            "the database was not upgraded", why=str(error), hint="nothing was changed; look at that table"
        ) from error
    finally:
        if locking:
            connection.execute(sa.text("SELECT RELEASE_LOCK('certfleet-upgrade')"))


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "migrations:")
    config.set_main_option("path_separator", "os")
    return config
