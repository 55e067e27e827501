"""Every setting that there is, found in the classes that declare it, under every value that cannot be meant.

A setting added later is covered without a word here, unless it is required: then GOOD wants a value for it.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import agent.settings.config
import issuer.model.config
from common.config_file import load
from common.errors import ConfigError, render
from common.text import one_line

NEVER = {  # TOML that no setting takes, whatever it is for
    "date": "2026-11-21",
    "time": "03:14:15",
    "moment": "2026-11-21T03:14:15Z",
    "not a number": "nan",
    "infinite": "inf",
    "infinite, negative": "-inf",
    "beyond a double": "1e999",
    "negative": "-1",
    "negative fraction": "-0.5",
    "more than 64 bits": "0x" + "f" * 5000,
    "more than 31 bits": "2147483649",
    "table": "{ a = 1 }",
    "nested": "[[[[1]]]]",
    "list of tables": "[{ a = 1 }]",
    "list of numbers": "[1, 2]",
    "list of dates": "[2026-11-21]",
    "text with NUL": r'"/a\u0000b"',
    "text that steers a terminal": r'"\u001b[2J"',
    "text of two lines": r'"a\nb"',
    "list with NUL": r'["/a\u0000b"]',
    "endless text": '"/' + "x" * 5000 + '"',
    "list of endless text": '["/' + "x" * 150_000 + '"]',
}
NO_DURATION = ('"-1s"', '"1.5h"', '"h"', '"1"', '"1w"', '" 1h"', '"999999999d"', '"٣h"', '""', "60", "0")
NO_INTEGER = ("1.0", "true", '"1"', "2147483649", "-1", "[]", "99999999999999999999")
GOOD = {  # for what is required
    "url": '"sqlite:////x.db"',
    "zone.name": '"example.org"',
    "certificate.name": '"www.example.com"',
    "key": '"/etc/ssl/private/www.key"',
    "log.url": '"https://log.example.com/2026h2/"',
    "log.key": '"MFkwEwYHKoZIzj0CAQ=="',
    "path": '"/etc/ssl/www.pem"',
    "parts": '["certificate"]',
    "password_file": '"/etc/ssl/www.password"',
}
BESIDE = {  # without which nothing else in the table makes sense
    "certificate": {"service": '"nginx"'},
    "fallback": {"directory": '"https://ca.example.com/directory"'},
}


@dataclass(frozen=True)
class Table:
    """One table of a file: its header as TOML wants it, its class, and the tables around it."""

    path: tuple[str, ...]
    cls: type[Any]
    many: bool
    around: tuple["Table", ...] = ()

    @property
    def name(self) -> str:
        return self.path[-1] if self.path else ""

    def text(self, **values: str) -> str:
        """The table with what it requires and *values*, below those around it."""
        lines = [] if not self.path else [("[[{}]]" if self.many else "[{}]").format(".".join(self.path))]
        given = self.required() | BESIDE.get(self.name, {}) | values
        return "\n".join([*lines, *(f"{key} = {value}" for key, value in given.items())]) + "\n"

    def required(self) -> dict[str, str]:
        """Values for the keys that must be there."""
        missing = [
            field.name
            for field in dataclasses.fields(self.cls)
            if "parser" in field.metadata and field.default is dataclasses.MISSING
        ]
        return {name: GOOD.get(f"{self.name}.{name}") or GOOD[name] for name in missing}


def tables(cls: type[Any], path: tuple[str, ...] = (), around: tuple[Table, ...] = ()) -> Iterator[Table]:
    """Every table of a file, the outermost first."""
    return _tables(Table(path, cls, many=False, around=around))


def _tables(table: Table) -> Iterator[Table]:
    yield table
    for field in dataclasses.fields(table.cls):
        inner = field.metadata.get("section") or field.metadata.get("sections")
        if inner:
            around = (*table.around, table)
            yield from _tables(Table((*table.path, field.name), inner, "sections" in field.metadata, around))


@dataclass(frozen=True)
class File:
    """One of the two configuration files."""

    name: str
    cls: type[Any]
    load: Callable[[Path], object]

    def document(self, table: Table, **values: str) -> str:
        """A file that holds *values* in *table*, and else only what must be there."""
        wanted = [*table.around, table]
        others = [one for one in tables(self.cls) if one not in wanted and not one.many and one.required()]
        text = "".join(one.text(**(values if one is table else {})) for one in wanted)
        return text + "".join(one.text() for one in others)


FILES = [
    File("issuer.toml", issuer.model.config.Settings, partial(load, issuer.model.config.Settings)),
    File("agent.toml", agent.settings.config.AgentSettings, agent.settings.config.load_settings),
]
TABLES = [(file, table) for file in FILES for table in tables(file.cls)]
SETTINGS = [
    (file, table, field.name)
    for file, table in TABLES
    for field in dataclasses.fields(table.cls)
    if "parser" in field.metadata
]


def refusal(file: File, text: str, folder: Path) -> ConfigError | None:
    """What loading *text* says; None if it is taken. Any other exception is a fault."""
    path = folder / file.name
    path.write_text(text, encoding="utf-8")
    try:
        file.load(path)
    except ConfigError as error:
        return error
    return None


def names(table: Table, key: str) -> str:
    """What a setting is called in a test's name and, with an index, in a finding."""
    return ".".join([*table.path, key])


