"""Compare what systemd lets the agent's unit do with what agent.toml and the presets want of it. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

_READ_ONLY = {"strict": ("/",), "full": ("/boot", "/efi", "/etc", "/usr"), "yes": ("/boot", "/efi", "/usr")}
"""The folders that each value of ProtectSystem= closes for writing (systemd.exec(5)); any other closes nothing."""


def closed(folders: Iterable[Path], protect_system: str, writable: Iterable[Path]) -> list[Path]:
    """The *folders* that a unit may not write. *protect_system*: the value of its ProtectSystem=; *writable*: the
    folders of its ReadWritePaths=. The rule for the folder itself decides, else that for the nearest one above."""
    rules: Mapping[Path, bool] = {
        **{Path(one): False for one in _READ_ONLY.get(protect_system, ())},
        **dict.fromkeys(writable, True),
    }
    return [one for one in folders if not _nearest(one, rules)]


def _nearest(folder: Path, rules: Mapping[Path, bool]) -> bool:
    return next((rules[one] for one in (folder, *folder.parents) if one in rules), True)


def lacking(lines: Iterable[str], properties: Mapping[str, Sequence[str]]) -> list[str]:
    """The *lines* that allow something which a unit with these *properties*, as systemd shows them, may not do. A
    property without a word forbids nothing."""
    return [one for one in lines if not _allowed(one, properties)]


def setting_of(line: str) -> str:
    """The name before the equals sign."""
    return line.partition("=")[0]


def _allowed(line: str, properties: Mapping[str, Sequence[str]]) -> bool:
    words = {_bare(one) for one in properties.get(setting_of(line), ())}
    return not words or words.issuperset(map(_bare, line.partition("=")[2].split()))


def _bare(word: str) -> str:
    """Without the sign for a path that need not be there; systemd shows capabilities in small letters."""
    return word.lstrip("-+").lower()


def drop_in(folders: Sequence[Path], more: Iterable[str] = ()) -> str:
    """The lines of a unit that let it write *folders*, each as soon as it is there; and *more* of its section
    [Service]."""
    lines = (*map(writable, folders), *more)
    return "\n".join(["[Service]", *lines, ""])


def writable(folder: Path) -> str:
    """The line that lets a unit write *folder* as soon as it is there."""
    return "ReadWritePaths=" + _quoted(f"-{folder}")


def starting(words: Sequence[str]) -> tuple[str, ...]:
    """The lines by which a unit starts this command, and no other (systemd.service(5))."""
    return "ExecStart=", "ExecStart=" + " ".join(_quoted(word.replace("$", "$$")) for word in words)


def _quoted(text: str) -> str:
    """The *text* as one word of a unit, quoted because it may have blanks; a specifier or an escape in it stands for
    itself (systemd.syntax(7))."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'
