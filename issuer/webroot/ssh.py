"""One SFTP session with one host, with a pinned host key and a key file. A lost session is replaced by a new one.

This module and sftp.py import paramiko, which takes 0.2 s: import them only when a row needs them.
"""

import socket
import threading
from collections.abc import Callable
from typing import TypeVar

import paramiko

from common.dataclasses import dataclass
from common.deadline import cut_off
from common.errors import CertfleetError, ConfigError, Finding, Retry
from common.ssh import BROKEN, Pins, SshConnection, SshError, load_private_key
from common.ssh_limits import SshLimits
from issuer.ground.silence import Silence
from issuer.model.config import WebrootSettings
from issuer.model.errors import WebrootError, noted
from issuer.webroot.location import Location

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Session:
    connection: socket.socket
    client: paramiko.SFTPClient


class SshHost:
    """Thread-safe: one action at a time."""

    def __init__(self, location: Location, settings: WebrootSettings, limits: SshLimits):
        hint = "check that the host runs and that its sshd offers SFTP"
        self._host = location.host
        self._connection = SshConnection(location.user, location.host, location.port, limits, hint)
        self._settings = settings
        self._limits = limits
        self._lock = threading.Lock()
        self._session: _Session | None = None
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
        pins = None
        with noted(found):
            pins = self._pins()
        with noted(found):
            _private_key(self._settings)
        with self._lock, noted(found):
            self._disconnect()
            self._tried(lambda: self._connection.meet(pins, lambda *_: None))
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
            except BROKEN:
                self._disconnect()
        try:
            self._session = self._tried(self._connect)
            return self._used(action, self._session)
        except BROKEN as error:
            self._disconnect()
            trouble = _for_webroot(self._connection.lost("broke the connection", error))
            self._trouble.begins(self._host, trouble)
            raise trouble from error

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
        except SshError as error:
            self._disconnect()
            trouble = _for_webroot(error)
            self._trouble.begins(self._host, trouble)
            raise trouble from error
        except BaseException:
            self._disconnect()
            raise

    def _connect(self) -> _Session:
        pins, key = self._pins(), _private_key(self._settings)
        return self._connection.meet(pins, lambda connection, transport: self._begun(connection, transport, key))

    def _begun(self, connection: socket.socket, transport: paramiko.Transport, key: paramiko.PKey) -> _Session:
        assert self._settings.ssh_key_file is not None  # noqa: S101 - the key came from there
        self._connection.log_in(transport, key, self._settings.ssh_key_file)
        channel = transport.open_session(timeout=self._limits.answer)
        channel.settimeout(self._limits.answer)
        channel.invoke_subsystem("sftp")
        return _Session(connection, paramiko.SFTPClient(channel))

    def _pins(self) -> Pins:
        file = self._settings.ssh_host_keys
        if file is None:
            problem = "is missing: the file with the host keys of the machines that certfleet may log in to"
            raise ConfigError("configuration", [Finding("webroot.ssh_host_keys", problem)])
        return self._connection.pins(file)

    def _disconnect(self) -> None:
        self._session = None
        self._connection.close()


def _for_webroot(error: SshError) -> WebrootError:
    retry = Retry.SOON if error.fault == "host" else None
    return WebrootError(error.what, why=error.why, hint=error.hint, reference=f"webroot-{error.fault}", retry=retry)


def _private_key(settings: WebrootSettings) -> paramiko.PKey:
    if settings.ssh_key_file is None:
        problem = "is missing: the private key that certfleet logs in with to web servers"
        raise ConfigError("configuration", [Finding("webroot.ssh_key_file", problem)])
    return load_private_key(settings.ssh_key_file)
