"""Queries to many servers at once, by one thread: UDP, sent twice, then TCP if the answer is truncated (RFC 7766).
A query to a server with a key is signed (RFC 8945). The signature of the answer is not verified: it proves nothing that
matters here, because the CA will ask without one.

A dead server does not delay the others. Sockets are connected: the kernel drops datagrams from elsewhere, and reports
at once that nobody listens or that no route exists.
"""

import contextlib
import copy
import dataclasses
import errno
import select
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from functools import partial

import dns.exception
import dns.flags
import dns.message
import dns.rcode

from common.chunks import chunks
from common.deadline import Deadline
from common.threads import on_thread
from issuer.dns.reading import over_tcp, parsed
from issuer.dns.servers import Server

ASK_SECONDS = 2.0
_SEND_AGAIN = 0.8  # seconds; a datagram may be lost
_AT_ONCE = 128  # sockets; seven threads stay below the usual limit of 1024 files
_NO_ROUTE = (
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.EADDRNOTAVAIL,
    errno.EAFNOSUPPORT,
    errno.EINVAL,  # a link-local address
)

Question = tuple[Server, dns.message.QueryMessage]


class NoAnswer(Exception):
    """The server gave no usable answer; the text says why.

    *unreachable*: this machine has no route to it. *slow*: it used up the time limit. *key_refused*: it does not take
    the signature of our query.
    """

    def __init__(self, text: str, *, unreachable: bool = False, slow: bool = False, key_refused: bool = False):
        super().__init__(text)
        self.unreachable = unreachable
        self.slow = slow
        self.key_refused = key_refused


def ask(server: Server, query: dns.message.QueryMessage, seconds: float = ASK_SECONDS) -> dns.message.Message:
    """One server's answer. Raises NoAnswer."""
    [answer] = _ask_some([(server, query)], seconds)
    if isinstance(answer, NoAnswer):
        raise answer
    return answer


def ask_all(questions: Sequence[Question], seconds: float = ASK_SECONDS) -> list[dns.message.Message | NoAnswer]:
    """The answer to each query, in their order, within *seconds* for each 128 of them. Raises nothing.

    A server that does not take our key is asked once more without it: a secondary needs no key of the primary.
    """
    answers = [answer for some in chunks(questions, _AT_ONCE) for answer in _ask_some(some, seconds)]
    refused = [at for at, answer in enumerate(answers) if isinstance(answer, NoAnswer) and answer.key_refused]
    if refused:
        unsigned = [(dataclasses.replace(questions[at][0], key=None), questions[at][1]) for at in refused]
        for at, answer in zip(refused, ask_all(unsigned, seconds), strict=True):
            answers[at] = answer
    return answers


def ask_each(
    servers: Sequence[Server], query: dns.message.QueryMessage
) -> dict[Server, dns.message.Message | NoAnswer]:
    """The answer of each of *servers* to one *query*, as of :func:`ask_all`."""
    return dict(zip(servers, ask_all([(server, query) for server in servers]), strict=True))


def _ask_some(questions: Sequence[Question], seconds: float) -> list[dns.message.Message | NoAnswer]:
    deadline, reading_ends = Deadline(seconds), time.thread_time() + seconds
    exchanges = [_Exchange(server, query, deadline, reading_ends) for server, query in questions]
    with contextlib.ExitStack() as sockets:
        for wait in (min(_SEND_AGAIN, seconds / 2), seconds):
            waiting = [exchange for exchange in exchanges if exchange.outcome is None]
            for exchange in waiting:
                exchange.send(sockets)
            _listen(waiting, deadline, seconds - wait)
    return [exchange.result() for exchange in exchanges]


