"""What a CA may do to a client: refuse nonces, limit, be busy, take its time, talk nonsense. It costs no fleet."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from common.config_file import load
from issuer.ca.client import AcmeCa
from issuer.ca.problems import meaning
from issuer.commands.wiring import build_authority
from issuer.model.acme import CaOrder
from issuer.model.config import Settings
from issuer.model.errors import AcmeProblem
from issuer.rules.acceptance import accept
from issuer.rules.csr import read_csr
from issuer.rules.retry import interrupts
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority
from tests.servers.bind import Bind
from tests.servers.ca_proxy import CaProxy, Reply, Request, json_reply, problem, times
from tests.servers.database import SqliteDatabase
from tests.servers.pebble import Pebble
from tests.servers.process import START_SECONDS

NAME = "www.lab.test"
HOSTILE = {
    "huge": Reply(200, b"[" + b"1," * 2_000_000, {"Content-Type": "application/json"}),
    "html": Reply(200, b"<html>It works!</html>", {"Content-Type": "text/html"}),
    "list": json_reply([1, 2, 3]),
    "null": json_reply(None),
    "wrong types": json_reply({"status": 7, "authorizations": "all", "finalize": None, "identifiers": 3}),
    "elsewhere": Reply(302, b"", {"Location": "https://evil.example/"}),
    "forbidden html": Reply(403, b"<html>no</html>", {"Content-Type": "text/html"}),
    "problem of wrong types": json_reply({"type": 3, "detail": ["x"], "subproblems": 9}, 400),
    "terminal tricks": problem("malformed", "\x1b[2Jhello\nERROR: fake line", 400),
}

UNKNOWN_STATUS = [("/authZ/", "wrong types"), ("/finalize-order/", "wrong types")]  # an object, with a status of 7


def test_ninety_percent_of_nonces_refused_costs_no_try(bind: Bind, tmp_path_factory: pytest.TempPathFactory) -> None:
    """badNonce is answered with the nonce that came with the refusal, ten times over if need be; at half refused,
    nothing is ever counted as a failure."""
    folder = tmp_path_factory.mktemp("nonces")
    with Pebble(folder / "pebble", bind.endpoint, nonce_reject=50) as pebble:
        box = Box(folder / "box", SqliteDatabase(folder), bind=bind, pebble=pebble)
        box.set_up()
        for number in range(3):
            box.enrol(f"n{number}.lab.test")
        box.ok("run")
        assert [row[0] for row in box.database.query("SELECT count_fail_update FROM certs")] == [0, 0, 0]


@pytest.mark.soak
@pytest.mark.parametrize(("refusals", "errors"), [(10, 0), (11, 1)])
def test_ten_refused_nonces_are_no_error(proxied: Box, proxy: CaProxy, refusals: int, errors: int) -> None:
    """The same request goes out ten times more; only then is it an error, after which the run tries it anew."""
    proxy.before.append(times(refusals, "order-plz", problem("badNonce", "try again", 400)))
    proxied.enrol(NAME)
    assert proxied.ok("run", "-v").err.count("attempt.blink") == errors
    assert len(proxy.paths("order-plz")) == refusals + 1


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_limited_is_held_until_the_named_moment_and_not_counted(proxied: Box, proxy: CaProxy, form: str) -> None:
    """429 with Retry-After in either form: held, not failed; the next run before that moment does not even ask."""
    before = time.time()
    moment = before + 1000
    text = datetime.fromtimestamp(moment, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    reply = problem("rateLimited", "too many new orders", 429, Retry_After="1000" if form == "seconds" else text)
    proxy.before.append(times(99, "order-plz", reply))
    proxied.enrol(NAME)
    proxied.fails("run", says=["held by a limit", "too many new orders"])
    failures, due_at = proxied.row(NAME, "count_fail_update", "due_at")
    assert failures == 0
    assert int(moment) <= due_at <= (time.time() + 1000 if form == "seconds" else moment)
    other = proxied.enrol("other.lab.test")
    proxied.fails("run", says=[f"{other}: held"])
    assert len(proxy.paths("order-plz")) == 1
    assert [state for state, _ in proxied.orders()] == []


@pytest.mark.parametrize("seconds", ["5", "432000"])
def test_a_limit_on_one_name_stops_no_other(proxied: Box, proxy: CaProxy, seconds: str) -> None:
    """However the domain is called that the CA quotes, and however short or long the wait is."""
    detail = (
        'too many certificates (50) already issued for "selfservice.example" in the last 168h0m0s: see https://ca.test'
    )
    proxy.before.append(times(1, "order-plz", problem("rateLimited", detail, 429, Retry_After=seconds)))
    proxied.write(acme={"workers": 1})
    proxied.enrol(NAME)
    proxied.fails("run", says=["held by a limit", "selfservice.example"])
    other = proxied.enrol("other.lab.test")
    assert f"{other}: stored" in proxied.run("run").out


def test_busy_ca_names_a_moment_and_the_same_run_goes_on_then(proxied: Box, proxy: CaProxy) -> None:
    """503 with Retry-After in the middle of an order: held, then the same order is finished within the run."""
    proxied.write(renewal={"max_run": "1m"})
    proxy.before.append(times(1, "/authZ/", problem("serverInternal", "busy", 503, Retry_After="2")))
    proxied.enrol(NAME)
    proxied.ok("run")
    assert [state for state, _ in proxied.orders()] == ["STORED"]
    assert proxied.row(NAME, "count_fail_update") == (0,)


def test_server_errors_for_a_moment_cost_no_try(proxied: Box, proxy: CaProxy) -> None:
    """Two 500s, in HTML as a balancer sends them, are waited out at every kind of request."""
    html = Reply(502, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"})
    for path in ("order-plz", "/authZ/", "/chalZ/", "/finalize-order/", "/my-order/", "/certZ/", "sign-me-up"):
        proxy.before.append(times(1, path, html))
    proxied.enrol(NAME)
    proxied.ok("run")
    assert [state for state, _ in proxied.orders()] == ["STORED"]
    assert proxied.row(NAME, "count_fail_update") == (0,)
    assert len(proxy.paths("order-plz")) <= 2


def test_one_odd_answer_costs_neither_order_nor_try(proxied: Box, proxy: CaProxy) -> None:
    """A firewall's page, a portal's, a redirect, a certificate that is not replicated yet, another one for TLS than the
    CA's: each once, anywhere in an order, and the same order is finished in the same run."""
    proxy.before += [
        times(1, "/authZ/", HOSTILE["forbidden html"]),
        times(1, "/chalZ/", HOSTILE["elsewhere"]),
        times(1, "/my-order/", HOSTILE["html"]),
        times(1, "/finalize-order/", json_reply({"message": "Forbidden"}, 403)),
        times(1, "/certZ/", problem("malformed", "no such certificate", 404)),
    ]
    proxied.first_pause = 0.5
    portal = Authority("Portal").issue(["localhost"]).write(proxied.folder)

    def somebody_else(request: Request, reply: Reply) -> Reply:
        if "/finalize-order/" not in request.path:
            return reply
        proxy.show(portal)
        threading.Timer(0.3, proxy.show).start()
        return Reply(reply.status, reply.body, {**reply.headers, "Connection": "close"})

    proxy.after.append(somebody_else)
    proxied.enrol(NAME)
    proxied.ok("run")
    assert [state for state, _ in proxied.orders()] == ["STORED"]
    assert proxied.row(NAME, "count_fail_update") == (0,)
    assert len(proxy.paths("order-plz")) == 1


