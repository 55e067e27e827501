"""Killed while every worker waited to hear which order the CA opened: each is found again, by few questions."""

import threading
from collections.abc import Sequence
from math import ceil
from unittest.mock import patch

from issuer import issue
from issuer.ca.order_list import OrderList
from issuer.model import CaOrder
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


def test_all_find_their_orders_in_two_readings_of_the_list(proxied: Box, proxy: CaProxy) -> None:
    """No order is opened twice, and the list is not read once more for each of them."""
    names = _lose_all_answers(proxied, proxy)
    together, find = threading.Barrier(COUNT), OrderList.find

    def find_together(orders: OrderList, wanted: Sequence[str]) -> CaOrder | None:
        together.wait(60)
        return find(orders, wanted)

    with patch.object(OrderList, "find", find_together):
        proxied.ok("run")
    assert len(proxy.paths("order-plz")) == COUNT
    assert proxied.database.query("SELECT COUNT(*) FROM versions") == [(len(names),)]
    pages = ceil(COUNT / PAGE) + 1  # the last may be empty
    assert ceil(COUNT / PAGE) <= len(proxy.paths("list-orderz")) <= READINGS * pages


def test_a_list_that_cannot_be_read_now_is_asked_again(proxied: Box, proxy: CaProxy) -> None:
    """A server error of the CA in the middle of the list is no reason to take an order for missing."""
    _lose_all_answers(proxied, proxy)
    proxy.before.append(times(2, "list-orderz", problem("serverInternal", "try again", 500)))
    proxied.ok("run")
    assert len(proxy.paths("order-plz")) == COUNT


def test_who_was_too_slow_to_order_leaves_it_to_who_took_over(proxied: Box, proxy: CaProxy) -> None:
    """Name servers or a list that took longer than the lease: another issuer has the order by then, and orders."""
    name = proxied.enrol("slow.lab.test")
    columns = "name, active_name, state, directory, created_at, updated_at"
    proxied.database.execute(
        f"INSERT INTO orders ({columns}) VALUES ('{name}', '{name}', 'PLANNED', '{proxy.directory}', 1, 1)"  # noqa: S608
    )

    def take_over(request: Request) -> None:
        if "list-orderz" in request.path:
            proxied.database.execute("UPDATE orders SET lease_owner = 'another', lease_until = 9999999999")

    proxy.before.append(take_over)
    with patch.object(issue, "_LEASE_HOLDS_SECONDS", 0):
        assert "in the hands of another issuer" in proxied.run("run").out
    assert proxy.paths("list-orderz")
    assert proxy.paths("order-plz") == []
