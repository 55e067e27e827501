"""One SSH login at one host, with a pinned host key and a key file; kept open while it is used, made anew when lost.

With sftp.py the only importer of paramiko, which takes 0.2 s: import this module only when a row really needs it.
"""

import io
import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import paramiko

from common.errors import CertfleetError, ConfigError, Finding, Retry
from common.files import read_secret
from issuer.model.config import WebrootSettings
from issuer.model.errors import WebrootError, noted
from issuer.webroot.hostkeys import HostKey, host_name, load_pinned_keys
from issuer.webroot.location import Location

T = TypeVar("T")
CONNECT_SECONDS = 10.0
HANDSHAKE_SECONDS = 15.0
ANSWER_SECONDS = 20.0  # login, channel, each SFTP request
ACTION_SECONDS = 120.0  # everything that is done in one go
IDLE_SECONDS = 10.0  # a run may wait for hours; it holds no session for that
_PAUSE_SECONDS = 5.0  # a dead host costs its time limit once, not once a certificate
_WEAK = {
    "macs": ["hmac-sha1", "hmac-md5", "hmac-sha1-96", "hmac-md5-96"],
    "ciphers": ["3des-cbc", "aes128-cbc", "aes192-cbc", "aes256-cbc"],
}
_BROKEN = (  # what a host that goes away, or answers garbage, looks like from here
    *(paramiko.SSHException, paramiko.SFTPError, EOFError),
    *(ConnectionError, TimeoutError, UnicodeDecodeError, struct.error),
)
# its loggers repeat, with tracebacks on stderr, what we raise
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)


class SshHost:
    """Thread-safe: one action at a time."""

    def __init__(self, location: Location, settings: WebrootSettings):
        self._host, self._port, self._user = location.host, location.port, location.user
        self._settings = settings
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._transport: paramiko.Transport | None = None
        self._client: paramiko.SFTPClient | None = None
        self._idle: threading.Timer | None = None
        self._trouble: tuple[float, WebrootError] | None = None

    def run(self, action: Callable[[paramiko.SFTPClient], T]) -> T:
        """What *action* returns; called twice when the connection turns out to be lost. Raises OSError for trouble
        with files, WebrootError for trouble with the host, ConfigError."""
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            try:
                return self._run(action)
            finally:
                self._idle = threading.Timer(IDLE_SECONDS, self.close)
                self._idle.daemon = True
                self._idle.start()

    def barriers(self) -> list[CertfleetError]:
        """All that is wrong with our own files for a login, and with the host, as far as it tells that without one."""
        found: list[CertfleetError] = []
        pinned = None
        with noted(found):
            pinned = self._pinned()
        with noted(found):
            _private_key(self._settings)
        with self._lock, noted(found):
            self._disconnect()
            self._tried(lambda: self._meet(pinned, lambda _: None))
            self._disconnect()
        return found

    def close(self) -> None:
        """End the connection; the next action makes a new one."""
        with self._lock:
            self._disconnect()

    def _run(self, action: Callable[[paramiko.SFTPClient], T]) -> T:
        if self._client is not None:
            try:
                return self._used(action, self._client)
            except _BROKEN:
                self._disconnect()
        try:
            return self._used(action, self._connected())
        except _BROKEN as error:
            self._disconnect()
            raise self._lost("broke the connection", error) from error

    def _used(self, action: Callable[[paramiko.SFTPClient], T], client: paramiko.SFTPClient) -> T:
        try:
            with self._time_limit(ACTION_SECONDS):
                return action(client)
        except OSError as error:
            channel = client.get_channel()
            if error.errno is None and (channel is None or channel.closed):
                raise EOFError(str(error)) from error  # "Socket is closed": the connection's trouble, not a file's
            raise

    def _connected(self) -> paramiko.SFTPClient:
        self._client = self._tried(self._connect)
        return self._client

    def _tried(self, act: Callable[[], T]) -> T:
        """*act* on a connection of its own, but not soon after trouble with the host."""
        if self._trouble is not None and time.monotonic() < self._trouble[0]:
            raise self._trouble[1]
        try:
            result = act()
        except WebrootError as error:
            self._disconnect()
            self._trouble = (time.monotonic() + _PAUSE_SECONDS, error)
            raise
        except BaseException:
            self._disconnect()
            raise
        self._trouble = None
        return result

    def _connect(self) -> paramiko.SFTPClient:
        pinned, key = self._pinned(), _private_key(self._settings)
        return self._meet(pinned, lambda transport: self._session(transport, key))

    def _meet(self, pinned: list[HostKey] | None, act: Callable[[paramiko.Transport], T]) -> T:
        """*act* with the host, once it has shown a *pinned* key; None when it is not known which ones are."""
        try:
            self._connection = socket.create_connection((self._host, self._port), timeout=CONNECT_SECONDS)
        except (OSError, UnicodeError) as error:
            raise self._lost("cannot be reached", error) from error
        try:
            with self._time_limit(HANDSHAKE_SECONDS + 2 * ANSWER_SECONDS):
                return act(self._shown(self._connection, pinned))
        except (*_BROKEN, OSError, ValueError) as error:
            raise self._lost("gives no SFTP", error) from error

    def _shown(self, connection: socket.socket, pinned: list[HostKey] | None) -> paramiko.Transport:
        transport = self._transport = paramiko.Transport(connection, disabled_algorithms=_WEAK)
        transport.banner_timeout = transport.handshake_timeout = HANDSHAKE_SECONDS
        transport.auth_timeout = transport.channel_timeout = ANSWER_SECONDS
        _prefer(transport, {item.kind for item in pinned or ()})
        transport.start_client(timeout=HANDSHAKE_SECONDS)
        shown = transport.get_remote_server_key()  # raises if the handshake is not done
        if pinned is not None:
            self._check(HostKey(shown.get_name(), shown.asbytes()), pinned)
        return transport

    def _session(self, transport: paramiko.Transport, key: paramiko.PKey) -> paramiko.SFTPClient:
        self._log_in(transport, key)
        channel = transport.open_session(timeout=ANSWER_SECONDS)
        channel.settimeout(ANSWER_SECONDS)
        channel.invoke_subsystem("sftp")
        return paramiko.SFTPClient(channel)

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
        """Nobody's word but the file's counts; an unknown key is never taken on trust."""
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
        transport, connection = self._transport, self._connection
        self._transport = self._connection = self._client = None
        if transport is not None:
            transport.close()
        if connection is not None:
            connection.close()

    @contextmanager
    def _time_limit(self, seconds: float) -> Iterator[None]:
        """Some of paramiko's waits know no limit; a connection that is closed under them ends them all."""
        timer = threading.Timer(seconds, _cut, [self._connection])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _cut(connection: socket.socket | None) -> None:
    if connection is not None:
        with suppress(OSError):  # it is closed already
            connection.shutdown(socket.SHUT_RDWR)


def _prefer(transport: paramiko.Transport, pinned: set[str]) -> None:
    """Ask for the pinned kinds of key first; for the others too, so that a refusal can name what was shown."""
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
    """The key that certfleet logs in with; ConfigError if it is absent, open to others, or of no use."""
    text = read_secret(file).decode("utf-8", "replace")
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text))
        except paramiko.PasswordRequiredException as error:
            raise _wrong(file, "is protected by a passphrase, which nobody can type at night") from error
        except (paramiko.SSHException, ValueError, IndexError):
            continue
    raise _wrong(file, "holds no private key that is understood")


def _wrong(file: object, problem: str) -> ConfigError:
    hint = "make one with `ssh-keygen -t ed25519 -N ''`"
    return ConfigError(str(file), [Finding("", problem)], hint=hint)
