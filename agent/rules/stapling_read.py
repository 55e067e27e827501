"""The configuration of a service as a tree, by the syntax that its preset names. Pure."""

from collections.abc import Callable, Sequence

from agent.model.dialect import Dialect
from agent.model.stapling import Dump, Parsed
from agent.rules import stapling_braces, stapling_lines, stapling_sections

_READERS: dict[str, Callable[[Dump], Parsed]] = {
    "sections": stapling_sections.read,
    "braces": stapling_braces.read,
    "lines": stapling_lines.read,
}


def show_commands(
    dialect: Dialect, check: Sequence[Sequence[str]], program: str, programs: Sequence[str]
) -> list[tuple[str, ...]]:
    """The commands by which a service shows its configuration, the best first. *check*: the operator's test of it, of
    one of *programs*, knows files that the service's own command does not."""
    if not dialect.show:
        return []
    own = tuple(word.replace("{program}", program) for word in dialect.show)
    tested = [tuple(one) for one in check if one and one[0].rpartition("/")[2] in programs]
    return [*((*one, *own[1:]) for one in tested), own]


def files_of(dialect: Dialect, output: str, check: Sequence[str]) -> list[str]:
    """The files to be read, beside what the service has shown: by its *output*, or by its *check*."""
    if dialect.syntax == "lines":
        return stapling_lines.behind(check, dialect.named_by)
    return stapling_sections.files_of(output) if dialect.syntax == "sections" else []


def further_files(dialect: Dialect, shown: Dump) -> list[str]:
    """The files that those name."""
    return stapling_lines.lists_in(shown.texts) if dialect.syntax == "lines" else []


def read(dialect: Dialect, shown: Dump) -> Parsed:
    """The tree; an empty one of what is no such configuration."""
    return _READERS[dialect.syntax](shown)
