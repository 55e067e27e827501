"""One SFTP session with one host, with a pinned host key and a key file. A lost session is replaced by a new one.

This module and sftp.py are the only importers of paramiko, which takes 0.2 s: import them only when a row needs them.
"""

import io
import logging
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import paramiko

from common.deadline import cut_off
from common.errors import CertfleetError, ConfigError, Finding, Retry
from common.files import read_secret
from issuer.ground.silence import Silence
from issuer.model.config import WebrootSettings
from issuer.model.errors import WebrootError, noted
from issuer.webroot.hostkeys import HostKey, host_name, load_pinned_keys
from issuer.webroot.limits import SshLimits
from issuer.webroot.location import Location

T = TypeVar("T")
_WEAK = {
    "macs": ["hmac-sha1", "hmac-md5", "hmac-sha1-96", "hmac-md5-96"],
    "ciphers": ["3des-cbc", "aes128-cbc", "aes192-cbc", "aes256-cbc"],
}
_BROKEN = (  # raised when the host goes away or sends garbage
    *(paramiko.SSHException, paramiko.SFTPError, EOFError),
    *(ConnectionError, TimeoutError, UnicodeDecodeError, struct.error),
)
# paramiko would log the errors that it raises, with tracebacks on stderr
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class _Session:
    connection: socket.socket
    client: paramiko.SFTPClient


class SshHost:
    """Thread-safe: one action at a time."""

    def __init__(self, location: Location, settings: WebrootSettings, limits: SshLimits):
        self._host, self._port, self._user = location.host, location.port, location.user
        self._settings = settings
        self._limits = limits
        self._lock = threading.Lock()
        self._session: _Session | None = None
        self._open = ExitStack()  # the connection, and paramiko's transport over it
        self._idle: threading.Timer | None = None
        self._trouble: Silence[str, WebrootError] = Silence(limits.pause)

    def run(self, action: Callable[[paramiko.SFTPClient], T]) -> T:
        """The result of *action*, which is called a second time if the connection is lost. Raises OSError for a file,
        WebrootError for the host, ConfigError for our key or the pinned keys."""
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            try:
                return self._run(action)
            finally:
                self._idle = threading.Timer(self._limits.idle, self.close)
                self._idle.daemon = True
                self._idle.start()

    def barriers(self) -> list[CertfleetError]:
        """Every error of our key, of the pinned keys, and of the host as far as it can be seen without a login."""
        found: list[CertfleetError] = []
        pinned = None
        with noted(found):
            pinned = self._pinned()
        with noted(found):
            _private_key(self._settings)
        with self._lock, noted(found):
            self._disconnect()
            self._tried(lambda: self._meet(pinned, lambda *_: None))
            self._disconnect()
        return found

    def close(self) -> None:
        """End the connection; the next action makes a new one."""
        with self._lock:
            self._disconnect()

    def _run(self, action: Callable[[paramiko.SFTPClient], T]) -> T:
        if self._session is not None:
            try:
                return self._used(action, self._session)
            except _BROKEN:
                self._disconnect()
        try:
            self._session = self._tried(self._connect)
            return self._used(action, self._session)
        except _BROKEN as error:
            self._disconnect()
            raise self._lost("broke the connection", error) from error

    def _used(self, action: Callable[[paramiko.SFTPClient], T], session: _Session) -> T:
        try:
            with cut_off(session.connection, self._limits.action):
                return action(session.client)
        except OSError as error:
            channel = session.client.get_channel()
            if channel is None or channel.closed:  # an error of the connection, not of a file
                raise EOFError(str(error)) from error
            raise

    def _tried(self, act: Callable[[], T]) -> T:
        """The result of *act*, which opens a connection. Soon after an error of the host, raises that error again."""
        if (trouble := self._trouble.of(self._host)) is not None:
            raise trouble
        try:
            return act()
        except BaseException as error:
            self._disconnect()
            if isinstance(error, WebrootError):
                self._trouble.begins(self._host, error)
            raise

    def _connect(self) -> _Session:
        pinned, key = self._pinned(), _private_key(self._settings)
        return self._meet(pinned, lambda *met: self._begun(met[0], met[1], key))

    def _meet(self, pinned: list[HostKey] | None, act: Callable[[socket.socket, paramiko.Transport], T]) -> T:
        """Connect, check the host's key against *pinned* (None accepts any), and return the result of *act*."""
        try:
            connection = socket.create_connection((self._host, self._port), timeout=self._limits.connect)
        except (OSError, UnicodeError) as error:
            raise self._lost("cannot be reached", error) from error
        self._open.enter_context(connection)
        try:
            # some of paramiko's waits have no time limit
            with cut_off(connection, self._limits.handshake + 2 * self._limits.answer):
                return act(connection, self._shown(connection, pinned))
        except (*_BROKEN, OSError, ValueError) as error:
            raise self._lost("gives no SFTP", error) from error

    def _shown(self, connection: socket.socket, pinned: list[HostKey] | None) -> paramiko.Transport:
        transport = self._open.enter_context(closing(paramiko.Transport(connection, disabled_algorithms=_WEAK)))
        transport.banner_timeout = transport.handshake_timeout = self._limits.handshake
        transport.auth_timeout = transport.channel_timeout = self._limits.answer
        _prefer(transport, {item.kind for item in pinned or ()})
        transport.start_client(timeout=self._limits.handshake)
        shown = transport.get_remote_server_key()  # raises before the end of the handshake
        if pinned is not None:
            self._check(HostKey(shown.get_name(), shown.asbytes()), pinned)
        return transport

    def _begun(self, connection: socket.socket, transport: paramiko.Transport, key: paramiko.PKey) -> _Session:
        self._log_in(transport, key)
        channel = transport.open_session(timeout=self._limits.answer)
        channel.settimeout(self._limits.answer)
        channel.invoke_subsystem("sftp")
        return _Session(connection, paramiko.SFTPClient(channel))

    def _log_in(self, transport: paramiko.Transport, key: paramiko.PKey) -> None:
        try:
            transport.auth_publickey(self._user, key)
        except paramiko.AuthenticationException as error:
            shown = HostKey(key.get_name(), key.asbytes())
            raise WebrootError(
                f"{self._host} does not let us in as {self._user}",
                why=f"it refuses the key {shown} of {self._settings.ssh_key_file}",
                hint=f"add its public key to authorized_keys of {self._user} there",
                reference="webroot-login",
            ) from error

    def _check(self, shown: HostKey, pinned: list[HostKey]) -> None:
        """Raise WebrootError unless *shown* is pinned. There is no trust on first use."""
        if shown in pinned:
            return
        name, file = host_name(self._host, self._port), self._settings.ssh_host_keys
        if pinned:
            what = f"the SSH host key of {name} is not the pinned one"
            why = f"it shows {shown}, pinned is {', '.join(map(str, pinned))}"
            hint = f"somebody may sit in between; only if the host really has a new key, replace its line in {file}"
        else:
            what = f"the SSH host key of {name} is not pinned"
            why = f"it shows {shown}"
            hint = f"compare with `ssh-keygen -l` on the host itself, then add the line of `ssh-keyscan` to {file}"
        raise WebrootError(what, why=why, hint=hint, reference="webroot-host-key")

    def _pinned(self) -> list[HostKey]:
        file = self._settings.ssh_host_keys
        if file is None:
            problem = "is missing: the file with the host keys of the machines that certfleet may log in to"
            raise ConfigError("configuration", [Finding("webroot.ssh_host_keys", problem)])
        return load_pinned_keys(file).of(self._host, self._port)

    def _lost(self, how: str, error: Exception) -> WebrootError:
        what = f"{host_name(self._host, self._port)} {how}"
        why = getattr(error, "strerror", "") or str(error) or "it closed the connection"
        hint = "check that the host runs and that its sshd offers SFTP"
        return WebrootError(what, why=why, hint=hint, reference="webroot-host", retry=Retry.SOON)

    def _disconnect(self) -> None:
        self._session = None
        self._open.close()


