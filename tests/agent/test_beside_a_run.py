"""A person, or a monitoring system, asks a host how it is while a run is installing."""

import threading
from collections.abc import Iterator

import pytest

from tests.agent.host import Done, Host
from tests.agent.vhosts import Vhosts
from tests.servers.nginx import Nginx
from tests.servers.process import wait_until


@pytest.fixture
def vhosts(host: Host, nginx: Nginx) -> Vhosts:
    vhosts = Vhosts(host, nginx, 2)
    vhosts.write()
    vhosts.offer()
    assert host.run().code == 0
    return vhosts


@pytest.fixture
def installing(vhosts: Vhosts, nginx: Nginx) -> Iterator[Vhosts]:
    """One of two certificates is served already, and the command that told the service has not ended yet."""
    host, first = vhosts.host, vhosts.names[0]
    told, go_on = host.folder / "told", host.folder / "go-on"
    slow = ["sh", "-c", f'"$@"; touch {told}; until [ -e {go_on} ]; do sleep 0.05; done', "sh", *nginx.activate]
    for name in vhosts.names:
        vhosts.configure(name, activate=slow)
    vhosts.write()
    new, ended = vhosts.offer(first), list[Done]()
    run = threading.Thread(target=lambda: ended.append(host.run()))
    run.start()
    try:
        wait_until(told.exists, "the service is told")
        wait_until(lambda: vhosts.served(first) == {first: new[first].certificate}, "it is served")
        yield vhosts
    finally:
        go_on.touch()
        run.join()
    assert [one.code for one in ended] == [0], ended


def test_check_raises_no_alarm(installing: Vhosts) -> None:
    """The files and sockets of the one that is being installed are not held against it; those of the other are looked
    at as ever."""
    host, (first, other) = installing.host, installing.names
    done = host.agent("check", fresh=True)
    assert done.code == 0, done.out
    about = [line for line in done.out.splitlines() if f" {first}: " in line]
    assert f"ok   {first}: a run is installing it: its files and sockets are not judged at this moment" in about
    assert "interrupted" not in done.out
    assert f"ok   {other}: its sockets show what was installed" in done.out
    assert host.agent("check", "--nagios", fresh=True).code <= 1


def test_status_and_hold_say_so(installing: Vhosts) -> None:
    host, first = installing.host, installing.names[0]
    assert ", which is still under way\n" in host.agent("status", fresh=True).out
    assert host.agent("status", "--json", fresh=True).json["under_way"] is True
    done = host.agent("hold", first, "--until", "2099-12-31", fresh=True)
    assert (done.code, "a run is under way, which may not know of this" in done.out) == (0, True)


def test_without_a_run(vhosts: Vhosts) -> None:
    """Nothing of that is said."""
    host = vhosts.host
    assert "under way" not in host.agent("status").out
    assert "under way" not in host.agent("hold", vhosts.names[0], "--until", "2099-12-31").out
    assert "is installing" not in host.agent("check").out
