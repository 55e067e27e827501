"""Bring the database to the newest revision, or say where it stands. Imports Alembic, so only `db` commands load it."""

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from issuer.errors import StoreError
from issuer.store.database import Database

_LOCK_SECONDS = 60
NEWER = "install the newer certfleet here too; until then this one works on with what it knows"


def newest_revision() -> str:
    """The revision that this version of certfleet works with."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def present_revision(database: Database) -> str:
    """The revision the database is at; "" for one that was never migrated, or is not there yet."""
    if database.absent:
        return ""
    return database.read(_revision)


def is_newer(revision: str) -> bool:
    """Is it a revision that only a newer certfleet has? This one knows all before its own."""
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    return revision not in known | {""}


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
        _refuse_newer(_revision(connection))
        command.upgrade(config, "head")
    except ValueError as error:  # a revision's own refusal
        raise StoreError(
            "the database was not upgraded", why=str(error), hint="nothing was changed; look at that table"
        ) from error
    finally:
        if locking:
            connection.execute(sa.text("SELECT RELEASE_LOCK('certfleet-upgrade')"))


def _revision(connection: sa.Connection) -> str:
    return MigrationContext.configure(connection).get_current_revision() or ""


def _refuse_newer(revision: str) -> None:
    if is_newer(revision):
        what = f"the database is at revision {revision}, which this version of certfleet does not know"
        raise StoreError(what, why="a newer one has upgraded it", hint=NEWER)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "migrations:")
    config.set_main_option("path_separator", "os")
    return config
