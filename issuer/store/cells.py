"""Types of columns and conditions on them, for whatever stands in a cell.

SQLite keeps any value that an old script wrote, and a newer certfleet writes words that this one does not know. Such a
cell costs its row at most, never the command. Nor does a cell of 200 MB: the database returns its beginning only, one
byte more than the largest good value, and the parser then says that it is too large.
"""

import dataclasses
import re
from enum import Enum
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.compiler import compiles

from common.pem import LARGEST
from issuer.model.moments import CLOCKS_APART

D = TypeVar("D")  # a dataclass
K = TypeVar("K", bound=Enum)
log = structlog.get_logger()
_warned: dict[str, set[tuple[str, str]]] = {}  # by table: (row, value)
_MOST_WARNED = 20  # rows of one table: somebody may add any number
_LARGEST = 2**63 - 1
_LONGEST_WORDS = 65_535  # characters
LONGEST_TOLD = 2000  # characters of a text for people; nothing of ours writes more


class _Start(sa.sql.functions.FunctionElement[Any]):
    """The first *most* octets or characters of a cell."""

    inherit_cache = True

    def __init__(self, column: sa.ColumnElement[Any], most: int, kind: "sa.types.TypeEngine[Any]"):
        super().__init__(column, sa.literal_column(str(most)))
        self.type = kind

    def parts(self, compiler: Any, **options: Any) -> tuple[str, str]:
        """The SQL of the cell, and the number. The number is not compiled: the questions of a run hold hundreds."""
        cell, most = self.clauses.clauses
        return str(compiler.process(cell, **options)), most.name


@compiles(_Start)
def _of_server(start: _Start, compiler: Any, **options: Any) -> str:
    cell, most = start.parts(compiler, **options)
    return f"SUBSTR({cell}, 1, {most})"


@compiles(_Start, "sqlite")
def _of_file(start: _Start, compiler: Any, **options: Any) -> str:
    """SQLite would read a whole blob for its start, and knows its length without."""
    cell, most = start.parts(compiler, **options)
    is_large = f"typeof({cell}) = 'blob' AND length({cell}) > {most}"
    return f"CASE WHEN {is_large} THEN zeroblob({most}) ELSE substr({cell}, 1, {most}) END"


class _Within(_Start):
    """As `_Start`, for a column whose type has that limit on a server; SQLite has no limits."""

    inherit_cache = True


@compiles(_Within)
def _as_it_is(start: _Within, compiler: Any, **options: Any) -> str:
    return start.parts(compiler, **options)[0]


@compiles(_Within, "sqlite")
def _of_file_within(start: _Within, compiler: Any, **options: Any) -> str:
    """substr ends at a NUL, so a cell that fits is left as it is."""
    cell, most = start.parts(compiler, **options)
    octets = compiler.process(OctetLength(start.clauses.clauses[0]), **options)
    return f"CASE WHEN {octets} > {4 * int(most)} THEN substr({cell}, 1, {most}) ELSE {cell} END"


class OctetLength(sa.sql.functions.FunctionElement[int]):
    """How many octets a text has in UTF-8. SQLite's length ends at a NUL."""

    type = sa.Integer()
    inherit_cache = True


@compiles(OctetLength)
def _octets_on_server(length: OctetLength, compiler: Any, **options: Any) -> str:
    return f"LENGTH({compiler.process(length.clauses, **options)})"


@compiles(OctetLength, "sqlite")
def _octets_in_file(length: OctetLength, compiler: Any, **options: Any) -> str:
    return f"length(CAST({compiler.process(length.clauses, **options)} AS BLOB))"


class Number(sa.TypeDecorator[int]):
    """A whole number of 64 bits; None for NULL and for another value, as a date, or a number that no column takes."""

    impl = sa.BigInteger
    cache_ok = True

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> int | None:
        try:
            number = None if value is None else int(value)
        except (TypeError, ValueError, OverflowError):
            return None
        return None if number is None or abs(number) > _LARGEST else number


class NumberOrZero(Number):
    """The same with 0 in place of None."""

    cache_ok = True

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> int:
        return super().process_result_value(value, dialect) or 0


class Words(sa.TypeDecorator[str]):
    """Text; "" for NULL and for a value that is no text. On a server it may stand in a column of bytes,
    as a script made it; SQLite finds no row by text whose cell is a blob."""

    impl = sa.String
    cache_ok = True

    def column_expression(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        length = self.impl_instance.length if isinstance(self.impl_instance, sa.String) else None
        return _Start(column, _LONGEST_WORDS, self) if length is None else _Within(column, length, self)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> str:
        if isinstance(value, bytes) and dialect.name != "sqlite":
            return value.decode(errors="replace")
        return value if isinstance(value, str) else ""


class Told(Words):
    """Text for people; of a longer one than our commands write, the first 2,000 characters and "…"."""

    cache_ok = True

    def column_expression(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return _Start(column, LONGEST_TOLD + 1, self)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> str:
        if isinstance(value, bytes):  # on SQLite too: an old script may have written in another encoding
            value = value.decode(errors="replace")
        text = super().process_result_value(value, dialect)
        return text if len(text) <= LONGEST_TOLD else text[:LONGEST_TOLD] + "…"


class Octets(sa.TypeDecorator[bytes]):
    """A blob; b"" for NULL. Text or a number that an old script wrote comes as its characters."""

    impl = sa.LargeBinary
    cache_ok = True

    def column_expression(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return _Start(column, LARGEST + 1, self)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> bytes:
        return value if isinstance(value, bytes) else str(value or "").encode()


def from_row(kind: type[D], row: sa.RowMapping, **more: object) -> D:
    """A dataclass: *more* by name, its other fields from the columns of the same names."""
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    cells = {field.name: row[field.name] for field in fields if field.name not in more}
    return kind(**cells, **more)


def believable(column: Any, now: Any, longest: Any) -> sa.ColumnElement[bool]:
    """:func:`issuer.model.moments.believable` as a condition on a column; NULL where the column is NULL."""
    return sa.and_(column > now, sa.not_(too_far(column, now, longest)))


def too_far(column: Any, now: Any, longest: Any) -> sa.ColumnElement[bool]:
    """Is a moment further ahead than the *longest* time (seconds) that such a moment is saved for?"""
    ahead: sa.ColumnElement[bool] = column > now + longest + CLOCKS_APART
    return ahead


def window(start: int | None, end: int | None, earlier: str) -> tuple[int, int] | None:
    """A span of time (epoch seconds) from two columns. An earlier version wrote *earlier*, "START-END", instead."""
    match = re.fullmatch(r"(-?[0-9]{1,18})-(-?[0-9]{1,18})", earlier)
    if match:
        return int(match[1]), int(match[2])
    return None if start is None or end is None else (start, end)


def known(kinds: type[K], value: Any, table: str, row: str) -> K | None:
    """*value* as one of *kinds*. None, with a warning, for a value that only another version knows."""
    try:
        return kinds(value)
    except ValueError:
        _warn(table, row, str(value))
        return None


def _warn(table: str, row: str, value: str) -> None:
    """Once for each row, because the daemon looks every few seconds; of very many rows for the first few."""
    told = _warned.setdefault(table, set())
    if (row, value) in told or len(told) > _MOST_WARNED:
        return
    told.add((row, value))
    if len(told) > _MOST_WARNED:
        log.warning("rows.skipped", table=table, hint="no further row of this table is told")
        return
    hint = "upgrade this certfleet if a newer one wrote it; else mend or delete that row"
    log.warning("row.skipped", table=table, row=row, unknown=value, hint=hint)
