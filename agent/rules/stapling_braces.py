"""A configuration of ``name words;`` and ``name words { … }`` as a tree, from the service's own dump of it. Pure."""

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from agent.model.stapling import Directive, Place, Read, Shown

_FILE = re.compile(r"^# configuration file (.+):$")
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+)|(?P<line>\n)|(?P<comment>\#[^\n]*)|(?P<mark>[;{}])
    |"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'|(?P<plain>(?:\\.|\$\{[^}]*\}|[^\s;{}])+)""",
    re.VERBOSE | re.DOTALL,
)
_DEEPEST = 20  # files that include each other


def read(shown: Shown) -> Read:
    """The tree, with the files that are included in the place of the directives that include them."""
    texts = _texts(shown.output)
    main = next(iter(texts), "")
    return Read(_of_file(main, texts, 0), folder=str(PurePosixPath(main).parent))


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


def _of_file(name: str, texts: Mapping[str, str], depth: int) -> tuple[Directive, ...]:
    tokens = _tokens(texts.get(name, ""), name)
    return tuple(_block(tokens, texts, depth))


def _block(tokens: Iterator[tuple[str, bool, Place]], texts: Mapping[str, str], depth: int) -> Iterator[Directive]:
    words: list[str] = []
    place = Place("", 0)
    for text, is_mark, where in tokens:
        if not is_mark:
            place = where if not words else place
            words.append(text)
        elif text == "}":
            return
        elif words:
            name, others = words[0], tuple(words[1:])
            words = []
            if text == "{":
                yield Directive(name, others, place, tuple(_block(tokens, texts, depth)))
            elif name == "include" and others and depth < _DEEPEST:
                for file in _matching(others[0], texts):
                    yield from _of_file(file, texts, depth + 1)
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