def _prefer(transport: paramiko.Transport, pinned: set[str]) -> None:
    """Prefer the pinned kinds of key. The others are allowed too, so that an error can name the key that was shown."""
    options = transport.get_security_options()
    kinds = [*options.key_types]
    kinds.sort(key=lambda kind: ("ssh-rsa" if kind.startswith("rsa-sha2") else kind) not in pinned)
    options.key_types = tuple(kinds)


def _private_key(settings: WebrootSettings) -> paramiko.PKey:
    if settings.ssh_key_file is None:
        problem = "is missing: the private key that certfleet logs in with to web servers"
        raise ConfigError("configuration", [Finding("webroot.ssh_key_file", problem)])
    return load_private_key(settings.ssh_key_file)


def load_private_key(file: Path) -> paramiko.PKey:
    """The private key for logins. Raises ConfigError if it is absent, readable by others, or not usable."""
    text = read_secret(file).decode("utf-8", "replace")
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text))
        except paramiko.PasswordRequiredException as error:
            raise _wrong(file, "is protected by a passphrase, but certfleet runs unattended") from error
        except (paramiko.SSHException, ValueError, IndexError):
            continue
    raise _wrong(file, "holds no private key that is understood")


def _wrong(file: object, problem: str) -> ConfigError:
    hint = "make one with `ssh-keygen -t ed25519 -N ''`"
    return ConfigError(str(file), [Finding("", problem)], hint=hint)
