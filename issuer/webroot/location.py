"""The syntax of ``webroot_path``: a folder of this machine, or ``sftp://user@host[:port]/folder``. Pure.

Another issuer may read the journal, so a folder stands there with the name of its machine, as ``machine:/folder``.
"""

import posixpath
from urllib.parse import unquote, urlsplit

from common.dataclasses import dataclass
from common.names import parse_name

LONGEST = 188  # the journal's column holds 253 characters: at most 64 for the machine's name, and a colon


@dataclass(frozen=True, slots=True)
class Location:
    """*host* is empty for a folder of this machine; *folder* is absolute and normal."""

    folder: str
    host: str = ""
    port: int = 0
    user: str = ""

    def __str__(self) -> str:
        return f"{self.folder} on {self.host}" if self.host else self.folder


def parse_location(text: str) -> Location:
    """The webroot of a webroot_path. Raises ValueError; its text is a whole sentence."""
    if not text:
        raise ValueError("webroot_path is empty")
    if len(text) > LONGEST or not text.isprintable():
        raise ValueError(f"webroot_path must be at most {LONGEST} printable characters")
    if "://" not in text:
        return Location(_folder(text, text))
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"webroot_path {text!r} is malformed: {error}") from error
    if parts.scheme != "sftp":
        raise ValueError(f"webroot_path {text!r} is neither a folder nor an sftp:// address")
    if parts.password is not None:  # a secret, which the error must not repeat
        raise ValueError("webroot_path holds a password; certfleet logs in with a key only")
    if parts.query or parts.fragment:
        raise ValueError(f"webroot_path {text!r} has a ? or # in it: write %3F or %23")
    if not parts.username or not parts.hostname:
        raise ValueError(f"webroot_path {text!r} must name user and host, as in sftp://user@host/var/www/html")
    if port == 0:
        raise ValueError(f"webroot_path {text!r} has a malformed port")
    return Location(_folder(unquote(parts.path), text), parts.hostname, port or 22, unquote(parts.username))


def to_journal(text: str, machine: str) -> str:
    """The form in the journal of the webroot_path *text*, for an issuer on *machine*."""
    return f"{machine}:/{text.lstrip('/')}" if text.startswith("/") else text


def from_journal(text: str) -> tuple[str, str]:
    """(machine, webroot_path) of the form in the journal. *machine* is "" for sftp:// and for a folder without one."""
    machine, _, folder = text.partition(":/")
    if not folder or "/" in machine or folder.startswith("/"):
        return "", text
    return machine, f"/{folder}"


def refuse_wildcard(name: str) -> None:
    """Raise ValueError for a name that http-01 cannot validate: a wildcard, or one that is malformed."""
    if name.startswith("*."):
        raise ValueError(f"{name} is a wildcard, and http-01 cannot validate wildcards")
    parse_name(name)


def _folder(path: str, text: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise ValueError(f"webroot_path {text!r} must be an absolute path")
    if ".." in path.split("/"):
        raise ValueError(f"webroot_path {text!r} must not contain ..")
    folder = "/" + posixpath.normpath(path).strip("/")
    if folder == "/":
        raise ValueError(f"webroot_path {text!r} is the root of the file system, not that of a web site")
    return folder
