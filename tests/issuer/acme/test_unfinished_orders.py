"""An order that the CA does not finish: it stays for as long as it may come to something, people hear of it, and then a
new one takes its place."""

import signal

import pytest

from tests.issuer.box import Box
from tests.servers.ca_proxy import CaProxy, Reply, Request, problem, times
from tests.servers.process import wait_until

NAME = "www.lab.test"
PAGE = Reply(403, b"<html>not allowed", {"Content-Type": "text/html"})


@pytest.fixture
def slow(proxy: CaProxy) -> list[bool]:
    """While its one entry is true, the CA processes every order that was finalized."""
    slow = [True]

    def processing(request: Request, reply: Reply) -> Reply:
        if slow[0] and ("/my-order/" in request.path or "/finalize-order/" in request.path):
            body = reply.body.replace(b" ", b"").replace(b'"status":"valid"', b'"status":"processing"')
            return Reply(reply.status, body, {**reply.headers, "Retry-After": "1"})
        return reply

    proxy.after.append(processing)
    return slow


def older(box: Box, days: int) -> None:
    """The order was opened earlier, and the certificate is due now."""
    box.change_orders(f"UPDATE orders SET created_at = created_at - {days} * 86400")  # noqa: S608 - a number
    box.database.execute("UPDATE certs SET due_at = NULL")


def states(box: Box) -> list[str]:
    return [state for state, _ in box.orders()]


def test_processing_for_long_survives_restarts(proxied: Box, proxy: CaProxy, slow: list[bool]) -> None:
    """While the CA processes, the order stays; stopped in between, the next run collects the same order."""
    proxied.enrol(NAME)
    child = proxied.start("run")
    wait_until(lambda: states(proxied) == ["FINALIZING"], "the CA is asked to sign")
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "stopped" in out + err
    slow[0] = False
    proxied.ok("run")
    assert states(proxied) == ["STORED"]
    assert len(proxy.paths("order-plz")) == 1


@pytest.mark.soak
def test_processing_without_end_is_counted_and_given_up_after_a_week(proxied: Box, slow: list[bool]) -> None:
    """Past half an hour each look is a failure, and the order stays; a week old, it makes room for a new one."""
    proxied.enrol(NAME)
    with proxied.timed(ca_seconds=0, quick_tries=0):  # half an hour is over at once
        proxied.fails("run", says=["makes no progress with the order", "FINALIZING"])
        older(proxied, 6)
        proxied.fails("run", says=["makes no progress with the order"])
        assert states(proxied) == ["FINALIZING"]
        older(proxied, 1)
        proxied.fails("run", says=["makes no progress with the order"])
    assert states(proxied) == ["FAILED"]
    assert proxied.row(NAME, "count_fail_update") == (3,)
    slow[0] = False
    older(proxied, 0)
    proxied.ok("run")
    assert states(proxied) == ["FAILED", "STORED"]


@pytest.mark.soak
def test_with_little_life_left_a_day_is_enough(proxied: Box, slow: list[bool]) -> None:
    """What is waited for a week otherwise is given up in time for another order, or another CA."""
    slow[0] = False
    proxied.enrol(NAME)
    proxied.ok("run")
    slow[0] = True
    proxied.put_aged(NAME, days=90, left=9)
    with proxied.timed(ca_seconds=0, quick_tries=0):
        proxied.fails("run", says=["makes no progress with the order"])
        older(proxied, 1)
        proxied.fails("run", says=["makes no progress with the order"])
    assert states(proxied) == ["STORED", "FAILED"]


@pytest.mark.parametrize("path", ["/my-order/", "/finalize-order/"])
def test_an_order_that_cannot_be_finalized_is_given_up_after_a_day(proxied: Box, proxy: CaProxy, path: str) -> None:
    """Nothing is lost with it but an order; its challenges are gone from the zone."""
    proxied.enrol(NAME)
    proxy.before.append(times(99, path, PAGE))
    with proxied.timed(ca_seconds=0, quick_tries=0):  # half an hour is over at once
        proxied.fails("run", says=["HTTP 403"])
        assert "FAILED" not in states(proxied)
        older(proxied, 1)
        proxied.fails("run", says=["HTTP 403"])
    assert states(proxied) == ["FAILED"]
    assert proxied.txt(NAME) == set()


def test_a_ca_that_is_busy_for_ever_does_not_keep_an_order_for_ever(proxied: Box, proxy: CaProxy) -> None:
    """Each 503 with a moment holds the certificate and counts nothing; the order is given up all the same."""
    proxied.enrol(NAME)
    proxy.before.append(times(99, "/finalize-order/", problem("serverInternal", "busy", 503, Retry_After="1")))
    proxied.fails("run", says=["held by a limit"])
    proxied.database.execute("DELETE FROM holds")
    older(proxied, 1)
    proxied.fails("run", says=["held by a limit"])
    assert states(proxied) == ["FAILED"]


def test_an_order_that_brings_the_old_certificate_again_is_over(proxied: Box, proxy: CaProxy) -> None:
    """A CA that takes a renewal for the order before: nothing is stored, people hear of it, the next attempt orders
    anew."""
    proxied.enrol(NAME)
    proxied.ok("run")
    old = proxied.orders()[0][1]

    def same(request: Request, reply: Reply) -> Reply:
        new = "order-plz" in request.path
        return Reply(reply.status, reply.body, {**reply.headers, "Location": old}) if new else reply

    proxy.after.append(same)
    proxied.fails("reissue", NAME, says=["there already", "report it to the CA"])
    assert proxied.row(NAME, "count_fail_update") == (1,)
    assert states(proxied) == ["STORED", "FAILED"]
    proxy.after.clear()
    older(proxied, 0)
    proxied.ok("run")
    assert proxied.database.query("SELECT COUNT(DISTINCT serial), COUNT(*) FROM versions") == [(2, 2)]
