"""The CA is told to look only when everybody shows the values, and nobody who is dead holds up the rest."""

import math
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from issuer.dns.see.visibility import Sought, Visibility
from issuer.dns.servers import Server
from issuer.dns.zones import Zones
from issuer.model.acme import Challenge, Laggard
from issuer.model.config import DnsSettings
from tests.servers.bind import Bind
from tests.servers.process import wait_until
from tests.servers.resolver import Resolver
from tests.servers.stopwatch import Stopwatch

NAME = "www.example.test"
OWNER = f"_acme-challenge.{NAME}"


@pytest.fixture
def silent() -> Iterator[Server]:
    """An address where every question is received and none is answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        yield Server("127.0.0.1", deaf.getsockname()[1])


def serve(bind: Bind) -> Path:
    key = bind.tsig_key("acme")
    bind.dynamic_zone(OWNER, "acme")
    bind.reconfigure()
    return key


def zones(bind: Bind, key: Path, nameservers: Sequence[str], resolvers: Sequence[str] = ()) -> Zones:
    settings = DnsSettings(*(bind.address, bind.port, key), nameservers=tuple(nameservers), resolvers=tuple(resolvers))
    return Zones(settings)


def challenges(*values: str) -> list[Challenge]:
    return [Challenge("dns-01", NAME, "", "", OWNER, OWNER, value) for value in values]


def where(server: Server) -> str:
    return f"{server.address}:{server.port}"


def nothing_asked(deaf: socket.socket) -> bool:
    """Whether no question has come since the last one was read."""
    try:
        return not deaf.recv(65535)
    except BlockingIOError:
        return True


def test_a_dead_server_costs_the_others_nothing(bind: Bind, silent: Server) -> None:
    """One look takes two seconds however many servers are dead; the next look, soon after, takes none."""
    key = serve(bind)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as another:
        another.bind(("127.0.0.1", 0))
        another.setblocking(False)
        dead = [where(silent), f"127.0.0.1:{another.getsockname()[1]}"]
        looking = zones(bind, key, [*dead, bind.endpoint])
        looking.visibility = Visibility([], clock=lambda: 1000.0)  # soon, whatever the machine does
        looking.publish(challenges("one"))
        watch = Stopwatch()
        laggards = looking.unseen(challenges("one"))
        first = watch.seconds()
        assert [laggard.how for laggard in laggards] == ["no answer within 2 s"] * 2
        assert bind.endpoint in looking.propagation
        assert first < 3.9  # and not for each of the two
        assert another.recv(65535)
        while not nothing_asked(another):
            pass
        assert looking.unseen(challenges("one")) == laggards
        assert nothing_asked(another)


def test_threads_look_at_the_same_time(bind: Bind, silent: Server) -> None:
    """Orders that meet a dead server at once are all answered after two seconds."""
    key = serve(bind)
    looking = zones(bind, key, [where(silent), bind.endpoint])
    threads = [threading.Thread(target=looking.unseen, args=[challenges("one")]) for _ in range(24)]
    watch = Stopwatch()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert watch.seconds() < 24  # in turn it would be forty-eight


def test_an_address_family_without_route_is_a_warning(bind: Bind) -> None:
    """A server that this machine has no route to is named in the log, and the others decide; but one has to be left."""
    key = serve(bind)
    looking = zones(bind, key, ["[fe80::53]", bind.endpoint])
    looking.publish(challenges("one"))
    with capture_logs() as logs:
        assert looking.unseen(challenges("one")) == []
    assert [entry["servers"] for entry in logs if entry["event"] == "nameserver.not_asked"] == [["[fe80::53]"]]
    [laggard] = zones(bind, key, ["[fe80::53]"]).unseen(challenges("one"))
    assert "no route to any of its name servers" in str(laggard)


def test_a_family_that_leads_nowhere_is_a_warning(bind: Bind) -> None:
    """IPv6 on paper only: the same host shows the value over IPv4, and nobody answers over IPv6."""
    serve(bind)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("::1", 0))
        four = Server(bind.address, bind.port, "ns1.example.test")
        six = Server("::1", deaf.getsockname()[1], "ns1.example.test")
        other = Server("::1", deaf.getsockname()[1], "ns2.example.test")
        assert Visibility([]).unseen([Sought(OWNER, OWNER, frozenset(), (four, six))]) == []
        [laggard] = Visibility([]).unseen([Sought(OWNER, OWNER, frozenset(), (four, other))])
        assert "ns2.example.test" in str(laggard)


def test_many_values_are_read_over_tcp(bind: Bind) -> None:
    """Sixty values do not fit into a datagram; each of them counts."""
    key = serve(bind)
    looking = zones(bind, key, [bind.endpoint])
    entries = challenges(*(f"{number:043d}" for number in range(60)))
    looking.publish(entries)
    assert looking.unseen(entries) == []
    bind.reconfigure()
    looking.withdraw(entries[:1])
    [laggard] = looking.unseen(entries)
    assert "does not show 1 of 60 values yet" in str(laggard)


def test_an_answer_without_authority_does_not_count(bind: Bind, tmp_path: Path) -> None:
    """A resolver in the place of a name server shows the value, but proves nothing."""
    key = serve(bind)
    with Resolver(tmp_path / "resolver", bind.endpoint) as resolver:
        looking = zones(bind, key, [resolver.endpoint])
        looking.publish(challenges("one"))
        resolver.txt(OWNER)
        [laggard] = looking.unseen(challenges("one"))
    assert "not authoritative" in str(laggard)


def test_resolvers_are_asked_last(tmp_path: Path) -> None:
    """A resolver before a secondary that lags is asked once the secondary has caught up, and so remembers the value;
    asked a moment before, it remembers for a minute that there is none."""
    with ExitStack() as servers:
        bind = servers.enter_context(Bind(tmp_path / "bind"))
        key = serve(bind)
        late = servers.enter_context(Bind(tmp_path / "late", secondary_of=bind, lag_seconds=math.inf))
        resolver = servers.enter_context(Resolver(tmp_path / "resolver", late.endpoint))
        hasty = servers.enter_context(Resolver(tmp_path / "hasty", late.endpoint))
        looking = zones(bind, key, [bind.endpoint, late.endpoint], [resolver.endpoint])
        looking.publish(challenges("one"))
        assert hasty.txt(OWNER) == set()
        [laggard] = looking.unseen(challenges("one"))
        assert str(laggard) == f"{late.endpoint}: does not show 1 of 1 values yet"
        late.refresh()
        wait_until(lambda: looking.unseen(challenges("one")) == [], "everybody shows the value")
        assert late.txt(OWNER) == resolver.txt(OWNER) == {"one"}
        assert hasty.txt(OWNER) == set()
        [laggard] = zones(bind, key, [bind.endpoint], [hasty.endpoint]).unseen(challenges("one"))
        assert str(laggard) == f"resolver {hasty.endpoint}: does not show 1 of 1 values yet"
        times = looking.propagation
        assert 0 < times[bind.endpoint] < times[late.endpoint]


def test_a_silent_resolver_is_a_warning(bind: Bind, silent: Server) -> None:
    """The authoritative servers agree: a resolver that gives us no answer at all keeps nobody waiting."""
    key = serve(bind)
    looking = zones(bind, key, [bind.endpoint], [where(silent)])
    looking.publish(challenges("one"))
    with capture_logs() as logs:
        assert looking.unseen(challenges("one")) == []
    assert "nameserver.not_asked" in [entry["event"] for entry in logs]


def test_a_shared_owner_outlives_the_memory_of_resolvers(bind: Bind) -> None:
    """A second value at the same owner is shown to the CA only when no resolver can remember the set before."""
    key = serve(bind)
    looking = zones(bind, key, [bind.endpoint])
    now = [1000.0]
    looking.visibility = Visibility([], clock=lambda: now[0])
    looking.publish(challenges("one"))
    assert looking.unseen(challenges("one")) == []
    looking.publish(challenges("two"))
    [laggard] = looking.unseen(challenges("two"))
    assert "is shared with other challenges" in str(laggard)
    now[0] += 1.1
    assert looking.unseen(challenges("two")) == []
    looking.withdraw(challenges("one"))
    assert bind.txt(OWNER) == {"two"}


def test_a_resolver_may_have_a_value_that_has_just_gone(bind: Bind) -> None:
    """Another order withdraws its value between our UPDATE and our first look: its set may still be cached."""
    key = serve(bind)
    looking = zones(bind, key, [bind.endpoint])
    now = [1000.0]
    looking.visibility = Visibility([], clock=lambda: now[0])
    looking.publish(challenges("one"))
    looking.publish(challenges("two"))
    looking.withdraw(challenges("one"))
    [laggard] = looking.unseen(challenges("two"))
    assert "is shared with other challenges" in str(laggard)
    now[0] += 1.1
    assert looking.unseen(challenges("two")) == []


def test_a_secondary_that_never_follows_is_named(tmp_path: Path) -> None:
    """The verdict says which server does not show what."""
    with Bind(tmp_path / "bind") as bind:
        key = serve(bind)
        with Bind(tmp_path / "late", secondary_of=bind, lag_seconds=math.inf) as late:
            looking = zones(bind, key, [bind.endpoint, late.endpoint])
            looking.publish(challenges("one"))
            assert looking.unseen(challenges("one")) == [Laggard(late.endpoint, "does not show 1 of 1 values yet")]
