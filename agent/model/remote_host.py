"""A machine without an agent of its own, which another one works on over SSH. Pure."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from common.dataclasses import dataclass
from common.names import in_url

_FORM = "ssh://root@esxi1.example.com or ssh://root@esxi1.example.com:2222"


@dataclass(frozen=True, slots=True)
class SshAddress:
    """The user, host and port of a login by SSH."""

    user: str
    host: str
    port: int = 22

    def __str__(self) -> str:
        return f"ssh://{self.user}@{in_url(self.host)}" + (f":{self.port}" if self.port != 22 else "")


@dataclass(frozen=True, slots=True)
class RemoteHost:
    """*key_file* is the private key that logs in, *host_keys* the file with the keys that the host may show. Both are
    on the machine that the agent runs on."""

    address: SshAddress
    key_file: Path
    host_keys: Path


def parse_ssh_address(text: str) -> SshAddress:
    """The address in "ssh://user@host[:port]". Raises ValueError with a sentence."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{text!r} is malformed: {error}") from error
    if parts.password is not None:  # a secret, which the error must not repeat
        raise ValueError("must not hold a password: certfleet logs in with a key only")
    if parts.scheme != "ssh" or not parts.username or not parts.hostname or port == 0:
        raise ValueError(f"{text!r} names no host and user: write {_FORM}")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(f"{text!r} has something behind the host: write {_FORM}")
    return SshAddress(unquote(parts.username), parts.hostname, port or 22)
