"""A configuration of lines in sections, ``<Name …>`` to ``</Name>``, as a tree. Pure.

The service says which files it has included, and at which line of which file: so the same lines are read here as by the
service. Conditions are decided by the modules and definitions that it names.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from agent.model.stapling import DEEPEST, Directive, Dump, Parsed, Place, TooMuch, walk
from common.dataclasses import dataclass, field

_INCLUDED = re.compile(r"^( +)\((\*|\d+)\) (.+)$")
_MODULE = re.compile(r"^ (\S+_module) \((?:static|shared)\)$", re.MULTILINE)
_ROOT = re.compile(r'^ServerRoot: "(.+)"$', re.MULTILINE)
_DEFINE = re.compile(r"^Define: ([^=\s]+)(?:=(.*))?$", re.MULTILINE)
_VARIABLE = re.compile(r"\$\{([^}:]+)\}")
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'|(\S+)')
_INCLUDES = ("include", "includeoptional")
_CONDITIONS = ("ifmodule", "ifdefine", "iffile", "ifversion")
_MADE_LATER = ("macro",)  # the places in its lines are filled in where the macro is used


@dataclass(slots=True)
class _File:
    """A file, and those that each line of it includes."""

    name: str
    depth: int
    included: list[tuple[int, "_File"]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Line:
    words: tuple[str, ...]
    place: Place


def files_of(output: str) -> list[str]:
    """The paths of the files that the service says it has read."""
    return list(dict.fromkeys(match[3] for line in output.splitlines() if (match := _INCLUDED.match(line))))


def read(shown: Dump) -> Parsed:
    """The tree. A section with a condition that holds is replaced by its lines, one with another is left out. Raises
    TooMuch."""
    modules = frozenset(_MODULE.findall(shown.output)) or None
    defined = dict(_DEFINE.findall(shown.output))
    lines = [line for top in _tops(shown.output) for line in _lines(top, shown.texts, {**shown.environment, **defined})]
    tree, _ = _blocks(lines, 0, [])
    loaded = {one.words[0] for one in walk(tree) if one.name.lower() == "loadmodule" and one.words}
    root = _ROOT.search(shown.output)
    folder = root[1] if root else next((one.words[0] for one in tree if one.name.lower() == "serverroot"), "")
    chosen = tuple(_chosen(tree, modules, frozenset(defined)))
    return Parsed(chosen, frozenset(loaded) if modules is None else modules, folder)


def _tops(output: str) -> list[_File]:
    """The main files, each with the tree of those that it includes."""
    tops: list[_File] = []
    path: list[_File] = []
    for line in output.splitlines():
        if not (match := _INCLUDED.match(line)):
            continue
        file = _File(match[3], len(match[1]))
        while path and path[-1].depth >= file.depth:
            path.pop()
        if match[2] == "*" or not path:
            tops.append(file)
        else:
            path[-1].included.append((int(match[2]), file))
        path.append(file)
    return tops


def _lines(file: _File, texts: Mapping[str, str], words: Mapping[str, str]) -> Iterator[_Line]:
    """The lines of a file, with those of included files in the place of the directives that include them."""
    started, parts = 0, list[str]()
    for number, text in enumerate(texts.get(file.name, "").splitlines(), start=1):
        started = started if parts else number
        parts.append(text.removesuffix("\\"))
        if text.endswith("\\"):
            continue
        joined, parts = " ".join(parts).strip(), []
        found = _words(_VARIABLE.sub(lambda one: words.get(one[1], one[0]), joined))
        if not found or found[0].startswith("#"):
            continue
        if found[0].lower() in _INCLUDES:
            # where a directive goes over several lines, the service names the last of them
            for line, other in file.included:
                if started <= line <= number:
                    yield from _lines(other, texts, words)
        else:
            yield _Line(found, Place(file.name, started))


def _words(line: str) -> tuple[str, ...]:
    if line.startswith("<"):
        line = line.rstrip(">") if line.startswith("</") else line.removesuffix(">")
    return tuple(
        (double or single).replace('\\"', '"') if double or single else plain
        for double, single, plain in _WORD.findall(line)
    )


def _blocks(lines: Sequence[_Line], start: int, inside: Sequence[str]) -> tuple[tuple[Directive, ...], int]:
    """The directives from line *start* to the end of the innermost section, and the number of the line after that.
    *inside*: the names of the sections that are open, the innermost last. Raises TooMuch."""
    if len(inside) > DEEPEST:
        raise TooMuch(f"more than {DEEPEST} sections stand within each other at {lines[start - 1].place}")
    found: list[Directive] = []
    number = start
    while number < len(lines):
        words, place = lines[number].words, lines[number].place
        number += 1
        name = words[0]
        if name.startswith("</"):
            if inside and name[2:].lower() == inside[-1].lower():
                return tuple(found), number
        elif name.startswith("<"):
            body, number = _blocks(lines, number, [*inside, name[1:]])
            found.append(Directive(name[1:], words[1:], place, body))
        else:
            found.append(Directive(name, words[1:], place))
    return tuple(found), number


def _chosen(
    tree: tuple[Directive, ...], modules: frozenset[str] | None, defined: frozenset[str]
) -> Iterator[Directive]:
    for one in tree:
        name = one.name.lower()
        if name in _MADE_LATER:
            continue
        body = tuple(_chosen(one.body, modules, defined))
        if name not in _CONDITIONS:
            yield Directive(one.name, one.words, one.place, body)
        elif _holds(name, one.words, modules, defined):
            yield from body


def _holds(name: str, words: Sequence[str], modules: frozenset[str] | None, defined: frozenset[str]) -> bool:
    """Is a condition true? One that cannot be decided here is taken for true: services are written to be whole."""
    wanted = words[0] if words else ""
    denied = wanted.startswith("!")
    wanted = wanted.lstrip("!")
    if name == "ifdefine":
        return (wanted in defined) != denied
    if name == "ifmodule" and modules is not None:
        # by its file, mod_ssl.c, or by its name, ssl_module
        by_file = re.sub(r"^(?:mod_)?(.*)\.c$", r"\1_module", wanted)
        return (by_file in modules) != denied
    return not denied
