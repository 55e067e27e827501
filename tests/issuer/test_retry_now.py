"""`run --retry`: what stopped all names is mended, and nobody wants to wait for each one's next moment."""

from pathlib import Path
from typing import Any

import pytest

from tests.issuer.box import Box, Outcome
from tests.issuer.daemon.service import Service
from tests.servers.ca_proxy import CaProxy, problem, times

NAMES = [f"www{number}.example.test" for number in range(3)]


@pytest.fixture
def mended(box: Box) -> Box:
    """Three names that failed for a key that is right again; their next attempts are an hour away."""
    for name in NAMES:
        box.enrol(name)
    key = Path(box.document["dns"]["tsig_key_file"])
    right = key.read_bytes()
    key.write_bytes(right.replace(b'secret "', b'secret "AAAA'))
    box.fails("run", says=["BADSIG"])
    key.write_bytes(right)
    box.fails("run", says=["error: 3 certificates: failed before: ", NAMES[0]])
    return box


def test_all_that_failed_is_tried_now(mended: Box) -> None:
    """One command, and all of them are stored; the next one audits them, and one more has nothing to do."""
    outcome = mended.ok("run", "--retry")
    assert all(f"{name}: stored" in outcome.out for name in NAMES)
    mended.ok("run")
    before = mended.contents()
    assert mended.ok("run", "--retry").out == "nothing is due\n"
    assert mended.contents() == before


def test_a_name_that_failed_is_tried_now(mended: Box) -> None:
    """Only the one that is named."""
    assert mended.ok("run", "--retry", NAMES[1]).out.endswith("1 stored\n")
    assert [bool(mended.row(name, "crt")[0]) for name in NAMES] == [False, True, False]


@pytest.mark.soak
def test_the_daemon_tries_what_failed_now(mended: Box) -> None:
    """It holds the lock, so it is handed over, and said so; without the option `run` names it."""
    with Service(mended) as service:
        mended.refused("run", code=3, says=["the daemon does what `run` does; `run --retry` makes it"])
        outcome = mended.ok("run", "--retry")
        assert all(f"{name}: handed to the daemon" in outcome.out for name in NAMES), outcome.out
        service.wait_stored(*NAMES)
        assert mended.ok("run", "--retry").out == "nothing has failed\n"


@pytest.mark.soak
def test_only_a_daemon_is_promised_to_act_at_the_moment(mended: Box) -> None:
    """Without one the next attempt is that of the first run after it; `status` sees whether one runs."""
    moments = {one["name"]: one["next"] for one in mended.run("status", "--json").report()["certificates"]}
    at = moments[NAMES[0]]
    first_run = f"the first run after {at}"
    for words in (("status",), ("status", NAMES[0])):
        assert first_run in mended.run(*words).out, words
    # they may have failed in different seconds, and the run tells of them together
    assert f"  next attempt: the first run after {min(moments.values())}\n" in mended.run("run").err
    assert _of_first(mended.run("run", "--json"))["next_attempt"] == first_run
    with Service(mended):
        for words in (("status",), ("status", NAMES[0])):
            shown = mended.run(*words).out
            assert at in shown, words
            assert "first run" not in shown, words
        assert _of_first(mended.run("status", "--json"))["next_attempt"] == at
    assert first_run in mended.run("status").out


def _of_first(outcome: Outcome) -> dict[str, Any]:
    (found,) = (one for one in outcome.report()["certificates"] if one["name"] == NAMES[0])
    return dict(found)


@pytest.mark.soak
def test_a_hold_of_the_ca_is_kept_to(proxied: Box, proxy: CaProxy) -> None:
    """It is not asked before the moment that it has named."""
    name = proxied.enrol(NAMES[0])
    proxy.before.append(times(1, "order-plz", problem("rejectedIdentifier", "broken", 400)))
    proxied.fails("run", says=["broken"])
    proxy.before.append(times(1, "order-plz", problem("rateLimited", "slow down", 429, Retry_After="3600")))
    proxied.fails("run", "--retry", says=["slow down"])
    asked = len(proxy.paths("order-plz"))
    proxied.fails("run", "--retry", says=[f"{name}: held by a limit of the CA"])
    assert len(proxy.paths("order-plz")) == asked


@pytest.mark.sampled
@pytest.mark.parametrize("words", [["run", "--retry"], ["issue", NAMES[0]]], ids=" ".join)
def test_a_hold_on_an_order_under_way_is_kept_to(proxied: Box, proxy: CaProxy, words: list[str]) -> None:
    """The CA named a moment for this very order: it is asked nothing before that."""
    name = proxied.enrol(NAMES[0])
    proxy.before[:] = [times(99, "/chalZ/", problem("serverInternal", "later", 500))]
    proxied.fails("run", says=["later"])
    proxy.before[:] = [times(1, "/chalZ/", problem("rateLimited", "slow down", 429, Retry_After="7200"))]
    proxied.fails("run", "--retry", says=["held by a limit of the CA"])
    assert [state for state, _ in proxied.orders()] == ["VISIBLE"]
    proxy.seen.clear()
    proxied.fails(*words, says=["held by a limit of the CA"])
    proxied.ok("disable", name)
    proxied.fails("issue", name, says=["held by a limit of the CA", "certfleet tries again after that"])
    assert [request.path for request in proxy.seen if request.method == "POST"] == []
    assert f"{name}: stored" in proxied.ok("issue", name, "--lift-hold").out
