"""A configuration of keyword lines in sections that begin with a keyword at a line's start, as a tree. Pure.

Each line that listens with certificates becomes a block of its own, with its options as directives: so the rules see
the same tree as that of other services. A list of certificates is a file with one certificate a line.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from agent.model.stapling import Directive, Dump, Parsed, Place
from common.dataclasses import dataclass

_WORD = re.compile(r'((?:"(?:[^"\\]|\\.)*"|\'[^\']*\'|\\.|[^\s#"\'\\])+)|(#)')
_PLAIN = re.compile(r'"((?:[^"\\]|\\.)*)"|\'([^\']*)\'|\\(.)')
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
_SECTIONS = ("global", "defaults", "frontend", "listen", "backend", "crt-store", "peers", "resolvers", "userlist")
_OPTIONS = ("ocsp-update",)  # of one line, with a word behind it


@dataclass(frozen=True, slots=True)
class _Line:
    words: tuple[str, ...]
    place: Place


def behind(words: Sequence[str], option: str) -> list[str]:
    """Each word that follows *option*, such as the files that the service's test of its configuration names."""
    return [word for before, word in itertools.pairwise(words) if before == option]


def lists_in(texts: Mapping[str, str]) -> list[str]:
    """The paths of the lists of certificates that the files name. *texts*: the files' contents by their paths."""
    words = [line.words for file, text in texts.items() for line in _lines(file, text, {})]
    return list(dict.fromkeys(one for line in words for one in behind(line, "crt-list")))


def read(shown: Dump) -> Parsed:
    """The tree: the options of `global`, and a block for each certificate of a line that listens or of its list."""
    lists = {name: text for name, text in shown.texts.items() if name in set(lists_in(shown.texts))}
    lines = [
        line
        for file, text in shown.texts.items()
        if file not in lists
        for line in _lines(file, text, shown.environment)
    ]
    base = next((line.words[1] for line in lines if line.words[0] == "crt-base" and len(line.words) > 1), "")
    return Parsed(tuple(_tree(lines, base, lists, shown.environment)))


def _tree(
    lines: Sequence[_Line], base: str, lists: Mapping[str, str], environment: Mapping[str, str]
) -> Iterator[Directive]:
    section = name = ""
    for line in lines:
        word = line.words[0]
        if word in _SECTIONS:
            section, name = word, next(iter(line.words[1:]), "")
        elif word == "ocsp-update.mode" and section == "global":
            yield Directive("ocsp-update", line.words[1:], line.place)
        elif word == "bind" and "ssl" in line.words:
            yield from _listening(line, name, base)
            for file in behind(line.words, "crt-list"):
                for one in _lines(file, lists.get(file, ""), environment):
                    yield _block(one.place, name, str(PurePosixPath(base) / one.words[0]), one.words)


def _listening(line: _Line, name: str, base: str) -> Iterator[Directive]:
    for file in behind(line.words, "crt"):
        yield _block(line.place, name, str(PurePosixPath(base) / file), line.words)


def _block(place: Place, name: str, certificate: str, words: Sequence[str]) -> Directive:
    options = (Directive(one, (value,), place) for one in _OPTIONS for value in behind(_bare(words), one))
    body = (Directive("name", (name,), place), Directive("crt", (certificate,), place), *options)
    return Directive("bind", tuple(words), place, body)


def _bare(words: Sequence[str]) -> list[str]:
    """*words* without the options in brackets, which entries of a list have."""
    return [word.strip("[]") for word in words]


def _lines(file: str, text: str, environment: Mapping[str, str]) -> Iterator[_Line]:
    for number, line in enumerate(text.splitlines(), start=1):
        words: list[str] = []
        for match in _WORD.finditer(line):
            if match[2]:
                break
            words.append(_PLAIN.sub(lambda one: next(part for part in one.groups() if part is not None), match[1]))
        words = [_VARIABLE.sub(lambda one: environment.get(one[1], one[0]), word) for word in words]
        if words:
            yield _Line(tuple(words), Place(file, number))
