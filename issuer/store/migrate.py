"""Bring the database to the newest revision, or say where it stands. Imports Alembic, so only `db` commands load it."""

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from issuer.errors import StoreError
from issuer.store.database import Database

_LOCK_SECONDS = 60


def newest_revision() -> str:
    """The revision that this version of certfleet works with."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def present_revision(database: Database) -> str:
    """The revision the database is at; "" for one that was never migrated, or is not there yet."""
    if database.absent:
        return ""
    return database.read(lambda connection: MigrationContext.configure(connection).get_current_revision() or "")


def upgrade(database: Database) -> tuple[str, str]:
    """Migrate; returns the revisions before and after. Two upgrades at once wait for one another. Raises StoreError."""
    database.create()
    before = present_revision(database)
    database.write(_upgrade)
    return before, present_revision(database)


def _upgrade(connection: sa.Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    locking = connection.dialect.name != "sqlite"  # SQLite's BEGIN IMMEDIATE is the lock there
    if locking and not connection.scalar(sa.text("SELECT GET_LOCK('certfleet-upgrade', :s)"), {"s": _LOCK_SECONDS}):
        raise StoreError("another upgrade of this database is running", hint="wait until it has finished")
    try:
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
