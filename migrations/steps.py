"""Steps of the revisions. Each does nothing if it is done already, so that every revision can be run twice."""

from typing import Any

import sqlalchemy as sa
from alembic import op

# a BIGINT key does not count up by itself in SQLite, an INTEGER key does
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_ON_A_SERVER: dict[str, Any] = {
    f"{make}_{option}": value
    for make in ("mysql", "mariadb")
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"))
}


def create_table(name: str, *columns: sa.schema.SchemaItem) -> None:
    """Create a table unless it exists."""
    if not sa.inspect(op.get_bind()).has_table(name):
        op.create_table(name, *columns, **_ON_A_SERVER)


def add_columns(table: str, *columns: sa.Column[Any]) -> None:
    """Add those columns that *table* lacks."""
    present = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
    for column in columns:
        if column.name not in present:
            op.add_column(table, column)


def create_index(name: str, table: str, *columns: str) -> None:
    """Create an index unless it exists."""
    if name not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, list(columns))


def code_of(error: sa.exc.DBAPIError) -> int:
    """The number that a database server gave its refusal; 0 without one."""
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else 0
