"""One SSH connection with one host, opened at its first use: all that a run does there goes over it.

Each action has a time limit as a whole, and a request to stop ends it. A connection that was lost between two actions
is replaced by a new one; a host that cannot be reached, or does not end what it begins, is not tried again in the same
run.
"""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import paramiko

from agent.host.waits import Waits
from agent.model.errors import HostLost
from agent.model.remote_host import RemoteHost
from agent.remote.access import Access, Ended
from agent.remote.sftp import SftpAccess
from agent.remote.shell import BEGUN, ShellAccess, in_any_shell
from common.chunks import chunks
from common.dataclasses import dataclass, field
from common.errors import CertfleetError
from common.ssh import BROKEN, SshConnection, SshError, load_private_key
from common.ssh_limits import SshLimits

T = TypeVar("T")
LIMITS = SshLimits(action=60.0)
PATIENCE = LIMITS.connect + LIMITS.handshake + 2 * LIMITS.answer  # seconds for a whole login
_HINT = "check that the host runs and lets this one in over SSH; the next run goes on"
_SHELL_HINT = "look there at the login shell of that user, and at what it reads first: `/bin/sh` must run"
_MOST_OUTPUT = 4_000_000  # bytes of an answer: four times the largest file
_TAIL = 262_144  # bytes that are kept of a command's output, as on an agent's own host
_GRACE = 10.0  # seconds that a host gets beyond the time limit of a command, to say that it ended that
_AT_ONCE = 64  # connections that are made side by side
_SESSIONS_HINT = "let its sshd have two sessions in a connection: MaxSessions 2 or more in sshd_config"
_PAUSES = (0.01, 0.1, 0.5)  # seconds before a channel that was refused is asked for again
_MOST_UNENDED = 2  # actions that did not end in time; one may be an accident, and files are to be put back
_LOOK_UP = 0.05  # seconds between two looks at a command that says nothing


class _NoShellError(Exception):
    """The login shell has not begun what it was told to run; the text is the last line that it printed."""


@dataclass
class Connected:
    """A connection on which we are logged in; *access* is what it offers for files."""

    connection: SshConnection
    transport: paramiko.Transport
    access: Access | None = field(default=None)

    @property
    def is_usable(self) -> bool:
        return self.transport.is_active() and (self.access is None or self.access.is_open)


