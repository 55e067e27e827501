"""Pinned SSH host keys, in the format of known_hosts (sshd(8)). certfleet never writes the file.

paramiko's reader stops at the first marker line and takes ``*`` for a host name, so that pins would be ignored in
silence. This one reads every line or raises an error.
"""

import base64
import binascii
import hashlib
import hmac
import stat
from collections.abc import Iterable
from pathlib import Path

from common.dataclasses import dataclass
from common.errors import ConfigError, Finding
from common.files import read_with_status

_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
_LARGEST = 200_000_000  # bytes: three keys for each of 100,000 hosts


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public key as it goes over the wire."""

    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    def __str__(self) -> str:
        return f"{self.kind} {self.fingerprint}"


@dataclass(frozen=True, slots=True)
class _Line:
    hosts: tuple[str, ...]
    key: HostKey
    revoked: bool


class PinnedKeys:
    """The lines of a file of pinned keys."""

    def __init__(self, lines: Iterable[_Line]):
        self._lines = tuple(lines)

    def of(self, host: str, port: int) -> list[HostKey]:
        """The keys that *host* may show, without revoked ones; [] when none is pinned."""
        mine = [line for line in self._lines if any(_is(written, host_name(host, port)) for written in line.hosts)]
        revoked = {line.key for line in mine if line.revoked}
        return [line.key for line in mine if line.key not in revoked]


def host_name(host: str, port: int) -> str:
    """A host as known_hosts writes it: with its port only when that is not 22."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


def load_pinned_keys(file: Path) -> PinnedKeys:
    """The pinned keys of *file*. Raises ConfigError if it is unreadable, writable by others or malformed."""
    try:
        content, status = read_with_status(file, _LARGEST)
    except OSError as error:
        hint = "write it with `ssh-keyscan HOST`, and compare what it printed with the host itself"
        raise ConfigError(str(file), [Finding("", f"cannot be read ({error.strerror})")], hint=hint) from error
    if status.st_mode & 0o022:
        problem = f"decides whom we trust but its mode is {stat.S_IMODE(status.st_mode):04o}"
        raise ConfigError(str(file), [Finding("", problem)], hint=f"chmod go-w {file}")
    return parse_pinned_keys(content.decode("utf-8", "replace"), str(file))


def parse_pinned_keys(text: str, source: str) -> PinnedKeys:
    """The pinned keys in *text*. Raises ConfigError with every malformed line; *source* names the file there."""
    lines, findings = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            lines.append(_parse(line.split()))
        except ValueError as error:
            findings.append(Finding(f"line {number}", str(error)))
    if findings:
        raise ConfigError(source, findings, hint="one `HOST KEYTYPE KEY` a line, as `ssh-keyscan HOST` prints it")
    return PinnedKeys(lines)


def _parse(words: list[str]) -> _Line:
    marker = words.pop(0) if words[0].startswith("@") else ""
    if marker not in ("", "@revoked"):
        raise ValueError(f"{marker} is not supported: pin the host's own key")
    if len(words) < 3:
        raise ValueError("is not of the form HOST KEYTYPE KEY")
    hosts, kind, encoded = words[:3]
    if any(sign in hosts for sign in "*?!"):
        raise ValueError("has a pattern for hosts: name each host")
    if kind not in _KINDS:
        raise ValueError(f"has the key type {kind}; known are {', '.join(_KINDS)}")
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError("has a key that is not base64") from error
    if not blob.startswith(len(kind).to_bytes(4, "big") + kind.encode()):
        raise ValueError(f"has a key that is not of the type {kind}")
    return _Line(tuple(hosts.split(",")), HostKey(kind, blob), bool(marker))


def _is(written: str, host: str) -> bool:
    if not written.startswith("|1|"):
        return written.lower() == host
    try:  # HashKnownHosts, Debian's default: |1|salt|HMAC-SHA1(salt, host)
        salt, digest = (base64.b64decode(part, validate=True) for part in written[3:].split("|"))
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(hmac.digest(salt, host.encode(), "sha1"), digest)
