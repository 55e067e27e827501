"""Stapling (RFC 6066 §8) as a service is configured for it, and what this host knows of its responders. Pure.

The words of a service are in ``agent.model.dialect``.
"""

from collections.abc import Iterator, Mapping

from common.dataclasses import dataclass, field

DEEPEST = 50  # blocks and included files within each other; people write a handful


class TooMuch(ValueError):
    """A configuration beyond what people write. The owner of an included file may have written it for us."""


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
class Dump:
    """The configuration as a service showed it: the *output* of its command, the *texts* of its files by name, and
    the *environment* that it runs in."""

    output: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parsed:
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
class Way:
    """One address family's way to a responder: *family* is "IPv4" or "IPv6". *seconds*: until its answer; None, and the
    *problem*, where none came in time. *absent*: this host or the responder has no such address at all."""

    family: str
    seconds: float | None = None
    problem: str = ""
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about a configuration that its text does not tell: certificates by their file, ways to responders by URL,
    staples by file, folders that are not there, symptoms in error logs."""

    certificates: Mapping[str, Served] = field(default_factory=dict)
    reached: Mapping[str, tuple[Way, ...]] = field(default_factory=dict)
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
