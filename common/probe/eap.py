"""The TLS of an EAP method, which a RADIUS server carries in its datagrams: EAP-TLS (RFC 5216), EAP-TTLS (RFC 5281),
PEAP. A login is begun as a supplicant begins it, and left once the certificate is seen.
"""

import contextlib
import errno
import itertools
import secrets
import socket
import struct

from common.deadline import Deadline
from common.errors import ConfigError
from common.files import read_password
from common.probe.radius import CHALLENGE, LONGEST_PACKET, Answer, access_request, answer_to
from common.probe.target import EAP_TYPES, EapLogin
from common.probe.wire import Silent, Unasked

_MOST = 1_000_000  # bytes of TLS received in one look
_FRAGMENT = 1024  # bytes of TLS sent at once; the MTU between a server and a supplicant is no smaller (RFC 3748 §3.1)
_REQUEST, _RESPONSE, _IDENTITY, _NAK = 1, 2, 1, 3  # codes and types of EAP: RFC 3748 §4, §5
_HAS_LENGTH, _MORE = 0x80, 0x40  # flags of a fragment: RFC 5216 §3.1
_HEAD = struct.Struct("!BBHB")  # code, identifier, length, type
_SILENT = "it stays silent, as RADIUS servers do to a host that is none of their clients or has another secret"


class EapWire:
    """One login. It carries TLS as :class:`common.probe.wire.Wire` does, never beyond the deadline. Methods raise
    OSError; ConnectionAbortedError where the server ends the login, or breaks a bound."""

    def __init__(self, connection: socket.socket, deadline: Deadline, login: EapLogin):
        """*connection*: connected, by UDP. Raises Unasked without a secret."""
        try:
            self._secret = read_password(login.secret_file).encode()
        except ConfigError as error:
            raise Unasked(f"{error}; {error.hint}") from error
        self._connection, self._deadline, self._login = connection, deadline, login
        self._types = {name: EAP_TYPES[name] for name in ([login.method] if login.method else EAP_TYPES)}
        self._numbers = itertools.count()
        self._state: bytes | None = None
        self._identifier = self._type = 0
        self._body = b""  # of the request of EAP that is to be answered: what is behind its type
        self._to_send = b""
        self._room = _MOST

    def begin(self) -> None:
        """Bring the server to where TLS begins. Raises Silent, Unasked, ConnectionRefusedError for no listener."""
        try:
            self._respond(_IDENTITY, self._login.identity.encode())
        except ConnectionError:
            raise
        except OSError as error:  # no route on the way, or no answer
            raise (Silent(_SILENT) if isinstance(error, TimeoutError) else Unasked(error.strerror)) from error
        if self._type not in self._types.values():
            self._respond(_NAK, bytes(self._types.values()))
        if self._type not in self._types.values():
            raise _aborted(f"it wants EAP of type {self._type}, and not {self._methods}")

    def send(self, data: bytes) -> None:
        """Keep *data* for when the server is to answer: a login is left without the words that only it would need."""
        self._to_send += data

    def some(self) -> bytes:
        """The next fragment of what the server says, after all that is to be sent; b"" at the end. A response without
        TLS asks for it (RFC 5216 §2.1.5)."""
        data, self._to_send = self._to_send, b""
        method = self._type
        pieces = [data[start : start + _FRAGMENT] for start in range(0, len(data), _FRAGMENT)] or [b""]
        for index, piece in enumerate(pieces, 1):
            flags = _MORE if index < len(pieces) else 0
            whole = struct.pack("!I", len(data)) if index == 1 and flags else b""
            self._respond(method, bytes((flags | (_HAS_LENGTH if whole else 0),)) + whole + piece)
        if self._type != method:
            raise _aborted(f"it leaves TLS for EAP of type {self._type}")
        received = self._body[5 if self._body and self._body[0] & _HAS_LENGTH else 1 :]
        self._room -= len(received)
        if self._room < 0:
            raise _aborted("its answer has no end")
        return received

    def _respond(self, kind: int, body: bytes) -> None:
        """Send a response of EAP and take the request that comes for it."""
        eap = _HEAD.pack(_RESPONSE, self._identifier, _HEAD.size + len(body), kind) + body
        number, user = next(self._numbers) % 256, self._login.identity.encode()
        chance = secrets.token_bytes(16)
        request = access_request(number, chance, self._secret, user=user, state=self._state, eap=eap)
        answer = self._answer(request)
        if answer.code != CHALLENGE:
            raise _aborted(f"it ends the login of {self._login.identity!r} by {self._methods}")
        if len(answer.eap) < _HEAD.size:
            raise _aborted("it answers without EAP")
        code, self._identifier, length, self._type = _HEAD.unpack_from(answer.eap)
        if code != _REQUEST or not _HEAD.size <= length <= len(answer.eap):
            raise _aborted("it answers with malformed EAP")
        self._state, self._body = answer.state, answer.eap[_HEAD.size : length]

    def _answer(self, request: bytes) -> Answer:
        """The server's answer. Datagrams get lost, so the request is sent again, each time after twice the wait (RFC
        5080 §2.2.1). Anybody may have sent a datagram that does not fit
        the secret: the right answer may still come."""
        is_distrusted = False
        for again in itertools.count():
            self._connection.settimeout(self._deadline.left())
            self._connection.send(request)
            wait = Deadline(2.0**again)
            with contextlib.suppress(TimeoutError):
                while True:
                    self._connection.settimeout(min(wait.left(), self._deadline.left()))
                    data = self._connection.recv(LONGEST_PACKET)
                    answer = answer_to(request, data, self._secret)
                    if answer is not None:
                        return answer
                    is_distrusted |= data[1:2] == request[1:2]
            try:
                self._deadline.left()
            except TimeoutError as error:
                if is_distrusted:
                    raise _aborted(f"its answers do not fit the secret in {self._login.secret_file}") from error
                raise
        raise AssertionError("counting has no end")

    @property
    def _methods(self) -> str:
        return " or ".join(f"EAP-{name.upper()}" if name != "peap" else "PEAP" for name in self._types)


def _aborted(why: str) -> ConnectionAbortedError:
    return ConnectionAbortedError(errno.ECONNABORTED, why)
