"""Bring the database to the newest revision, or tell what that would meet. Imports Alembic: only `db` loads it."""

import contextlib
from dataclasses import dataclass

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from issuer.model.errors import OtherRevision, StoreError
from issuer.store.database import Database
from issuer.store.revision import NEEDED, present, revision_of
from issuer.store.tables import LEGACY_COLUMNS, certs

_LOCK_SECONDS = 60


@dataclass(frozen=True, slots=True)
class LegacyTable:
    """A table `certs` of the classic scripts: its rows, and the *missing* columns without which it is refused."""

    rows: int
    missing: tuple[str, ...]


def legacy_table(database: Database) -> LegacyTable | None:
    """The table that an upgrade would adopt; None if there is none. Raises StoreError."""

    def work(connection: sa.Connection) -> LegacyTable | None:
        look = sa.inspect(connection)
        if not look.has_table(certs.name):
            return None
        there = {column["name"].lower() for column in look.get_columns(certs.name)}
        rows = connection.scalar(sa.select(sa.func.count()).select_from(certs)) or 0
        return LegacyTable(rows, tuple(name for name in LEGACY_COLUMNS if name not in there))

    return database.read(work)


def upgrade(database: Database) -> tuple[str, str]:
    """Migrate; returns the revisions before and after. A second upgrade waits for the first. Raises StoreError."""
    database.create()
    before = present(database)
    database.write(_upgrade)
    return before, present(database)


def _upgrade(connection: sa.Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "migrations:")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    locking = connection.dialect.name != "sqlite"  # SQLite's BEGIN IMMEDIATE is the lock there
    if locking and not connection.scalar(sa.text("SELECT GET_LOCK('certfleet-upgrade', :s)"), {"s": _LOCK_SECONDS}):
        raise StoreError("another upgrade of this database is running", hint="wait until it has finished")
    try:
        found = revision_of(connection)
        if found > NEEDED:  # Alembic would not find it
            raise OtherRevision(found, NEEDED)
        command.upgrade(config, "head")
    except ValueError as error:  # a revision's own refusal
        raise StoreError(
            "the database was not upgraded", why=str(error), hint="nothing was changed; look at that table"
        ) from error
    finally:
        if locking:
            with contextlib.suppress(sa.exc.SQLAlchemyError):  # a lost connection: the server has freed it
                connection.execute(sa.text("SELECT RELEASE_LOCK('certfleet-upgrade')"))
