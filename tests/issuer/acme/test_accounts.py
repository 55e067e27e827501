"""The account at the CA: it is asked for once."""

import base64
import json
import threading
import time
from concurrent.futures import Future

import pytest

from common.config_file import load
from common.threads import on_thread
from issuer.ca.client import AcmeCa
from issuer.model.acme import CaOrder
from issuer.model.config import Settings
from issuer.model.errors import AcmeProblem
from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
from tests.servers.ca_proxy import CaProxy, Reply, Request, problem, times
from tests.servers.process import START_SECONDS, wait_until

NAME = "www.lab.test"
NO_BINDING = problem("externalAccountRequired", "an external account binding is needed", 403)


def refusing_registration(request: Request) -> Reply | None:
    """A CA that wants a binding."""
    return NO_BINDING if "sign-me-up" in request.path and request.method == "POST" else None


def enrolled(box: Box, count: int) -> list[str]:
    names = [f"n{number}.lab.test" for number in range(count)]
    box.add_zone(*names)
    assert box.bind is not None
    box.bind.reconfigure()
    return [box.populate(name) for name in names]


def test_a_refused_account_is_one_failure(proxied: Box, proxy: CaProxy) -> None:
    """However many certificates are due, and whatever runs meanwhile; once it is mended, `run --retry` issues all."""
    names = enrolled(proxied, 12)
    proxy.before.append(refusing_registration)
    outcome = proxied.fails("run", says=["1 failed", "11 held", "held by the refusal of our account"])
    assert "an external account binding is needed" in outcome.err
    assert "run --retry" in outcome.err
    assert len(proxy.paths("sign-me-up")) == 1
    assert sorted(row[0] for row in proxied.database.query("SELECT count_fail_update FROM certs")) == [0] * 11 + [1]
    proxied.run("run")
    assert len(proxy.paths("sign-me-up")) == 1
    proxied.fails("status", says=["every new order: held until", "an external account binding is needed"])
    proxied.fails("run", "--retry", says=["1 failed", "11 held"])
    assert len(proxy.paths("sign-me-up")) == 2
    proxy.before.remove(refusing_registration)
    assert proxied.ok("run", "--retry").out.count(": stored") == len(names)


@pytest.mark.sampled
@pytest.mark.parametrize("words", [("issue",), ("run", "--retry")], ids=" ".join)
def test_a_person_who_asks_is_reason_enough(proxied: Box, proxy: CaProxy, words: tuple[str, ...]) -> None:
    """The CA is asked at once, for a certificate that was only held too, and the others are due again."""
    names = enrolled(proxied, 3)
    proxied.write(acme={"workers": 1})
    proxy.before.append(refusing_registration)
    proxied.fails("run", says=["1 failed", "2 held"])
    proxy.before.remove(refusing_registration)
    [held, *_] = [name for name in names if proxied.row(name, "count_fail_update") == (0,)]
    assert f"{held}: stored" in proxied.ok(*words, held).out
    proxied.ok("run", "--retry")
    assert [state for name in names for state, _ in proxied.orders(name) if state == "STORED"] == ["STORED"] * 3


@pytest.mark.soak
def test_the_daemon_asks_once_too(proxied: Box, proxy: CaProxy) -> None:
    """And at once when a person asks for it."""
    names = enrolled(proxied, 4)
    proxy.before.append(refusing_registration)
    with Service(proxied):
        waiting = "SELECT count(*) FROM certs WHERE due_at IS NULL"
        wait_until(lambda: proxied.database.query(waiting) == [(0,)], "each failed or held")
        assert len(proxy.paths("sign-me-up")) == 1
        proxy.before.remove(refusing_registration)
        proxied.ok("run", "--retry")
        stored = "SELECT count(*) FROM orders WHERE state = 'STORED'"
        wait_until(lambda: proxied.database.query(stored) == [(len(names),)], "all issued")
    assert len(proxy.paths("sign-me-up")) == 2


def test_a_request_keeps_its_account_while_another_thread_asks_for_that_again(proxied: Box, proxy: CaProxy) -> None:
    """A nonce is refused just when another thread, to which the CA said "malformed", asks for the account again: the
    repeated request names the account all the same."""
    settings = load(Settings, proxied.config)
    ca = AcmeCa(settings, settings.acme, time.time)
    url = ca.account_url()
    asked, again = threading.Event(), threading.Event()
    others: list[Future[CaOrder]] = []

    def refuse_nonce(_: Request) -> Reply:
        others.append(on_thread(lambda: ca.order(f"{proxy.directory}/my-order/of-nobody")))
        assert asked.wait(START_SECONDS)
        return problem("badNonce", "try again", 400)

    def until_then(request: Request) -> None:
        if "order-plz" in request.path:
            again.set()
        elif "sign-me-up" in request.path and request.method == "POST" and others:
            asked.set()
            again.wait(START_SECONDS)

    proxy.before += [
        times(1, "order-plz", refuse_nonce),
        times(1, "/my-order/", problem("malformed", "no such order", 404)),
        until_then,
    ]
    try:
        assert ca.open_order(["www.lab.test"]).status == "pending"
        assert isinstance(others[0].exception(START_SECONDS), AcmeProblem)
        assert [signer(request) for request in proxy.paths("order-plz")] == [url, url]
    finally:
        ca.close()


def signer(request: Request) -> str:
    """The account in the header of a signed request."""
    text = json.loads(request.body)["protected"]
    account: str = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))).get("kid", "")
    return account