def test_workers_bound_the_requests_under_way_and_orders_wait_side_by_side(proxied: Box, proxy: CaProxy) -> None:
    """A CA that answers newOrder only to four at a time gets four at a time, and never more than `workers` requests of
    any kind: orders are not worked on one after another."""
    proxied.write(acme={"workers": 4})
    names = [f"w{number}.lab.test" for number in range(12)]
    proxied.add_zone(*names)
    assert proxied.bind is not None
    proxied.bind.reconfigure()
    for name in names:
        proxied.populate(name)
    # one such step only: with three workers at one and the fourth at another, nobody would go on
    four = threading.Barrier(4)

    def together(request: Request) -> Reply | None:
        if "/order-plz" in request.path:
            with contextlib.suppress(threading.BrokenBarrierError):
                four.wait(START_SECONDS)
        return None

    proxy.before.append(together)
    assert proxied.ok("run").out.count(": stored") == 12
    assert not four.broken
    assert proxy.most_at_once == 4


@dataclass(frozen=True)
class Asked:
    """A real adapter with an order at a CA that answers nonsense: *steps* are what an attempt asks, by path."""

    proxy: CaProxy
    box: Box
    order: CaOrder

    def steps(self, ca: AcmeCa) -> dict[str, Callable[[], object]]:
        facts, url = read_csr(csr([NAME])), f"https://localhost:{self.proxy.port}/"
        return {
            "/dir": ca.account_url,
            "order-plz": lambda: ca.open_order([NAME]),
            "/authZ/": lambda: ca.authorization(self.order.authorizations[0]),
            "/finalize-order/": lambda: ca.finalize(self.order, facts.der),
            "/certZ/": lambda: accept(ca.certificate(f"{url}certZ/1"), facts, time.time(), present=None),
        }


