"""A name server that lies about what was asked, or never comes to an end: a question ends in time all the same."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import dns.flags
import dns.message
import pytest

from issuer.dns.asking import NoAnswer, ask, ask_all
from issuer.dns.servers import Server, question
from tests.servers.ports import LOOPBACK, free_port, release_port
from tests.servers.stopwatch import Stopwatch

SECONDS = 1.0
FOREIGN = b"\0\x0c" + b"\xff" * 12  # a message of another number than ours

Pieces = Callable[[], Iterator[bytes]]


def _for_ever(piece: bytes, pause: float) -> Pieces:
    def pieces() -> Iterator[bytes]:
        while True:
            yield piece
            time.sleep(pause)

    return pieces


class Truncating:
    """Context manager: over UDP every answer is truncated and comes after one with a wrong number; over TCP come
    *pieces*."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._open = ExitStack()

    def __enter__(self) -> Server:
        address = (LOOPBACK, free_port())
        self._open.callback(release_port, address[1])
        self._tcp = self._open.enter_context(socket.create_server(address))
        self._udp = self._open.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._udp.bind(address)
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._truncate, self._talk)]
        for thread in self._threads:
            thread.start()
        return Server(*address)

    def __exit__(self, *_exception: object) -> None:
        for ear in (self._tcp, self._udp):
            with suppress(OSError):
                ear.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._open.close()

    def _truncate(self) -> None:
        while True:
            wire, client = self._udp.recvfrom(65535)
            if not wire:
                return
            answer = dns.message.make_response(dns.message.from_wire(wire))
            answer.flags |= dns.flags.TC
            self._udp.sendto(FOREIGN[2:], client)
            self._udp.sendto(answer.to_wire(), client)

    def _talk(self) -> None:
        while True:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                for piece in self._answer(connection.recv(65535)):
                    connection.sendall(piece)

    def _answer(self, _asked: bytes) -> Iterator[bytes]:
        return self._pieces()


class Verbose(Truncating):
    """Over TCP it gives that many names of more than a hundred labels each; 64 KB hold 3,800 of them."""

    def __init__(self, count: int) -> None:
        super().__init__(lambda: iter(()))
        self._count = count

    def _answer(self, asked: bytes) -> Iterator[bytes]:
        answer = of_long_names(asked[2:], self._count)
        yield len(answer).to_bytes(2) + answer


def of_long_names(query: bytes, count: int) -> bytes:
    """An answer to *query* with *count* NS records of different names with 111 labels."""
    number, asked = query[:2], query[12:-11]  # without its EDNS
    at, long = (0xC000 | 12 + len(asked)).to_bytes(2), b"\1a" * 110 + b"\0"
    owners = [long, *[at] * (count - 1)]
    targets = [b"\2" + each.to_bytes(2) + at for each in range(count)]
    records = [owner + b"\0\2\0\1\0\0\0\0\0\5" + target for owner, target in zip(owners, targets, strict=True)]
    return number + b"\x84\0\0\1" + count.to_bytes(2) + bytes(4) + asked + b"".join(records)


TALK = {
    "drop by drop": _for_ever(b"\xff", 0.05),
    "others' answers": _for_ever(FOREIGN, 0.05),
    "others' answers as a flood": _for_ever(FOREIGN * 1000, 0.0),
    "no message at all": _for_ever(b"\0\0", 0.05),
}


@pytest.mark.parametrize("what", TALK)
def test_a_connection_without_end(what: str) -> None:
    """Neither what comes drop by drop nor a flood of what was not asked keeps us longer than we wanted to wait."""
    with Truncating(TALK[what]) as server:
        watch = Stopwatch()
        with pytest.raises(NoAnswer):
            ask(server, question("www.example.test", "TXT"), SECONDS)
        assert watch.seconds() < SECONDS + 5


def test_a_flood_is_given_up_early() -> None:
    """The first message over TCP is the answer, or there is none."""
    with Truncating(_for_ever(FOREIGN * 1000, 0.0)) as server:
        watch = Stopwatch()
        with pytest.raises(NoAnswer, match="another question over TCP"):
            ask(server, question("www.example.test", "TXT"), 60)
        assert watch.seconds() < 15


def test_a_message_of_thousands_of_names() -> None:
    """To read one would take all of a processor for 20 seconds."""
    with Verbose(3800) as server:
        used = time.process_time()
        with pytest.raises(NoAnswer, match="3800 records, and more than 1200 are not read"):
            ask(server, question("www.example.test", "TXT"), 60)
        assert time.process_time() - used < 2


@pytest.mark.soak
def test_many_messages_that_take_long_to_read() -> None:
    """A zone may have 128 servers of that kind: their answers get no more of a processor than their questions get
    time."""
    with Verbose(1200) as server:
        used = time.thread_time()
        answers = ask_all([(server, question("www.example.test", "TXT"))] * 12, 2.0)
        assert time.thread_time() - used < 12
    assert all(isinstance(answer, NoAnswer) and answer.slow for answer in answers[-4:])
    assert not isinstance(answers[0], NoAnswer)
