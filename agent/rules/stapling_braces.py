"""A configuration of ``name words;`` and ``name words { … }`` as a tree, from the service's own dump of it. Pure."""

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from agent.model.stapling import DEEPEST, Directive, Dump, Parsed, Place, TooMuch
from common.dataclasses import dataclass

_FILE = re.compile(r"^# configuration file (.+):$")
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+)|(?P<line>\n)|(?P<comment>\#[^\n]*)|(?P<mark>[;{}])
    |"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'|(?P<plain>(?:\\.|\$\{[^}]*\}|[^\s;{}])+)""",
    re.VERBOSE | re.DOTALL,
)
_MOST = 100_000  # times that a file is included: two that each include the next two grow without end


def read(shown: Dump) -> Parsed:
    """The tree, with the files that are included in the place of the directives that include them. Raises TooMuch."""
    texts = _texts(shown.output)
    main = next(iter(texts), "")
    return Parsed(_Reader(texts, _MOST).file(main, 0), folder=str(PurePosixPath(main).parent))


def _texts(output: str) -> dict[str, str]:
    """The text of each file, the main one first."""
    texts: dict[str, list[str]] = {}
    name = ""
    for line in output.splitlines():
        if (match := _FILE.match(line)) and match[1] not in texts:
            name = match[1]
            texts[name] = []
        elif name:
            texts[name].append(line)
    return {file: "\n".join(lines) for file, lines in texts.items()}


@dataclass(slots=True)
class _Reader:
    """Each method raises TooMuch."""

    texts: Mapping[str, str]
    room: int

    def file(self, name: str, depth: int) -> tuple[Directive, ...]:
        self.room -= 1
        if self.room < 0:
            raise TooMuch(f"more than {_MOST} times a file is included, the last time {name}")
        return tuple(self._block(_tokens(self.texts.get(name, ""), name), depth))

    def _block(self, tokens: Iterator[tuple[str, bool, Place]], depth: int) -> Iterator[Directive]:
        words: list[str] = []
        place = Place("", 0)
        for text, is_mark, where in tokens:
            if not is_mark:
                place = where if not words else place
                words.append(text)
            elif text == "}":
                return
            elif words:
                if depth > DEEPEST:
                    raise TooMuch(f"more than {DEEPEST} blocks and files stand within each other at {place}")
                name, others = words[0], tuple(words[1:])
                words = []
                if text == "{":
                    yield Directive(name, others, place, tuple(self._block(tokens, depth + 1)))
                elif name == "include" and others:
                    for file in _matching(others[0], self.texts):
                        yield from self.file(file, depth + 1)
                else:
                    yield Directive(name, others, place)


def _matching(pattern: str, texts: Mapping[str, str]) -> list[str]:
    """The files that an include means: a path, or a pattern, below the folder of the main file where it is relative."""
    folder = PurePosixPath(next(iter(texts))).parent
    wanted = str(folder / pattern)
    return [wanted] if wanted in texts else sorted(file for file in texts if PurePosixPath(file).match(wanted))


def _tokens(text: str, file: str) -> Iterator[tuple[str, bool, Place]]:
    """(text, is it a mark, where) of each word and each of ``;{}``."""
    line = 1
    for match in _TOKEN.finditer(text):
        kind, found = match.lastgroup or "", match[0]
        if kind in ("double", "single"):
            yield match[kind], False, Place(file, line)
        elif kind in ("plain", "mark"):
            yield found, kind == "mark", Place(file, line)
        line += found.count("\n")
