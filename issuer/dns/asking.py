"""Many servers asked at once by one thread: UDP, sent twice, over TCP when the answer is truncated (RFC 7766).

Nothing here waits for one server while another could be heard, so a dead one costs the others nothing. Sockets are
connected: the kernel drops what comes from elsewhere, and tells at once when nobody listens or no route exists.
"""

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Sequence

import dns.exception
import dns.flags
import dns.message

from issuer.dns.servers import Server

ASK_SECONDS = 2.0
_SEND_AGAIN = 0.8  # seconds
_AT_ONCE = 128  # sockets; eight threads stay below the usual limit of 1024 files
_LONGEST = 2 + 65535  # bytes of a message over TCP, with its length (RFC 1035 §4.2.2)
_NO_ROUTE = (
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.EADDRNOTAVAIL,
    errno.EAFNOSUPPORT,
    errno.EINVAL,
)  # the last: a link-local address

Asked = tuple[Server, dns.message.QueryMessage]


class NoAnswer(Exception):
    """The server gave no usable answer; the text says how.

    *unreachable*: this machine has no route to it at all. *slow*: the whole time was spent on waiting for it.
    """

    def __init__(self, text: str, *, unreachable: bool = False, slow: bool = False):
        super().__init__(text)
        self.unreachable = unreachable
        self.slow = slow


def ask(server: Server, query: dns.message.QueryMessage, seconds: float = ASK_SECONDS) -> dns.message.Message:
    """One server's answer. Raises NoAnswer."""
    [answer] = ask_all([(server, query)], seconds)
    if isinstance(answer, NoAnswer):
        raise answer
    return answer


def ask_all(asked: Sequence[Asked], seconds: float = ASK_SECONDS) -> list[dns.message.Message | NoAnswer]:
    """Every server's answer, in the order of the questions, after *seconds* at the latest (per 128 questions)."""
    answers: list[dns.message.Message | NoAnswer] = []
    for first in range(0, len(asked), _AT_ONCE):
        answers += _ask_some(asked[first : first + _AT_ONCE], seconds)
    return answers


def _ask_some(asked: Sequence[Asked], seconds: float) -> list[dns.message.Message | NoAnswer]:
    exchanges = [_Exchange(server, query, seconds) for server, query in asked]
    everybody = _Round()
    try:
        now = time.monotonic()
        deadline, again_at = now + seconds, now + min(_SEND_AGAIN, seconds / 2)
        for exchange in exchanges:
            everybody.begin(exchange)
        while everybody.waiting and now < deadline:
            everybody.listen((again_at if now < again_at else deadline) - now)
            before, now = now, time.monotonic()
            if before < again_at <= now:
                everybody.send_again()
        return [exchange.outcome for exchange in exchanges]
    finally:
        for exchange in exchanges:
            exchange.close()


class _Round:
    """The exchanges that have no outcome yet, by the number of their socket."""

    def __init__(self) -> None:
        self.waiting: dict[int, _Exchange] = {}
        self._poll = select.poll()

    def begin(self, exchange: "_Exchange", *, over_tcp: bool = False) -> None:
        try:
            number = exchange.open(over_tcp=over_tcp)
        except OSError as error:
            exchange.fail(error)
            return
        self.waiting[number] = exchange
        self._poll.register(number, select.POLLOUT if over_tcp else select.POLLIN)

    def listen(self, seconds: float) -> None:
        """Let those proceed whose sockets have something, or wait that long for the first."""
        for number, _ in self._poll.poll(seconds * 1000 + 1):
            exchange = self.waiting[number]
            try:
                ended = exchange.proceed()
            except BlockingIOError:
                continue
            except OSError as error:
                exchange.fail(error)
                ended = True
            if ended:
                self._end(number, exchange)
            elif exchange.over_tcp:
                self._poll.modify(number, select.POLLIN)

    def send_again(self) -> None:
        """A datagram may be lost."""
        for number, exchange in tuple(self.waiting.items()):
            try:
                exchange.send_again()
            except BlockingIOError:
                continue
            except OSError as error:
                exchange.fail(error)
                self._end(number, exchange)

    def _end(self, number: int, exchange: "_Exchange") -> None:
        del self.waiting[number]
        self._poll.unregister(number)
        exchange.close()
        if exchange.truncated:
            exchange.outcome = NoAnswer("its answer is truncated, and over TCP there was none in time", slow=True)
            self.begin(exchange, over_tcp=True)


class _Exchange:
    """One question to one server, until it has an outcome."""

    def __init__(self, server: Server, query: dns.message.QueryMessage, seconds: float):
        self.outcome: dns.message.Message | NoAnswer = NoAnswer(f"no answer within {seconds:g} s", slow=True)
        self.over_tcp = False
        self._server = server
        self._query = query
        self._wire = query.to_wire()
        self._socket: socket.socket | None = None
        self._sent = False
        self._received = b""

    @property
    def truncated(self) -> bool:
        return not self.over_tcp and not isinstance(self.outcome, NoAnswer) and bool(self.outcome.flags & dns.flags.TC)

    def open(self, *, over_tcp: bool) -> int:
        """A connected socket, by its number; over UDP the question is on its way."""
        self.over_tcp = over_tcp
        family = socket.AF_INET6 if self._server.ipv6 else socket.AF_INET
        kind = socket.SOCK_STREAM if over_tcp else socket.SOCK_DGRAM
        self._socket = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        failed = self._socket.connect_ex((self._server.address, self._server.port))
        if failed not in (0, errno.EINPROGRESS):
            raise OSError(failed, os.strerror(failed))
        if not over_tcp:
            self._socket.send(self._wire)
        return self._socket.fileno()

    def proceed(self) -> bool:
        """The socket has something: True when that gave the outcome."""
        if self._socket is None:
            raise RuntimeError("proceed() before open()")
        if not self.over_tcp:
            return self._take(self._socket.recv(65535))
        if not self._sent:
            failed = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if failed:
                raise OSError(failed, os.strerror(failed))
            self._socket.sendall(struct.pack("!H", len(self._wire)) + self._wire)
            self._sent = True
            return False
        chunk = self._socket.recv(_LONGEST - len(self._received))
        if not chunk:  # also when it has sent all that one message can hold
            raise ConnectionError(errno.ECONNRESET, "it closed the connection without an answer")
        self._received += chunk
        size = struct.unpack("!H", self._received[:2])[0] if len(self._received) >= 2 else 65535
        return len(self._received) >= 2 + size and self._take(self._received[2 : 2 + size])

    def send_again(self) -> None:
        if not self.over_tcp and self._socket is not None:
            self._socket.send(self._wire)

    def fail(self, error: OSError) -> None:
        self.outcome = NoAnswer(error.strerror or str(error), unreachable=error.errno in _NO_ROUTE)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _take(self, wire: bytes) -> bool:
        """Is *wire* the answer to our question? What is not is ignored, as RFC 5452 §9.1 asks for."""
        if wire[:2] != self._wire[:2]:
            return False
        try:
            answer = dns.message.from_wire(wire, ignore_trailing=True)
        except dns.exception.DNSException as error:
            self.outcome = NoAnswer(f"a malformed answer ({error})")
            return True
        if not self._query.is_response(answer):
            return False
        self.outcome = answer
        return True
