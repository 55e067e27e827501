"""Stapling (RFC 6066 §8) as a service is configured for it, and what this host knows of its responders. Pure.

A preset says in a :class:`Dialect` by which words its service is told about stapling; the readers know syntax alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from common.config import list_of, nonempty, setting, text

_SYNTAXES = ("sections", "braces", "lines")
DEEPEST = 50  # blocks and included files within each other; people write a handful


class TooMuch(ValueError):
    """A configuration beyond what people write. The owner of an included file may have written it for us."""


def _syntax(value: Any) -> str:
    if text(value) not in _SYNTAXES:
        raise ValueError(f"must be one of {', '.join(_SYNTAXES)}")
    return text(value)


def _table(value: Any) -> tuple[tuple[str, str], ...]:
    """A table of texts."""
    if not isinstance(value, dict):
        raise ValueError("must be a table of texts")
    return tuple((key, nonempty(one)) for key, one in value.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """``[stapling]`` of a preset: the words of a service's configuration.

    *syntax*: "sections" (``<Name …>`` around lines), "braces" (``name … { }``, ends with ``;``) or "lines". *show*: the
    command by which the service shows its configuration, {program} as in other commands; *named_by*: the option before
    which files are named in `check`, for a service that shows none. *site*, *name*: the block of a virtual server and
    the directive with its name. *engine*: the directive that turns TLS on, "" where a certificate does.

    *certificate*, *chain*, *switch*, *responder*, *timeout*, *staple*, *cache*, *log*: the directives for these; "" for
    one that the service does not have. *beside*: the end of the name of a staple's file that lies beside the
    certificate. *starts_without_cache*: false if the service does not start without one. *cache_module*: the module
    that a cache needs, with {kind}. *advised*: directives with the value that keeps a site up while the responder is
    away. *symptoms*: a word of the error log, and its meaning; *log_time*: how a line begins with its moment, as in
    strptime(3).
    """

    syntax: str = setting(_syntax, "sections")
    show: tuple[str, ...] = setting(list_of(nonempty), ())
    named_by: str = setting(text, "")
    site: str = setting(text, "")
    name: str = setting(text, "")
    engine: str = setting(text, "")
    certificate: str = setting(text, "")
    chain: str = setting(text, "")
    switch: str = setting(text, "")
    responder: str = setting(text, "")
    timeout: str = setting(text, "")
    staple: str = setting(text, "")
    beside: str = setting(text, "")
    cache: str = setting(text, "")
    cache_module: str = setting(text, "")
    log: str = setting(text, "")
    log_time: str = setting(text, "")
    advised: tuple[tuple[str, str], ...] = setting(_table, ())
    symptoms: tuple[tuple[str, str], ...] = setting(_table, ())


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive: its name, the words behind it, and what is inside it."""

    name: str
    words: tuple[str, ...]
    place: Place
    body: tuple["Directive", ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """The configuration as a service showed it: the *output* of its command, the *texts* of its files by name, and
    the *environment* that it runs in."""

    output: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Read:
    """The configuration as a tree. *modules*: those that are loaded; None where the service did not say. *folder*: of
    files that are named without one."""

    tree: tuple[Directive, ...]
    modules: frozenset[str] | None = None
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Site:
    """A virtual server that speaks TLS, with every directive that counts in it, by its name in lower case."""

    name: str
    place: Place
    directives: Mapping[str, tuple[Directive, ...]]

    def all(self, name: str) -> tuple[Directive, ...]:
        """The directives of that name; none for ""."""
        return self.directives.get(name.lower(), ())

    def word(self, name: str) -> tuple[str, Place] | None:
        """The first word of the last directive of that name, and where it stands."""
        found = [one for one in self.all(name) if one.words]
        return (found[-1].words[0], found[-1].place) if found else None


@dataclass(frozen=True, slots=True)
class Staple:
    """An OCSP response in a file. *fault*: why no client takes it for its certificate, "" for a good one."""

    file: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Served:
    """The facts of a certificate in a file. *problem*: why it could not be read. *has_issuer*: the certificate of
    its issuer is there too, which a question needs. *staple*: the file beside it, None for none."""

    file: str
    problem: str = ""
    responders: tuple[str, ...] = ()
    must_staple: bool = False
    has_issuer: bool = True
    staple: Staple | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """One address family's way to a responder: *family* is "IPv4" or "IPv6". *seconds*: until its answer; None, and the
    *problem*, where none came in time. *absent*: this host or the responder has no such address at all."""

    family: str
    seconds: float | None = None
    problem: str = ""
    absent: bool = False


@dataclass(frozen=True, slots=True)
class World:
    """Facts about a configuration that its text does not tell: certificates by their file, ways to responders by URL,
    staples by file, folders that are not there, symptoms in error logs."""

    certificates: Mapping[str, Served] = field(default_factory=dict)
    reached: Mapping[str, tuple[Reach, ...]] = field(default_factory=dict)
    staples: Mapping[str, Staple] = field(default_factory=dict)
    missing_folders: frozenset[str] = frozenset()
    symptoms: tuple["Symptom", ...] = ()


@dataclass(frozen=True, slots=True)
class Symptom:
    """Lines of an error log with the same word: how many in the last day, and the last of them."""

    sign: str
    meaning: str
    log: str
    count: int
    last: str


def walk(tree: tuple[Directive, ...]) -> Iterator[Directive]:
    """Every directive of a tree."""
    for one in tree:
        yield one
        yield from walk(one.body)
