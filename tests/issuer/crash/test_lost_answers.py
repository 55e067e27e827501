"""Killed while every worker waited to hear which order the CA opened: each is found again, by few questions."""

import threading
from math import ceil

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
            killed.wait(30)
        return reply

    proxy.after.append(keep_back)
    process = box.start("run")
    for _ in names:
        assert opened.acquire(timeout=30)
    process.kill()
    process.communicate()
    killed.set()
    proxy.after.remove(keep_back)
    return names


def test_all_find_their_orders_in_two_readings_of_the_list(proxied: Box, proxy: CaProxy) -> None:
    """No order is opened twice, and the list is not read once more for each of them."""
    names = _lose_all_answers(proxied, proxy)
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
