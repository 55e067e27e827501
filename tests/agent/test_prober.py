"""Which addresses of a name are looked at, and which of them are this host's."""

import contextlib
import socket
import socketserver
import subprocess
import threading
import time
from pathlib import Path

import pytest

from agent.host.sockets import Prober
from agent.host.waits import Waits
from agent.model.remote_host import RemoteHost, SshAddress
from agent.rules.evidence import LookAt
from common.probe.addresses import Address, is_of_this_host, listens
from common.probe.target import parse_target
from common.probe.view import Seen
from tests.servers.authority import Authority
from tests.servers.nginx import Nginx

_NO_FAMILY = 255  # of addresses: no kernel has it


def address(host: str, port: int = 443) -> Address:
    return (socket.AF_INET6, (host, port, 0, 0)) if ":" in host else (socket.AF_INET, (host, port))


def own_addresses() -> list[str]:
    """Those that the kernel lists."""
    shown = subprocess.run(["ip", "-brief", "address"], capture_output=True, text=True, check=True).stdout
    return [word.partition("/")[0] for word in shown.split() if "/" in word and not word.startswith("fe80")]


def test_addresses_of_this_host() -> None:
    """All that `ip address` lists, and all of 127/8; documentation's are others' (RFC 5737, RFC 3849)."""
    assert own_addresses()
    for one in (*own_addresses(), "127.0.0.1", "127.0.1.1"):
        assert is_of_this_host(address(one)), one
    for one in ("203.0.113.1", "198.51.100.7", "2001:db8::1"):
        assert not is_of_this_host(address(one)), one


@pytest.mark.parametrize("others", [["203.0.113.1"], ["2001:db8::1"], ["203.0.113.1", "2001:db8::1", "203.0.113.2"]])
def test_only_this_hosts_addresses_are_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: list[str]
) -> None:
    """A name with addresses of several hosts, or of a family that cannot be used: one's own is looked at, no other."""
    files = Authority("Test Root").issue(["localhost"]).write(tmp_path / "tls")
    with Nginx(tmp_path / "nginx", files.fullchain, files.key) as nginx:

        def resolved(_host: str, port: int, **_options: object) -> list[tuple[object, ...]]:
            found = [address(one, port) for one in (*others, "127.0.0.1")]
            return [(family, socket.SOCK_STREAM, 6, "", where) for family, where in found]

        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        target = parse_target(f"https://w.example.test:{nginx.port}")
        ((sight,),) = Prober(0, Waits()).look_at_all([LookAt([target], "", files.key, None)])
    assert (sight.seen, sight.address, sight.shared) == (Seen.SERVED, f"127.0.0.1:{nginx.port}", False)


def test_a_family_that_the_kernel_does_not_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with IPv6 off: such an address is no one's here, nobody is asked there, and the other one is looked at."""

    def resolved(_host: str, port: int, **_options: object) -> list[tuple[object, ...]]:
        return [
            (family, socket.SOCK_STREAM, 6, "", where)
            for family, where in ((_NO_FAMILY, ("2001:db8::1", port, 0, 0)), address("203.0.113.1", port))
        ]

    nowhere = (_NO_FAMILY, ("2001:db8::1", 443, 0, 0))
    assert not is_of_this_host(nowhere)
    assert not listens(nowhere)
    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    target = parse_target("https://w.example.test")
    ((first, *others),) = Prober(0, Waits(), one_look=0.2).look_at_all([LookAt([target], "", tmp_path / "k.pem", None)])
    assert (first.seen, first.address) == (Seen.UNKNOWN, "2001:db8::1:443")
    assert others


