"""Each way in which a name server refuses an update is told apart, and comes with what to do about it."""

import base64
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.tsig
import pytest

from common.clock import utc_text
from common.errors import Retry
from issuer.dns.servers import Server
from issuer.dns.write.tsig import load_tsig_key
from issuer.dns.write.update import change_txt
from issuer.model.errors import DnsError
from tests.servers.bind import Bind
from tests.servers.ports import free_port, release_port
from tests.servers.stopwatch import Stopwatch

ZONE = "_acme-challenge.www.example.test"
VALUES = [(ZONE, "one")]


class Primary:
    """A BIND with one zone and its key."""

    def __init__(self, bind: Bind) -> None:
        self.bind = bind
        self.key = load_tsig_key(bind.tsig_key("acme"))
        self.other = load_tsig_key(bind.tsig_key("other"))
        bind.dynamic_zone(ZONE, "acme")
        bind.reconfigure()
        self.server = Server(bind.address, bind.port)

    def refusal(self, key: dns.tsig.Key, zone: str = ZONE, owner: str = ZONE, *, named: bool = False) -> DnsError:
        """The error of an update that has to fail, and fails at once."""
        watch = Stopwatch()
        with pytest.raises(DnsError) as caught:
            change_txt(self.server, zone, key, add=[(owner, "one")], named=named)
        assert watch.seconds() < 5
        assert self.bind.txt(ZONE) == set()
        assert caught.value.hint
        return caught.value


@pytest.fixture
def primary(bind: Bind) -> Primary:
    return Primary(bind)


def test_badkey(primary: Primary) -> None:
    """A key that the server does not know: which one, and to add it there."""
    unknown = dns.tsig.Key(dns.name.from_text("nobody"), primary.key.secret, primary.key.algorithm)
    error = primary.refusal(unknown)
    assert (error.reference, error.retry) == ("dns-badkey", Retry.NEVER)
    assert "BADKEY" in error.why
    assert "add the key nobody (hmac-sha256)" in error.hint


def test_badkey_by_algorithm(primary: Primary) -> None:
    """The right name and secret with another algorithm are another key."""
    other = dns.tsig.Key(primary.key.name, primary.key.secret, dns.tsig.HMAC_SHA512)
    error = primary.refusal(other)
    assert error.reference == "dns-badkey"
    assert "hmac-sha512" in error.hint


def test_badsig(primary: Primary) -> None:
    """The right name with another secret: to copy the key again."""
    wrong = dns.tsig.Key(primary.key.name, base64.b64encode(b"x" * 32), primary.key.algorithm)
    error = primary.refusal(wrong)
    assert (error.reference, error.retry) == ("dns-badsig", Retry.NEVER)
    assert "copy the key acme" in error.hint


@pytest.mark.parametrize("shift", [3630, -3630])  # half a minute from where the hour is another one
def test_badtime(primary: Primary, monkeypatch: pytest.MonkeyPatch, shift: int) -> None:
    """Clocks that differ by more than TSIG allows: both are shown, the server's as it says itself."""
    real = time.time
    now = int(real())
    monkeypatch.setattr(time, "time", lambda: real() + shift)
    error = primary.refusal(primary.key)
    assert error.reference == "dns-badtime"
    since = range(now - 1, int(real()) + 1)  # named takes the kernel's coarse clock, which lags some milliseconds
    ours = [utc_text(moment + shift) for moment in since]
    theirs = [utc_text(moment) for moment in since]
    assert any(f"this machine's clock says {text}" in error.why for text in ours)
    assert any(f"the name server's {text}" in error.why for text in theirs)
    assert "60m apart" in error.why
    assert "NTP" in error.hint


def test_notauth(primary: Primary) -> None:
    """A zone that the server does not hold."""
    error = primary.refusal(primary.key, "nowhere.test", "x.nowhere.test")
    assert (error.reference, error.why) == ("dns-notauth", "NOTAUTH")
    assert "create it there" in error.hint


