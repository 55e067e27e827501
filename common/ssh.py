"""One SSH connection with one host: its pinned key is seen first, then our key logs in, each within a time limit.

paramiko takes 0.2 s to import: import this module only when there is such a host.
"""

import io
import logging
import socket
import struct
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TypeVar

import paramiko

from common.dataclasses import dataclass
from common.deadline import cut_off
from common.errors import CertfleetError, ConfigError, Finding
from common.files import read_secret
from common.ssh_host_keys import HostKey, host_name, load_pinned_keys
from common.ssh_limits import SshLimits

T = TypeVar("T")
_MAKE = "make one with `ssh-keygen -t ed25519 -N '' -f {}`"
_ENDED = "its log tells why: an expired account, /etc/nologin, or a key that it refuses, where MaxAuthTries is 1"
_WEAK = {
    "macs": ["hmac-sha1", "hmac-md5", "hmac-sha1-96", "hmac-md5-96"],
    "ciphers": ["3des-cbc", "aes128-cbc", "aes192-cbc", "aes256-cbc"],
}
BROKEN = (
    *(paramiko.SSHException, paramiko.SFTPError, EOFError),
    *(ConnectionError, TimeoutError, UnicodeDecodeError, struct.error),
)
"""Errors of the library for a host that goes away or sends garbage."""
# paramiko would log the errors that it raises, with tracebacks on stderr
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)


class SshError(CertfleetError):
    """A host cannot be reached over SSH ("host"), does not let us in ("login"), or is not the pinned one
    ("host-key"): *fault* says which."""

    def __init__(self, fault: str, what: str, *, why: str, hint: str):
        super().__init__(what, why=why, hint=hint, reference=f"ssh-{fault}")
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Pins:
    """The keys that a host may show, and the *file* that names them."""

    keys: tuple[HostKey, ...]
    file: Path


class SshConnection:
    """Not thread-safe. *hint* is what to do about a host that does not answer as it should."""

    def __init__(self, user: str, host: str, port: int, limits: SshLimits, hint: str):
        self._user, self._host, self._port = user, host, port
        self._limits = limits
        self._hint = hint
        self._open = ExitStack()  # the connection, and paramiko's transport over it

    def pins(self, file: Path) -> Pins:
        """The keys that *file* pins for this host. Raises ConfigError."""
        return Pins(tuple(load_pinned_keys(file).of(self._host, self._port)), file)

    def meet(self, pins: Pins | None, act: Callable[[socket.socket, paramiko.Transport], T]) -> T:
        """Connect, check the host's key against *pins* (None accepts any), and return the result of *act*. Raises
        SshError."""
        try:
            connection = socket.create_connection((self._host, self._port), timeout=self._limits.connect)
            # many small messages, of which each waits for an answer: else 40 ms for each command (RFC 1122, 4.2.3.2)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, UnicodeError) as error:
            raise self.lost("cannot be reached", error) from error
        self._open.enter_context(connection)
        try:
            # some of paramiko's waits have no time limit
            with cut_off(connection, self._limits.handshake + 2 * self._limits.answer):
                return act(connection, self._shown(connection, pins))
        except (*BROKEN, OSError, ValueError) as error:
            raise self.lost("does not speak SSH as it should", error) from error

    def log_in(self, transport: paramiko.Transport, key: paramiko.PKey, key_file: Path) -> None:
        """Raises SshError where the host does not let us in by the key, or not in time."""
        what = f"{self._host} does not let us in as {self._user}"
        try:
            further = transport.auth_publickey(self._user, key)
        except paramiko.AuthenticationException as error:
            if not transport.is_active():
                raise self.lost("ends the connection at the login", EOFError(), _ENDED) from error
            if "timeout" in str(error):  # paramiko has no class for it
                late = TimeoutError(f"no answer within {self._limits.answer:g} s")
                raise self.lost("does not end the login", late) from error
            why = f"it refuses the key {HostKey(key.get_name(), key.asbytes())} of {key_file}"
            hint = f"add its public key to authorized_keys of {self._user} there"
            raise SshError("login", what, why=why, hint=hint) from error
        if further:
            why = f"it takes the key, and then wants more: {' or '.join(further)}"
            hint = f"let the key alone be enough for {self._user}: AuthenticationMethods in its sshd_config"
            raise SshError("login", what, why=why, hint=hint)

    def lost(self, how: str, error: Exception, hint: str = "") -> SshError:
        """The error for a host that went away, or never was there. *hint*: in place of ours."""
        why = getattr(error, "strerror", "") or str(error) or "it closed the connection"
        return SshError("host", f"{host_name(self._host, self._port)} {how}", why=why, hint=hint or self._hint)

    def close(self) -> None:
        """May be called twice; `meet` makes a new one."""
        self._open.close()

    def _shown(self, connection: socket.socket, pins: Pins | None) -> paramiko.Transport:
        transport = self._open.enter_context(closing(paramiko.Transport(connection, disabled_algorithms=_WEAK)))
        transport.banner_timeout = transport.handshake_timeout = self._limits.handshake
        transport.auth_timeout = transport.channel_timeout = self._limits.answer
        _prefer(transport, {item.kind for item in pins.keys} if pins is not None else set())
        transport.start_client(timeout=self._limits.handshake)
        shown = transport.get_remote_server_key()  # raises before the end of the handshake
        if pins is not None:
            self._check(HostKey(shown.get_name(), shown.asbytes()), pins)
        return transport

    def _check(self, shown: HostKey, pins: Pins) -> None:
        """Raise SshError unless *shown* is pinned. There is no trust on first use."""
        if shown in pins.keys:
            return
        name = host_name(self._host, self._port)
        if pins.keys:
            what = f"the SSH host key of {name} is not the pinned one"
            why = f"it shows {shown}, pinned is {', '.join(map(str, pins.keys))}"
            hint = (
                f"somebody may sit in between; only if the host really has a new key, replace its line in {pins.file}"
            )
        else:
            what = f"the SSH host key of {name} is not pinned"
            why = f"it shows {shown}"
            hint = f"compare with `ssh-keygen -l` on the host itself, then add the line of `ssh-keyscan` to {pins.file}"
        raise SshError("host-key", what, why=why, hint=hint)


def _prefer(transport: paramiko.Transport, pinned: set[str]) -> None:
    """Prefer the pinned kinds of key. The others are allowed too, so that an error can name the key that was shown."""
    options = transport.get_security_options()
    kinds = [*options.key_types]
    kinds.sort(key=lambda kind: ("ssh-rsa" if kind.startswith("rsa-sha2") else kind) not in pinned)
    options.key_types = tuple(kinds)


def load_private_key(file: Path) -> paramiko.PKey:
    """The private key for logins. Raises ConfigError if it is absent, readable by others, or not usable."""
    text = read_secret(file, _MAKE.format(file)).decode("utf-8", "replace")
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text))
        except paramiko.PasswordRequiredException as error:
            raise _wrong(file, "is protected by a passphrase, but certfleet runs unattended") from error
        except (paramiko.SSHException, ValueError, IndexError):
            continue
    raise _wrong(file, "holds no private key that is understood")


def _wrong(file: object, problem: str) -> ConfigError:
    return ConfigError(str(file), [Finding("", problem)], hint=_MAKE.format(file))
