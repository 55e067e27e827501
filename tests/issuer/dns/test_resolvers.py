"""A resolver that has trouble with one name serves the others; one that is silent is left alone for a while."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from issuer.dns.asking import NoAnswer
from issuer.dns.find.resolvers import Resolvers
from issuer.dns.servers import plain
from tests.servers.ports import LOOPBACK

GOOD, ODD = "good.example.test", "odd.example.test"
MALFORMED = b"\0"
FAILS = dns.rcode.SERVFAIL
Said = dict[tuple[str, str], object]  # by name and type: an address, a response code, or bytes in place of an answer


class Scripted:
    """Answers over UDP as *said*, and with an empty NOERROR to all else. *asked*: every question so far."""

    def __init__(self, ear: socket.socket, said: Said) -> None:
        self.endpoint = f"{LOOPBACK}:{ear.getsockname()[1]}"
        self.asked: list[tuple[str, str]] = []
        self._ear = ear
        self._said = said

    def listen(self) -> None:
        while True:
            wire, client = self._ear.recvfrom(65535)
            if not wire:
                return
            self._ear.sendto(self._answer(wire), client)

    def _answer(self, wire: bytes) -> bytes:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name, kind = plain(question.name), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        said = self._said.get((name, kind))
        if isinstance(said, bytes):
            return wire[:2] + said
        answer = dns.message.make_response(query)
        if isinstance(said, str):
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, said))
        elif isinstance(said, dns.rcode.Rcode):
            answer.set_rcode(said)
        return answer.to_wire()


@contextmanager
def scripted(said: Said) -> Iterator[Scripted]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind((LOOPBACK, 0))
        server = Scripted(ear, said)
        thread = threading.Thread(target=server.listen, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            ear.sendto(b"", ear.getsockname())
            thread.join()


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ("192.0.2.1", FAILS, ["192.0.2.1"]),
        (FAILS, "2001:db8::1", ["2001:db8::1"]),
        ("192.0.2.1", "2001:db8::1", ["192.0.2.1", "2001:db8::1"]),
        (None, None, []),
        (None, FAILS, "AAAA"),
        (FAILS, None, "A"),
        (FAILS, FAILS, "A"),
    ],
)
def test_one_type_of_address_that_cannot_be_looked_up(
    first: object, second: object, found: Sequence[str] | str
) -> None:
    """The other one is enough, as it is for a CA; without any address it is not known that there is none. Who wants all
    of them hears of each failure."""
    with scripted({(GOOD, "A"): first, (GOOD, "AAAA"): second}) as server:
        resolvers = Resolvers([server.endpoint])
        if isinstance(found, str):
            with pytest.raises(NoAnswer, match=f"its {found} record cannot be looked up"):
                resolvers.addresses(GOOD)
        else:
            assert resolvers.addresses(GOOD) == found
        if FAILS in (first, second):
            with pytest.raises(NoAnswer, match="cannot be looked up"):
                resolvers.addresses(GOOD, every=True)


def test_one_odd_name_keeps_no_resolver_from_the_others() -> None:
    """Its answer is malformed, or never comes: that is its own zone's fault where the resolver knows the root."""
    with scripted({(ODD, "A"): MALFORMED, (GOOD, "A"): "192.0.2.1"}) as server:
        resolvers = Resolvers([server.endpoint])
        with pytest.raises(NoAnswer, match="malformed"):
            resolvers.ask(ODD, "A")
        assert resolvers.addresses(GOOD) == ["192.0.2.1"]


def test_a_resolver_that_does_not_know_the_root_is_left_alone() -> None:
    """For a while nobody is asked in vain; what it met stands in the error."""
    with scripted({(ODD, "A"): MALFORMED, (".", "NS"): MALFORMED}) as server:
        resolvers = Resolvers([server.endpoint])
        for name in (ODD, GOOD):
            with pytest.raises(NoAnswer, match="malformed"):
                resolvers.ask(name, "A")
        assert server.asked == [(ODD, "A"), (".", "NS")]