@pytest.mark.sampled
@pytest.mark.parametrize(("file", "table", "key"), SETTINGS, ids=[f"{s[0].name}-{names(*s[1:])}" for s in SETTINGS])
def test_no_setting_takes_what_cannot_be_meant(file: File, table: Table, key: str, tmp_path: Path) -> None:
    """One short sentence that names the key, for each absurd value; of the right kind and beyond every measure, too."""
    assert refusal(file, file.document(table), tmp_path) is None, "the test's own file must be good"

    def takes(value: str) -> bool:
        error = refusal(file, file.document(table, **{key: value}), tmp_path)
        if error is None:
            return True
        shown = "\n".join(map(one_line, render(error)))
        assert key in shown or (table.path and table.path[-1] in shown), shown
        assert all(line.isprintable() and len(line) < 400 for line in shown.splitlines()), shown[:2000]
        return False

    assert [name for name, value in NEVER.items() if takes(value)] == []
    if takes('"1h"') and not takes('"some text"') and not takes('"/1h"'):
        assert [value for value in NO_DURATION if takes(value)] in ([], ['"0s"'])
    if takes("1"):
        assert [value for value in NO_INTEGER if takes(value)] == []
    if takes("0.5"):
        assert [value for value in ("0", "1", "0.0", "1.0", "1e-999", '"0.5"', "true", "nan") if takes(value)] == []
    if takes("true"):
        assert [value for value in ("0", "1", '"true"', '"yes"', '""', "[]", "1.0") if takes(value)] == []


@pytest.mark.sampled
@pytest.mark.parametrize(("file", "table"), TABLES, ids=[f"{f.name}-{'.'.join(t.path)}" for f, t in TABLES])
def test_no_table_is_anything_else(file: File, table: Table, tmp_path: Path) -> None:
    """A table written as a value is refused, and so is a key in it that is unknown, long or steers a terminal."""
    for key in ('"fo\\u001bo"', '"a\\nb"', "x" * 5000, '""'):
        error = refusal(file, file.document(table, **{key: "1"}), tmp_path)
        assert error is not None
        assert "is not a known key" in render(error)[0]
        assert all(line.isprintable() and len(line) < 400 for line in map(one_line, render(error)))
    if table.path:
        outer = table.around[-1]
        wrong = [*NEVER.values(), '""', "0", "true", "[[]]", *(["{}"] if table.many else ["[{}]"])]
        for value in wrong:
            if value in ("{ a = 1 }", "[{ a = 1 }]") and (value[0] == "[") == table.many:
                continue  # the right kind of thing with an unknown key: that is above
            error = refusal(file, outer_document(file, outer, table.name, value), tmp_path)
            assert error is not None, value[:100]
            assert "must be" in str(error) or "is missing" in str(error)


def outer_document(file: File, outer: Table, key: str, value: str) -> str:
    """*value* where the table *key* belongs; the table itself is left out."""
    others = [
        one for one in tables(file.cls) if not one.many and one.path and one.path[: len(outer.path)] != outer.path
    ]
    needed = [one for one in others if one.required() and one.path != (*outer.path, key)]
    wanted = [*outer.around, outer]
    text = "".join(one.text(**({key: value} if one is outer else {})) for one in wanted)
    return text + "".join(one.text() for one in needed if one not in wanted)


def test_the_settings_are_found() -> None:
    """The tests above look at something, in both files and in tables inside tables."""
    found = {f"{file.name}-{names(table, key)}" for file, table, key in SETTINGS}
    assert len(found) > 60
    assert {"issuer.toml-acme.fallback.eab_kid", "agent.toml-certificate.combined.parts"} <= found