def _listen(exchanges: Sequence["_Exchange"], deadline: Deadline, rest: float) -> None:
    """Receive answers until each exchange has an outcome or only *rest* seconds are left."""
    waiting = {exchange.number: exchange for exchange in exchanges if exchange.outcome is None}
    poll = select.poll()
    for number in waiting:
        poll.register(number, select.POLLIN)
    with contextlib.suppress(TimeoutError):
        while waiting and (wait := deadline.left() - rest) > 0:
            for number, _ in poll.poll(wait * 1000 + 1):
                exchange = waiting[number]
                exchange.receive()
                if exchange.outcome is not None:
                    poll.unregister(number)
                    del waiting[number]


class _Exchange:
    """One query to one server. *outcome* is None while there is neither an answer nor an error. *reading_ends*: the
    processor time of this thread after which no more answers are read."""

    def __init__(self, server: Server, query: dns.message.QueryMessage, deadline: Deadline, reading_ends: float):
        self.outcome: dns.message.Message | NoAnswer | None = None
        self._server = server
        self._query = copy.copy(query)
        if server.key is not None:
            self._query.use_tsig(server.key)
        self._wire = self._query.to_wire()
        self._deadline, self._reading_ends = deadline, reading_ends
        self._socket: socket.socket | None = None
        self._by_tcp: Future[bytes] | None = None

    @property
    def number(self) -> int:
        """The file descriptor of its socket, -1 before :meth:`send`."""
        return -1 if self._socket is None else self._socket.fileno()

    def send(self, sockets: contextlib.ExitStack) -> None:
        """Send the query, for the first or second time, through a socket that *sockets* closes."""
        with self._failing():
            if self._socket is None:
                family = socket.AF_INET6 if self._server.ipv6 else socket.AF_INET
                self._socket = sockets.enter_context(socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
                self._socket.connect((self._server.address, self._server.port))
            self._socket.send(self._wire)

    def receive(self) -> None:
        """Read the datagram that has arrived."""
        if self._socket is None:
            raise RuntimeError("receive() before send()")
        with self._failing():
            self.outcome = self._read(self._socket.recv(65535))
            if isinstance(self.outcome, dns.message.Message) and self.outcome.flags & dns.flags.TC:
                self._by_tcp = on_thread(partial(over_tcp, self._server, self._wire, self._deadline))

    def result(self) -> dns.message.Message | NoAnswer:
        """The outcome. Waits for an answer over TCP, which has the same deadline."""
        if self._by_tcp is not None:
            with self._failing():
                self.outcome = self._read(self._by_tcp.result()) or NoAnswer("it answers another question over TCP")
        return self.outcome or NoAnswer(f"no answer within {self._deadline.seconds:g} s", slow=True)

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except BlockingIOError:  # the arrived datagram had a wrong checksum, or ours found the send buffer full
            pass
        except TimeoutError:
            self.outcome = NoAnswer("its answer is truncated, and over TCP there was none in time", slow=True)
        except OSError as error:
            self.outcome = NoAnswer(error.strerror or str(error), unreachable=error.errno in _NO_ROUTE)

    def _read(self, wire: bytes) -> dns.message.Message | NoAnswer | None:
        """The answer to our query in *wire*, None for any other message (RFC 5452 §9.1)."""
        if wire[:2] != self._wire[:2]:
            return None
        if time.thread_time() > self._reading_ends:
            return NoAnswer("its answer came with others that took too long to read", slow=True)
        try:
            answer = parsed(wire, keyring=False, ignore_trailing=True)
        except dns.exception.DNSException as error:
            return NoAnswer(f"a malformed answer ({error})")
        if not self._query.is_response(answer):
            return None
        if self._server.key is not None and answer.rcode() == dns.rcode.NOTAUTH:  # an answer to a signature alone
            name = self._server.key.name.to_text(omit_final_dot=True)
            said = dns.rcode.to_text(dns.rcode.Rcode(answer.tsig_error), tsig=True) if answer.tsig_error else "NOTAUTH"
            return NoAnswer(f"it does not take the key {name}: {said}", key_refused=True)
        return answer