def test_refused(primary: Primary) -> None:
    """A key that may not write there: the line that allows it."""
    error = primary.refusal(primary.other)
    assert (error.reference, error.why) == ("dns-refused", "REFUSED")
    assert f'grant "other" name {ZONE}. TXT;' in error.hint


def test_frozen(primary: Primary) -> None:
    """A zone that somebody edits: REFUSED, the hint names `rndc thaw`, and after that the update is taken."""
    primary.bind.rndc("freeze", ZONE)
    error = primary.refusal(primary.key)
    assert (error.reference, error.why) == ("dns-refused", "REFUSED")
    assert f"`rndc thaw {ZONE}`" in error.hint
    primary.bind.rndc("thaw", ZONE)
    change_txt(primary.server, ZONE, primary.key, add=VALUES)
    assert primary.bind.txt(ZONE) == {"one"}


def test_notzone(primary: Primary) -> None:
    """A name outside the zone that is updated."""
    error = primary.refusal(primary.key, ZONE, "www.example.org")
    assert (error.reference, error.why) == ("dns-notzone", "NOTZONE")
    assert "[[dns.zone]]" in error.hint


def nobody(key: dns.tsig.Key) -> dns.tsig.Key:
    return dns.tsig.Key(dns.name.from_text("nobody"), key.secret, key.algorithm)


def with_another_secret(key: dns.tsig.Key) -> dns.tsig.Key:
    return dns.tsig.Key(key.name, base64.b64encode(b"x" * 32), key.algorithm)


@pytest.mark.parametrize(
    ("key", "zone", "reference"),
    [
        (nobody, "example.test", "dns-badkey"),
        (with_another_secret, "example.test", "dns-badsig"),
        (lambda key: key, "example.test", "dns-refused"),
        (lambda key: key, "nowhere.test", "dns-notauth"),
    ],
)
def test_a_forgotten_sub_zone(
    primary: Primary, key: Callable[[dns.tsig.Key], dns.tsig.Key], zone: str, reference: str
) -> None:
    """Where the zone found is one above: first of all to create the sub-zone. Not so where somebody named that zone,
    or made an alias into it."""
    primary.bind.static_zone("example.test")
    primary.bind.reconfigure()
    used = key(primary.key)
    error = primary.refusal(used, zone, f"_acme-challenge.new.{zone}")
    assert error.reference == reference
    first = (
        f"create the sub-zone _acme-challenge.new.{zone} first (`certfleet-issuer zone new.{zone}` prints it), or if "
    )
    assert error.hint.startswith(f"{first}{zone} is meant, ")
    meant = primary.refusal(used, zone, f"_acme-challenge.new.{zone}", named=True)
    assert error.hint == f"{first}{zone} is meant, {meant.hint}"
    assert "create the sub-zone" not in primary.refusal(used, zone, f"new.{zone}").hint


def test_nobody_listens(primary: Primary) -> None:
    """No server at that port is said at once, and worth another try soon."""
    primary.server = Server("127.0.0.1", free_port())
    error = primary.refusal(primary.key)
    release_port(primary.server.port)
    assert (error.reference, error.retry, error.why) == ("dns-unreachable", Retry.SOON, "Connection refused")


def test_success_tells_the_servers_clock(primary: Primary) -> None:
    """What the signature of the answer says of the time is handed on; adding and deleting twice does no harm."""
    for _ in range(2):
        before = int(time.time())
        assert before <= change_txt(primary.server, ZONE, primary.key, add=VALUES) <= time.time()
    assert primary.bind.txt(ZONE) == {"one"}
    for _ in range(2):
        change_txt(primary.server, ZONE, primary.key, delete=VALUES)
    assert primary.bind.txt(ZONE) == set()


Answer = Callable[[int, bytes], bytes | None]
"""From the number of the request and its message to an answer; None for none at all."""


