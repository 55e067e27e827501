"""Every option of a command line, from its own parser: what a table of cases has to cover."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from common.command_line import CommandLine

COMMON = {"--help", "--config", "--verbose", "--quiet", "--plain-log", "--json", "--version"}
HOSTILE_NAMES = {
    "empty": "",
    "blank": " ",
    "dot": ".",
    "dots": "..",
    "relative path": "../../etc/passwd",
    "absolute path": "/etc/passwd",
    "path with a domain": "../www.example.test",
    "option": "-x",
    "star": "*",
    "two stars": "*.*.test",
    "star in the middle": "www.*.test",
    "IDN": "münchen.test",
    "look-alike": "www.exаmple.test",  # noqa: RUF001 - a Cyrillic letter is what this is about
    "long label": "a" * 64 + ".test",
    "long name": "a." * 130 + "test",
    "endless": "x" * 100_000,
    "line end": "www.example.test\nerror: fake",
    "escape": "www\x1b[2J.example.test",
    "right to left": "www\u202e.example.test",
    "not UTF-8": "www\udce9.example.test",
    "SQL": "' OR 1=1 --",
    "SQL pattern": "%",
    "address": "192.0.2.256",
    "IPv6": "[2001:db8::1]",
    "host name": "localhost",
    "underscore": "_acme-challenge.www.example.test",
    "URL": "https://www.example.test/",
    "port": "www.example.test:443",
    "list": "a.example.test,b.example.test",
}


WRONG_TARGETS = ["", "https://", "https://h:0x1", "https://h:99999", "gopher://h", "https://u:p@h", "https://h/x"]
WRONG_TARGETS += [
    "tls://h",
    "https://h?connect=",
    "https://h?connect=/x",
    "https://h?other=1",
    "https://[",
    "\x1b[2J",
    "\udce9",
]


WRONG_PROBES = {
    "probe TARGET": WRONG_TARGETS,
    "probe --sni": ["", "a b", "https://h", "h:443", "münchen.test", "x" * 254, "a.test,/x", "\x1b[2J", "\udce9"],
    "probe --repeat": ["", "0", "-1", "1.5", "many", "9999999", "٣", "\x1b[2J"],
    "probe --every": ["", "1", "0s", "-1s", "1.5m", "soon", "9999999999s", "1m\n", "٣m"],
    "probe --textfile": ["", "/nonexistent/x", "{folder}", "/dev/stdout", "/dev/null", "/proc/x", "/" + "x" * 300],
}


@dataclass(frozen=True)
class Option:
    """One option or, with *word* "", one positional argument of a command."""

    command: tuple[str, ...]
    word: str
    dest: str
    takes_value: bool

    def __str__(self) -> str:
        return " ".join([*self.command, self.word or self.dest.upper()])

    def typed(self, good: list[str], given: str) -> list[str]:
        """The words after the command that are *good* together, with *given* in the place of this one's value."""
        if not self.word:
            return [given, *good[1:]]
        if self.word not in good:
            return [*good, self.word, given]
        at = good.index(self.word)
        return [*good[:at], self.word, given, *good[at + 2 :]]


def options_of(line: CommandLine) -> list[Option]:
    """Those of every command; what all commands share is left out."""
    return list(_options(line.parser, ()))


def commands_of(line: CommandLine) -> list[tuple[str, ...]]:
    """Every command, by the words that call it."""
    return [command for command, _ in _commands(line.parser, ())]


def reports(line: CommandLine) -> set[tuple[str, ...]]:
    """The commands that speak --json."""
    commands = _commands(line.parser, ())
    return {command for command, parser in commands if "--json" in parser._option_string_actions}


def _options(parser: argparse.ArgumentParser, command: tuple[str, ...]) -> Iterator[Option]:
    for name, inner in _commands(parser, command):
        for action in inner._actions:
            word = next((word for word in action.option_strings if word.startswith("--")), "")
            if word not in COMMON:
                yield Option(name, word, action.dest, action.nargs != 0)


def _commands(
    parser: argparse.ArgumentParser, command: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield command, parser
    for group in groups:
        for word, inner in group.choices.items():
            yield from _commands(inner, (*command, word))
