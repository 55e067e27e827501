"""TOML to frozen dataclasses: types checked, unknown keys refused, every finding at once with its path in the file.

A settings class is a frozen dataclass whose fields are made with :func:`setting`, :func:`section` or :func:`sections`;
defaults stand there and nowhere else. Pure: ``common.config_file`` reads the file.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from common import dataclasses
from common.clock import duration_text, parse_duration
from common.errors import ConfigError, Finding
from common.similar import similar

T = TypeVar("T")
Parser = Callable[[Any], Any]
REQUIRED: Any = dataclasses.MISSING
_LONGEST_TEXT = 4096  # characters: no path is longer
_LONGEST_SHOWN = 80  # characters of a wrong key or value
_MOST_TABLES = 2  # a finding names so many where a key stands in the wrong one
_LONGEST_TIME = 3650 * 86400  # seconds; a wait of centuries overflows in the system
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def setting(parser: Parser, default: Any = REQUIRED) -> Any:
    """A key of the file. *parser* turns the TOML value into ours, or raises ValueError with a sentence."""
    return dataclasses.field(default=default, metadata={"parser": parser})


def section(cls: type[T]) -> T:
    """A key that is a table, ``[name]``. Where the file has none, all its defaults hold."""
    field: T = dataclasses.field(default_factory=cls, metadata={"section": cls})
    return field


def sections(cls: type[T]) -> tuple[T, ...]:
    """A key that is an array of tables, ``[[name]]``. Where the file has none, it is empty."""
    field: tuple[T, ...] = dataclasses.field(default=(), metadata={"sections": cls})
    return field


def shown(value: Any) -> str:
    """*value* as the file spells it, cut short, for a finding."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number of more than 64 bits"
    if isinstance(value, str):
        return repr(value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}…")
    return str(value)


def text(value: Any) -> str:
    """A text without control characters, of bounded length. Raises ValueError with a sentence, as every parser here."""
    if not isinstance(value, str):
        raise ValueError(f"must be a text in quotes, not {shown(value)}")
    if len(value) > _LONGEST_TEXT:
        raise ValueError(f"must not be longer than {_LONGEST_TEXT} characters")
    if _CONTROL.search(value):
        raise ValueError(f"must not hold control characters, as {shown(value)} does")
    return value


def nonempty(value: Any) -> str:
    """A text of at least one character."""
    if not text(value):
        raise ValueError("must not be empty")
    return text(value)


def boolean(value: Any) -> bool:
    """true or false, without quotes."""
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {shown(value)}")
    return value


def integer(minimum: int, maximum: int = 2**31) -> Parser:
    """A parser of whole numbers from *minimum* to *maximum*."""

    def parse_integer(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"must be a whole number, not {shown(value)}")
        if not minimum <= value <= maximum:
            raise ValueError(f"must be between {minimum} and {maximum}, not {shown(value)}")
        return value

    return parse_integer