class Session:
    """A session with *host*, used by one thread. Methods that act there raise HostLost, and ConfigError for our key or
    the pinned keys."""

    def __init__(self, host: RemoteHost, waits: Waits):
        self._host = host
        self._waits = waits
        self._limits = LIMITS
        self._open: Connected | None = None
        self._trouble: CertfleetError | None = None
        self._unended = 0  # actions

    @property
    def name(self) -> str:
        """The host, for sentences."""
        return self._host.address.host

    @property
    def user(self) -> str:
        """The user that is logged in there."""
        return self._host.address.user

    def files(self, action: Callable[[Access], T]) -> T:
        """The result of *action*, which works on files there and may be begun a second time on a new connection. Raises
        its OSError too."""
        if self._open is not None:
            try:
                return self._with_files(action, self._open)
            except HostLost:
                pass
        return self._with_files(action, self._connected())

    @property
    def is_open(self) -> bool:
        """Is there a connection, made or kept before?"""
        return self._open is not None

    def once(self, action: Callable[[Access], T]) -> T:
        """As `files`, for `ask_each`: on the connection that is there, without a time limit, and in another thread.
        Raises the errors of the connection, untranslated, and HostLost where the login runs nothing."""
        if self._open is None:
            raise self._trouble or EOFError
        try:
            return action(_access_on(self._open, self._limits))
        except _NoShellError as error:
            raise self._runs_nothing(error) from error

    def execute(self, script: str, seconds: float = 0.0, stdin: bytes = b"") -> Ended:
        """Run *script* in a shell there, once. With *seconds* it may take so long, and the end of its output is kept.
        Without, it may take as long as any action, and a long answer is an error."""
        there = self._connected()
        limit, longest = (seconds + _GRACE, _TAIL) if seconds else (self._limits.action, 0)
        return self._within(limit, partial(_executed, there.transport, self._limits, script, stdin, longest), there)

    def give_up(self, error: CertfleetError) -> None:
        """Leave the host alone for the rest of the run: whatever is asked of it then raises *error*."""
        self.close()
        self._trouble = error

    def close(self) -> None:
        """May be called twice."""
        opened, self._open = self._open, None
        if opened is not None:
            opened.connection.close()

    def _with_files(self, action: Callable[[Access], T], there: Connected) -> T:
        def act() -> T:
            return action(_access_on(there, self._limits))

        return self._within(self._limits.action, act, there)

    def connect(self) -> Connected:
        """A new connection, for `keep`; another thread may make it. Raises HostLost, ConfigError."""
        address, key = self._host.address, load_private_key(self._host.key_file)
        connection = SshConnection(address.user, address.host, address.port, self._limits, _HINT)
        pins = connection.pins(self._host.host_keys)

        def logged_in(_: socket.socket, transport: paramiko.Transport) -> paramiko.Transport:
            connection.log_in(transport, key, self._host.key_file)
            return transport

        try:
            return Connected(connection, connection.meet(pins, logged_in))
        except SshError as error:
            connection.close()
            raise HostLost(error.what, why=error.why, hint=error.hint) from error

    def keep(self, found: Connected | BaseException) -> None:
        """Keep the outcome of `connect`, or TimeoutError, for the rest of the run."""
        if isinstance(found, Connected):
            self._open = found
        elif isinstance(found, TimeoutError):
            self._trouble = HostLost(f"{self.name} cannot be reached", why=str(found), hint=_HINT)
        elif isinstance(found, CertfleetError):
            self._trouble = found
        else:
            raise found

    def _connected(self) -> Connected:
        if self._open is not None and self._open.transport.is_active():
            return self._open
        self.close()
        if self._trouble is None:
            (found,) = self._waits.each_within(PATIENCE, lambda _: self.connect(), [None])
            self.keep(found)
        if self._open is None:
            raise self._trouble or HostLost(f"{self.name} cannot be reached", hint=_HINT)
        return self._open

    def _within(self, seconds: float, act: Callable[[], T], there: Connected) -> T:
        """The result of *act* on the connection. Where it does not end as it should, the connection is given up."""
        try:
            return self._waits.within(seconds, act)
        except OSError as error:
            if there.is_usable and not isinstance(error, BROKEN):
                raise  # it is about a file
            raise self._gone(error, there) from error
        except BROKEN as error:
            raise self._gone(error, there) from error
        except _NoShellError as error:
            lost = self._runs_nothing(error)
            self.give_up(lost)
            raise lost from error
        except BaseException:  # a request to stop; what was begun must not go on behind our back
            self.close()
            raise

    def _runs_nothing(self, error: _NoShellError) -> HostLost:
        return HostLost(f"{self.name} runs no command for {self.user}", why=str(error), hint=_SHELL_HINT)

    def _gone(self, error: Exception, there: Connected) -> HostLost:
        """The error for a connection that broke. A host that let two actions wait to their time limit, as with a disk
        that hangs, would do so for each certificate: it is left alone for the rest of the run."""
        self.close()
        found = there.connection.lost("broke the connection", error)
        hint = _SESSIONS_HINT if isinstance(error, paramiko.ChannelException) else found.hint
        lost = HostLost(found.what, why=found.why, hint=hint)
        self._unended += isinstance(error, TimeoutError)
        if self._unended >= _MOST_UNENDED:
            self._trouble = lost
        return lost


def reach(sessions: Sequence[Session], waits: Waits) -> None:
    """Connect all *sessions*, many at a time. Each keeps its connection or its trouble."""
    for some in chunks(sessions, _AT_ONCE):
        for session, found in zip(some, waits.each_within(PATIENCE, Session.connect, some), strict=True):
            session.keep(found)


