"""The requests for answers to challenges that the logs of our own servers show. Frozen; times are epoch seconds."""

from pathlib import Path

from common.dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Log:
    """The end of a log. *text* begins anywhere, even inside a line. *written*: the last change of the file. *problem*:
    why it cannot be read; "" if it was."""

    file: Path
    text: bytes = b""
    written: float = 0.0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One request: *who* asked, *at* which moment, and *how* it was asked or answered. The texts are a stranger's."""

    who: str
    at: float
    how: str


@dataclass(frozen=True, slots=True)
class Asked:
    """The requests for each name's answer, the first one first; those of *server*, as people call it. *silent*: names
    for which nobody asked. *logs*: the files that show it. *unread*: each log that tells nothing, with the reason."""

    server: str
    requests: tuple[tuple[str, tuple[Request, ...]], ...] = ()
    silent: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    unread: tuple[tuple[str, str], ...] = ()
