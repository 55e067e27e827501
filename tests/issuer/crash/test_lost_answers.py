"""Nobody heard which order the CA opened, for a kill or trouble there: each is found again, by few questions."""

import threading
from collections.abc import Sequence
from math import ceil
from unittest.mock import patch

import pytest

from common.clock import utc_text
from issuer.ca.order_list import OrderList
from issuer.model.acme import CaOrder
from tests.issuer.box import Box
from tests.servers.ca_proxy import CaProxy, Reply, Request, problem, times

COUNT = 8  # workers, as they are without a word in the configuration
PAGE = 3  # orders on one page of Pebble's list
READINGS = 2  # one begun by the first who asks, one for all who asked meanwhile


def _lose_all_answers(box: Box, proxy: CaProxy) -> list[str]:
    """A run that is killed when the CA opened an order for each name and nobody heard of it."""
    names = [box.enrol(f"lost{number}.lab.test") for number in range(COUNT)]
    opened, killed = threading.Semaphore(0), threading.Event()

    def keep_back(request: Request, reply: Reply) -> Reply:
        if "order-plz" in request.path:
            opened.release()
            killed.wait(120)
        return reply

    proxy.after.append(keep_back)
    process = box.start("run")
    for _ in names:
        assert opened.acquire(timeout=60)
    process.kill()
    process.communicate()
    killed.set()
    proxy.after.remove(keep_back)
    return names


@pytest.mark.soak
def test_all_find_their_orders_in_two_readings_of_the_list(proxied: Box, proxy: CaProxy) -> None:
    """No order is opened twice, and the list is not read once more for each of them."""
    names = _lose_all_answers(proxied, proxy)
    together, find = threading.Barrier(COUNT), OrderList.find

    def find_together(orders: OrderList, wanted: Sequence[str], account: str) -> CaOrder | None:
        together.wait(60)
        return find(orders, wanted, account)

    with patch.object(OrderList, "find", find_together):
        proxied.ok("run")
    assert len(proxy.paths("order-plz")) == COUNT
    assert proxied.database.query("SELECT COUNT(*) FROM versions") == [(len(names),)]
    pages = ceil(COUNT / PAGE) + 1  # the last may be empty
    assert ceil(COUNT / PAGE) <= len(proxy.paths("list-orderz")) <= READINGS * pages


@pytest.mark.soak
def test_a_list_that_cannot_be_read_now_is_asked_again(proxied: Box, proxy: CaProxy) -> None:
    """A server error of the CA in the middle of the list is no reason to take an order for missing."""
    _lose_all_answers(proxied, proxy)
    proxy.before.append(times(2, "list-orderz", problem("serverInternal", "try again", 500)))
    proxied.ok("run")
    assert len(proxy.paths("order-plz")) == COUNT


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("command", "trouble"),
    [
        ("run", Reply(502, b"<html>")),
        ("run", problem("serverInternal", "busy", 503, Retry_After="1")),
        ("challenges", Reply(502, b"<html>")),
    ],
    ids=["run", "run that is held up", "by hand"],
)
def test_an_order_in_doubt_outlives_trouble_of_the_ca(
    proxied: Box, proxy: CaProxy, command: str, trouble: Reply
) -> None:
    """A balancer's 504 to newOrder, and then nothing but errors: once the CA is well, that order is gone on with."""
    name = proxied.enrol("www.lab.test")
    opened = threading.Event()

    def lose(request: Request, reply: Reply) -> Reply:
        if "order-plz" not in request.path:
            return reply
        opened.set()
        return Reply(504, b"<html>")

    proxy.after.append(lose)
    proxy.before.append(lambda _: trouble if opened.is_set() else None)
    with proxied.timed(quick_tries=1):
        proxied.fails(command, name, says=[name] if command == "run" else ["HTTP 504"])
    assert [state for state, _ in proxied.orders()] == ["PLANNED"]
    proxy.after.clear()
    proxy.before.clear()
    proxied.database.execute("DELETE FROM holds")
    proxied.database.execute("UPDATE certs SET due_at = NULL")
    proxied.ok(command, name)
    assert len(proxy.paths("order-plz")) == 1


def test_an_order_in_doubt_of_a_disabled_name_is_promised(proxied: Box, proxy: CaProxy) -> None:
    """`issue` and `status` tell the moment at which a run goes on with it, and the run does, not before."""
    name = proxied.enrol("www.lab.test")
    proxied.ok("disable", name)
    proxy.after.append(lambda request, reply: Reply(504, b"<html>") if "order-plz" in request.path else reply)
    with proxied.timed(quick_tries=0):
        outcome = proxied.fails("issue", name, says=["failed; next attempt at"])
    assert "disabled" not in outcome.out + outcome.err
    [moment] = proxied.row(name, "due_at")
    first_run = f"the first run after {utc_text(moment)}"
    assert f"next attempt  {first_run}: retry after failure 1\n" in proxied.ok("status", name).out
    proxy.after.clear()
    proxied.fails("run", says=[f"{name}: failed before: ", f"next attempt: {first_run}"])
    proxied.database.execute("UPDATE certs SET due_at = 1")
    assert f"{name}: stored" in proxied.ok("run").out
    assert len(proxy.paths("order-plz")) == 1


def test_an_order_that_was_never_asked_for_is_forgotten(proxied: Box, proxy: CaProxy) -> None:
    """Where the trouble begins before newOrder is sent, nothing is kept that would count for the CA's limits."""
    proxied.enrol("www.lab.test")
    proxy.before.append(lambda request: Reply(504, b"<html>") if "nonce-plz" in request.path else None)
    with proxied.timed(quick_tries=1):
        proxied.fails("run", says=["HTTP 504"])
    assert proxied.orders() == []


def test_who_was_too_slow_to_order_leaves_it_to_who_took_over(proxied: Box, proxy: CaProxy) -> None:
    """Name servers or a list that took longer than the lease: another issuer has the order by then, and orders."""
    name = proxied.enrol("slow.lab.test")
    columns = "name, active_name, state, directory, created_at, updated_at"
    proxied.change_orders(
        f"INSERT INTO orders ({columns}) VALUES ('{name}', '{name}', 'PLANNED', '{proxy.directory}', 1, 1)"  # noqa: S608
    )

    def take_over(request: Request) -> None:
        if "list-orderz" in request.path:
            proxied.database.execute("UPDATE orders SET lease_owner = 'another', lease_until = 9999999999")

    proxy.before.append(take_over)
    with proxied.timed(lease_trusted=0):
        assert "in the hands of another issuer" in proxied.run("run").out
    assert proxy.paths("list-orderz")
    assert proxy.paths("order-plz") == []