@pytest.fixture(scope="module")
def asked(shared_pebble: Pebble, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("nonsense")
    shared_pebble.refresh()
    with CaProxy(folder, shared_pebble) as proxy:
        box = Box(folder / "box", SqliteDatabase(folder), pebble=shared_pebble)
        box.write(acme={"directory": proxy.directory, "ca_bundle": str(proxy.ca_file)})
        box.ok("init")
        with closing(build_authority(load(Settings, box.config), "")) as ca:
            yield Asked(proxy, box, ca.open_order([NAME]))


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("path", "what"),
    [
        (path, what)
        for path in ("/dir", "order-plz", "/authZ/", "/finalize-order/", "/certZ/")
        for what in HOSTILE
        if (path, what) not in UNKNOWN_STATUS
    ],
)
def test_nonsense_is_an_answer_that_does_not_count(asked: Asked, path: str, what: str) -> None:
    """Whatever comes back, it is one problem of the CA, which ends no order unless the CA said so itself, and had not
    issued before; a redirect is not followed."""
    asked.proxy.before[:] = [times(99, path, HOSTILE[what])]
    with closing(build_authority(load(Settings, asked.box.config), "")) as ca, pytest.raises(AcmeProblem) as caught:
        asked.steps(ca)[path]()
    over = what == "terminal tricks" and path != "/certZ/"
    assert interrupts(caught.value) is not over
    assert "\n" not in str(caught.value)
    assert all("evil.example" not in request.path for request in asked.proxy.seen)


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("path", "what"), [("/finalize-order/", "terminal tricks"), ("/certZ/", "terminal tricks"), *UNKNOWN_STATUS]
)
def test_nonsense_is_one_clear_failure(proxied: Box, proxy: CaProxy, path: str, what: str) -> None:
    """There is one sentence that cannot steer a terminal, no traceback, nothing stored, nothing left in the zone; and
    an order is over only if the CA said so itself, and had not issued before."""
    proxied.enrol(NAME)
    proxy.before.append(times(99, path, HOSTILE[what]))
    with proxied.timed(quick_tries=0):
        outcome = proxied.run("run")
    over = (path, what) == ("/finalize-order/", "terminal tricks")
    assert ("FAILED" in [state for state, _ in proxied.orders()]) is over
    assert outcome.code == 1
    assert f"error: {NAME}: failed: " in outcome.err
    assert "\x1b" not in outcome.out + outcome.err
    assert "\nERROR: fake line" not in outcome.out + outcome.err
    assert proxied.row(NAME, "crt", "count_fail_update") == (None, 1)
    assert proxied.txt(NAME) == set()


def test_unknown_problem_type_is_tried_again_later() -> None:
    """CAs may add types; an unknown one is neither fatal nor repeated at once."""
    assert meaning("somethingNew")[0].value == "later"