def ask_each(asked: Mapping[Session, Callable[[Access], T]], waits: Waits) -> dict[Session, T | BaseException]:
    """The result or the error of each action on the files of a host, many at a time; TimeoutError where it did not end
    in the time of an action. Where the connection breaks, it is begun a second time on a new one. Sessions that fail
    are to be given up."""
    found = _ask_once(asked, waits)
    cut = [session for session, one in found.items() if isinstance(one, BROKEN) and not isinstance(one, TimeoutError)]
    for session in cut:
        session.close()
    reach(cut, waits)
    return found | _ask_once({session: asked[session] for session in cut}, waits)


def _ask_once(asked: Mapping[Session, Callable[[Access], T]], waits: Waits) -> dict[Session, T | BaseException]:
    return {
        session: found
        for some in chunks(asked, _AT_ONCE)
        for session, found in zip(
            some, waits.each_within(LIMITS.action, lambda one: one.once(asked[one]), some), strict=True
        )
    }


def _access_on(there: Connected, limits: SshLimits) -> Access:
    if there.access is None:
        there.access = _access(there.transport, limits)
    return there.access


def _access(transport: paramiko.Transport, limits: SshLimits) -> Access:
    """SFTP, which most hosts offer; on the others a shell does the same."""
    execute = partial(_executed, transport, limits)
    channel = _channel(transport, limits)
    try:
        channel.settimeout(limits.answer)
        channel.invoke_subsystem("sftp")
        return SftpAccess(paramiko.SFTPClient(channel), execute)
    except (paramiko.SSHException, paramiko.SFTPError, EOFError, OSError) as error:
        # an OSError: its program is not there, and the host closes the channel before we send something
        if isinstance(error, TimeoutError) or not transport.is_active():
            raise
        channel.close()
        return ShellAccess(execute)


def _channel(transport: paramiko.Transport, limits: SshLimits) -> paramiko.Channel:
    """A new channel. A host that has few at a time, by OpenSSH's MaxSessions, may not have seen yet that the one before
    is closed."""
    for pause in _PAUSES:
        try:
            return transport.open_session(timeout=limits.answer)
        except paramiko.ChannelException:
            time.sleep(pause)
    return transport.open_session(timeout=limits.answer)


def _executed(
    transport: paramiko.Transport, limits: SshLimits, script: str, stdin: bytes = b"", tail: int = 0
) -> Ended:
    """Run *script* to its end. Of a long output the last *tail* bytes are kept; 0 refuses one."""
    with _channel(transport, limits) as channel:
        channel.settimeout(limits.answer)
        channel.exec_command(in_any_shell(script))
        if stdin:
            _send(channel, stdin)
        channel.shutdown_write()
        out, err = _output(channel, tail)
        channel.status_event.wait(limits.answer)
        if channel.exit_status == -1:  # by a signal; or the line is cut, and no further channel can be opened
            _channel(transport, limits).close()
        said, begun, answer = out.partition(BEGUN)  # what the login shell says for itself comes before it
        ended = Ended(channel.exit_status, bytes(answer), bytes(err))
        if not begun:
            last = ended.said or said.decode("utf-8", "replace").strip().split("\n")[-1]
            raise _NoShellError(last or f"exit code {ended.code}")
        return ended


def _output(channel: paramiko.Channel, tail: int) -> tuple[bytearray, bytearray]:
    """Output and error output of a command to its end. A daemon that it starts may keep them open, and is not waited
    for. Raises EOFError for more than is kept."""
    channel.settimeout(_LOOK_UP)
    out, err = bytearray(), bytearray()
    at_end = False
    while not at_end:
        has_ended = channel.exit_status_ready()
        try:
            data = channel.recv(65536)
            out += data
            at_end = not data
        except TimeoutError:
            at_end = has_ended
        while channel.recv_stderr_ready():
            err += channel.recv_stderr(65536)
        if len(out) + len(err) > _MOST_OUTPUT:
            begin = out.find(BEGUN) + len(BEGUN)
            if not tail or begin < len(BEGUN) or len(err) > _MOST_OUTPUT // 2:
                raise EOFError("its answer has no end")
            del out[begin:-tail]
    return out, err


def _send(channel: paramiko.Channel, stdin: bytes) -> None:
    try:
        channel.sendall(stdin)
    except OSError:
        if not channel.closed:
            raise
        # the command has ended, and its exit code tells why