def test_addresses_of_others_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several, and none is this host's: each sight says so. One alone is a router's or a balancer's, in front of us."""

    def resolved(host: str, port: int, **_options: object) -> list[tuple[object, ...]]:
        found = [address(one, port) for one in host.split("-")]
        return [(family, socket.SOCK_STREAM, 6, "", where) for family, where in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    prober = Prober(0, Waits(), one_look=0.2)
    targets = [[parse_target(f"https://{where}")] for where in ("203.0.113.1-203.0.113.2", "203.0.113.1")]
    several, (one,) = prober.look_at_all([LookAt(its, "", Path(), None) for its in targets])
    assert [sight.shared for sight in several] == [True, True]
    assert not one.shared


def test_this_machine_is_no_other_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a certificate of a host without an agent this machine is one of several: all of them are looked at."""

    def resolved(_host: str, port: int, **_options: object) -> list[tuple[object, ...]]:
        found = [address(one, port) for one in ("127.0.0.1", "203.0.113.1")]
        return [(family, socket.SOCK_STREAM, 6, "", where) for family, where in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    there = RemoteHost(SshAddress("root", "other.example.test"), Path("/key"), Path("/pins"))
    asked = LookAt([parse_target("https://w.example.test:1")], "", Path("/key.pem"), there)
    (sights,) = Prober(0, Waits(), one_look=0.2).look_at_all([asked])
    assert [(one.address, one.shared) for one in sights] == [("127.0.0.1:1", True), ("203.0.113.1:1", True)]


def test_one_question_whether_this_host_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For all certificates at an address: a service that hangs lets each such question wait."""
    calls: list[None] = []

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads, request_queue_size = True, 64

        def verify_request(self, _request: object, _client: object) -> bool:
            calls.append(None)
            return False

    def resolved(_host: str, port: int, **_options: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.0.113.1", port))]

    with Server(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        port = server.server_address[1]
        names = [f"v{number}.example.test{'.' * (number % 2)}" for number in range(20)]  # with a dot it is the same
        targets = [parse_target(f"https://{name}:{port}") for name in names]
        prober = Prober(0, Waits(), one_look=0.2)
        looks = prober.look_at_all([LookAt([one], "", tmp_path / "key.pem", None) for one in targets])
        server.shutdown()
    assert all(sights[-1].address == f"127.0.0.1:{port}" for sights in looks)
    assert len(calls) == 1 + len(targets)


def test_sixteen_at_a_time(tmp_path: Path) -> None:
    """A service that takes no more connections of one client still answers for each of its forty certificates."""
    present, most, lock = 0, 0, threading.Lock()

    class Counted(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            nonlocal present, most
            with lock:
                present += 1
                most = max(most, present)
            time.sleep(0.05)
            with lock:
                present -= 1

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads, request_queue_size = True, 64

    with Server(("127.0.0.1", 0), Counted) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = f"127.0.0.1:{server.server_address[1]}"
        targets = [parse_target(f"https://v{number}.example.test?connect={where}") for number in range(40)]
        sights = Prober(0, Waits()).look_at_all([LookAt([one], "", tmp_path / "key.pem", None) for one in targets])
        server.shutdown()
    assert [sight.seen for (sight,) in sights] == [Seen.NO_TLS] * 40
    assert 1 < most <= 16


def test_sixty_hosts_at_once(tmp_path: Path) -> None:
    """That limit is one of a host: none of sixty says a word before all are asked."""
    hosts = [f"127.0.2.{number}" for number in range(1, 61)]
    all_asked = threading.Barrier(len(hosts))

    def serve(listening: socket.socket) -> None:
        with listening.accept()[0], contextlib.suppress(threading.BrokenBarrierError):
            all_asked.wait(20)

    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server((host, 0))) for host in hosts]
        for server in servers:
            threading.Thread(target=serve, args=[server], daemon=True).start()
        places = ["{}:{}".format(*server.getsockname()) for server in servers]
        targets = [parse_target(f"https://{place}") for place in places]
        sights = Prober(0, Waits()).look_at_all([LookAt([one], "", tmp_path / "key.pem", None) for one in targets])
    assert [sight.address for (sight,) in sights] == places
    assert not all_asked.broken


def test_an_address_that_does_not_answer_is_asked_once_for_all(tmp_path: Path) -> None:
    """A service that hangs, with forty names beside one that answers: the round lasts as long as one look at it."""
    asked: list[None] = []

    class Hanging(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            asked.append(None)
            self.request.recv(1)
            time.sleep(2)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads, request_queue_size = True, 64

    files = Authority("Test Root").issue(["localhost"]).write(tmp_path / "tls")
    with Nginx(tmp_path / "nginx", files.fullchain, files.key) as nginx, Server(("127.0.0.1", 0), Hanging) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ports = [nginx.port, *[server.server_address[1]] * 40, nginx.port]
        texts = (f"https://v{place}.example.test:{port}?connect=127.0.0.1" for place, port in enumerate(ports))
        targets = [*map(parse_target, texts)]
        sights = Prober(0, Waits(), one_look=0.5).look_at_all(
            [LookAt([target], "", files.key, None) for target in targets]
        )
        server.shutdown()
    assert [sight.target for (sight,) in sights] == [target.text for target in targets]
    assert [sight.seen for (sight,) in sights] == [Seen.SERVED, *[Seen.NO_TLS] * 40, Seen.SERVED]
    assert len(asked) == 15