@contextmanager
def between(answer: Answer) -> Iterator[Server]:
    """A server over TCP that answers as told: for what a real one does only under a load that no test can rely on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held = []

        def serve() -> None:
            for number in range(100):
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                held.append(connection)
                size = struct.unpack("!H", connection.recv(2))[0]
                wire = answer(number, connection.recv(size))
                if wire is not None:
                    connection.sendall(struct.pack("!H", len(wire)) + wire)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Server("127.0.0.1", listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in held:
            connection.close()


def unsigned(wire: bytes, rcode: dns.rcode.Rcode) -> bytes:
    question = dns.message.from_wire(wire, keyring=False)
    question.tsig = None  # make_response would sign, and older versions of dnspython miss the key
    answer = dns.message.make_response(question)
    answer.set_rcode(rcode)
    return answer.to_wire()


def passed_on(primary: Primary, wire: bytes) -> bytes:
    """The real server's answer."""
    with socket.create_connection((primary.server.address, primary.server.port)) as connection:
        connection.sendall(struct.pack("!H", len(wire)) + wire)
        size = struct.unpack("!H", connection.recv(2))[0]
        return connection.recv(size)


def test_a_burst_of_servfail_is_outlasted(primary: Primary) -> None:
    """A server under load answers SERVFAIL twice: the third try succeeds, within the same step."""
    seen: list[int] = []

    def answer(number: int, wire: bytes) -> bytes | None:
        seen.append(number)
        return unsigned(wire, dns.rcode.SERVFAIL) if number < 2 else passed_on(primary, wire)

    with between(answer) as server:
        change_txt(server, ZONE, primary.key, add=VALUES)
    assert seen == [0, 1, 2]
    assert primary.bind.txt(ZONE) == {"one"}


def test_servfail_for_ever_is_an_error(primary: Primary) -> None:
    """Three tries, then the error with where to look."""
    seen: list[int] = []

    def answer(number: int, wire: bytes) -> bytes | None:
        seen.append(number)
        return unsigned(wire, dns.rcode.SERVFAIL)

    with between(answer) as server, pytest.raises(DnsError) as caught:
        change_txt(server, ZONE, primary.key, add=VALUES)
    assert (seen, caught.value.why) == ([0, 1, 2], "SERVFAIL")
    assert "name server's log" in caught.value.hint


def test_one_lost_answer_costs_a_share_of_the_time(primary: Primary) -> None:
    """The first connection is never answered: the second one succeeds before the time is over."""

    def answer(number: int, wire: bytes) -> bytes | None:
        return None if number == 0 else passed_on(primary, wire)

    watch = Stopwatch()
    with between(answer) as server:
        change_txt(server, ZONE, primary.key, add=VALUES, seconds=9.0)
    assert watch.seconds() < 9


def test_silence_ends_in_time(primary: Primary) -> None:
    """A server that takes the connection and says nothing is given up after the time that all tries share."""
    watch = Stopwatch()
    with between(lambda *_: None) as server, pytest.raises(DnsError) as caught:
        change_txt(server, ZONE, primary.key, add=VALUES, seconds=1.5)
    assert watch.seconds() < 6
    assert (caught.value.reference, caught.value.retry) == ("dns-unreachable", Retry.SOON)


def test_an_unsigned_yes_is_not_believed(primary: Primary) -> None:
    """Success without a signature may come from anybody; an unsigned no is as good as a signed one."""
    with between(lambda _, wire: unsigned(wire, dns.rcode.NOERROR)) as server, pytest.raises(DnsError) as caught:
        change_txt(server, ZONE, primary.key, add=VALUES)
    assert caught.value.reference == "dns-unsigned"
    with between(lambda _, wire: unsigned(wire, dns.rcode.REFUSED)) as server, pytest.raises(DnsError) as caught:
        change_txt(server, ZONE, primary.key, add=VALUES)
    assert caught.value.reference == "dns-refused"


def test_no_error_shows_the_secret(primary: Primary) -> None:
    """Not even the one about the secret."""
    wrong = dns.tsig.Key(primary.key.name, base64.b64encode(b"x" * 32), primary.key.algorithm)
    error = primary.refusal(wrong)
    secret = Path(primary.bind.folder / "acme.key").read_text(encoding="ascii").split('"')[3]
    assert secret not in f"{error} {error.hint}"