def fraction(value: Any) -> float:
    """A number above 0 and below 1."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1:
        raise ValueError(f"must be a number between 0 and 1, not {shown(value)}")
    return float(value)


def duration(minimum: int) -> Parser:
    """Seconds, at least *minimum*, from "90s", "10m", "1h", "3d"."""

    def parse_time(value: Any) -> int:
        seconds = parse_duration(text(value))
        if not minimum <= seconds <= _LONGEST_TIME:
            bounds = f"between {duration_text(minimum)} and {duration_text(_LONGEST_TIME)}"
            raise ValueError(f"must be {bounds}, not {shown(value)}")
        return seconds

    return parse_time


def path(value: Any) -> Path:
    """An absolute path; it need not exist."""
    found = Path(nonempty(value))
    if not found.is_absolute():
        raise ValueError(f"must be an absolute path, not {shown(value)}")
    return found


def optional(parser: Parser, absent: Any) -> Parser:
    """A parser that turns the empty text into *absent*, and leaves any other to *parser*."""
    return lambda value: parser(value) if text(value) else absent


optional_path = optional(path, None)


def list_of(parser: Parser) -> Parser:
    """A parser of lists; *parser* reads each item."""

    def parse_list(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError(f"must be a list in [ ], not {shown(value)}")
        return tuple(parser(item) for item in value)

    return parse_list


def parse(cls: type[T], document: Mapping[str, Any], source: str) -> T:
    """*document* as a *cls*. *source* names it for people. Raises ConfigError with every finding."""
    findings: list[Finding] = []
    built = _build(cls, document, _Around(cls, findings))
    if findings:
        raise ConfigError(
            source, findings, hint="mend the file; every key and its default stand in the example of deploy/"
        )
    assert built is not None  # noqa: S101 - no finding means that it was built
    return built


@dataclasses.dataclass(frozen=True, slots=True)
class _Around:
    """The circumstances in which a table is read: the class of the whole file, the findings so far, and the path of
    the table, with a dot behind it."""

    whole: type[Any]
    findings: list[Finding]
    prefix: str = ""

    def within(self, prefix: str) -> "_Around":
        return dataclasses.replace(self, prefix=prefix)


def _build(cls: type[T], document: Mapping[str, Any], around: _Around) -> T | None:
    prefix, findings = around.prefix, around.findings
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in document.keys() - fields.keys():
        told = belongs(key, around.whole) or like(key, list(fields))
        findings.append(Finding(prefix + key[:_LONGEST_SHOWN], f"is not a known key{told}"))
    before = len(findings)
    values = {name: _value(field, document, around) for name, field in fields.items()}
    if len(findings) > before:
        return None
    try:
        return cls(**values)
    except ValueError as error:  # a rule between several keys of one table, checked by its __post_init__
        findings.append(Finding(prefix.rstrip("."), str(error)))
        return None


def like(key: str, known: Sequence[str]) -> str:
    """The end of a sentence, with the known key that *key* resembles; "" where it resembles none."""
    close = similar(key, known)
    return f"; did you mean {close!r}?" if close else ""


def belongs(key: str, whole: type[Any]) -> str:
    """The end of a sentence, with the one or two tables of the file that have that *key*. "" where none has it, and
    where more have it: a long list would not help."""
    tables = list(_tables_with(key, whole, ""))
    return f"; it belongs {' or '.join(tables)}" if 0 < len(tables) <= _MOST_TABLES else ""


def _tables_with(key: str, cls: type[Any], path: str, table: str = "[{}]") -> Iterator[str]:
    for field in dataclasses.fields(cls):
        where = f"{path}.{field.name}".lstrip(".")
        if "section" in field.metadata:
            yield from _tables_with(key, field.metadata["section"], where)
        elif "sections" in field.metadata:
            yield from _tables_with(key, field.metadata["sections"], where, "[[{}]]")
        elif field.name == key:
            yield f"into {table.format(path)}" if path else "above the first table"


def _value(field: "dataclasses.Field[Any]", document: Mapping[str, Any], around: _Around) -> Any:
    where, findings = around.prefix + field.name, around.findings
    given = document.get(field.name, REQUIRED)
    if "section" in field.metadata:
        given = {} if given is REQUIRED else given
        if isinstance(given, dict):
            return _build(field.metadata["section"], given, around.within(where + "."))
        findings.append(Finding(where, f"must be a table [{where}]"))
        return None
    if given is REQUIRED:
        if field.default is REQUIRED:
            findings.append(Finding(where, "is missing"))
        return field.default
    if "sections" in field.metadata:
        if isinstance(given, list) and all(isinstance(item, dict) for item in given):
            build = field.metadata["sections"]
            return tuple(_build(build, item, around.within(f"{where}[{index}].")) for index, item in enumerate(given))
        findings.append(Finding(where, f"must be written as tables [[{where}]]"))
        return None
    try:
        return field.metadata["parser"](given)
    except ValueError as error:
        findings.append(Finding(where, str(error)))
        return None
