"""Another CA when the first cannot deliver and little life is left: two real Pebbles, one of which fails."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from issuer.model.timing import Timing
from tests.issuer.box import Box
from tests.servers.ca_proxy import CaProxy, Reply, in_directory, problem, times
from tests.servers.lab import Lab
from tests.servers.pebble import Pebble
from tests.servers.smtp import Smtp

NAME = "www.lab.test"
TRIES = 1 + Timing().quick_tries  # of a step before it is a failure
BROKEN = Reply(500, b"<html>out of order</html>", {"Content-Type": "text/html"})


@pytest.fixture
def second(lab: Lab, tmp_path: Path) -> Iterator[CaProxy]:
    """A second CA, with a life of 90 days as the first."""
    (tmp_path / "second").mkdir()
    with (
        Pebble(tmp_path / "second", lab.bind.endpoint) as pebble,
        CaProxy(tmp_path / "second" / "proxy", pebble) as running,
    ):
        yield running


@pytest.fixture
def two(proxied: Box, second: CaProxy) -> Box:
    """A box with the proxy as first CA and *second* as fallback."""
    fallback = {"directory": second.directory, "ca_bundle": str(second.ca_file)}
    proxied.write(acme={"fallback": [fallback]}, renewal={"retry": ["1s"], "max_run": "40s"})
    return proxied


def test_first_certificate_comes_from_the_fallback_when_the_first_ca_is_broken(
    two: Box, proxy: CaProxy, second: CaProxy
) -> None:
    """After two failures the next CA is asked, within the same run; the database says who issued."""
    two.enrol(NAME)
    proxy.before.append(times(99, "order-plz", BROKEN))
    two.ok("run")
    assert two.row(NAME, "directory", "count_fail_update") == (second.directory, 0)
    assert len(second.paths("order-plz")) == 1


@pytest.mark.sampled
@pytest.mark.parametrize(
    "no", [BROKEN, problem("userActionRequired", "agree to the terms", 403)], ids=["in trouble", "for a person"]
)
def test_with_little_life_left_the_fallback_is_asked(two: Box, proxy: CaProxy, second: CaProxy, no: Reply) -> None:
    """A certificate with a tenth of its life left goes to the second CA after two failures of the first, no earlier,
    and without the day that is waited for a person where there is no other CA."""
    two.enrol(NAME)
    two.put_aged(NAME, days=90, left=9)
    two.write(renewal={"retry": ["1s", "1s", "1d"]})
    proxy.before.append(times(99, "order-plz", no))
    with two.timed(quick_tries=0):
        two.ok("run")
    assert two.row(NAME, "directory", "count_fail_update") == (second.directory, 0)
    assert len(proxy.paths("order-plz")) == 2


@pytest.mark.soak
@pytest.mark.parametrize("status", [429, 503])
def test_a_ca_that_names_a_moment_is_asked_once(two: Box, proxy: CaProxy, second: CaProxy, status: int) -> None:
    """It keeps answering with Retry-After: the fallback issues within the same run."""
    two.enrol(NAME)
    proxy.before.append(times(99, "order-plz", problem("rateLimited", "too many", status, Retry_After="3000")))
    two.ok("run")
    assert two.row(NAME, "directory", "count_fail_update") == (second.directory, 0)
    assert len(proxy.paths("order-plz")) == 1
    assert [state for state, _ in two.orders()] == ["STORED"]


@pytest.mark.soak
def test_an_unfinished_order_of_the_first_ca_gives_way_to_the_fallback(
    two: Box, proxy: CaProxy, second: CaProxy
) -> None:
    """A CA that breaks down in the middle of an order keeps the certificate for a day, not for ever."""
    two.write(renewal={"retry": ["1h"], "max_run": "0s"})
    two.enrol(NAME)
    proxy.before.append(times(99, "/finalize-order/", BROKEN))
    with two.timed(quick_tries=0):
        for _ in range(2):
            two.fails("run", says=["HTTP 500"])
            two.change_orders("UPDATE orders SET created_at = created_at - 86400")
            two.database.execute("UPDATE certs SET due_at = NULL")
    two.ok("run")
    assert two.row(NAME, "directory") == (second.directory,)
    assert [state for state, _ in two.orders()] == ["FAILED", "STORED"]


def test_the_way_to_the_fallback_and_back_is_told(two: Box, lab: Lab, second: CaProxy, tmp_path: Path) -> None:
    """The mail names the fallback when it issued, also the first certificate, and says when the first CA is back."""
    with Smtp(tmp_path) as smtp:
        two.document["notify"] = {"email_to": ["noc@example.com"], "smtp_host": "127.0.0.1", "smtp_port": smtp.port}
        two.write()
        two.enrol(NAME)
        lab.pebble.stop()
        two.ok("run")
        assert f"issued by the fallback {second.directory}" in smtp.letters[-1].text
        lab.pebble.start()
        two.ok("reissue", NAME)
        assert "CA changed  back at the first CA" in two.ok("history", NAME).out
        assert "back at the first CA" in smtp.letters[-1].text
        two.ok("reissue", NAME)
        assert len(smtp.letters) == 2


@pytest.mark.soak
def test_with_life_left_the_first_ca_is_waited_for(two: Box, proxy: CaProxy, second: CaProxy) -> None:
    """A certificate that is good for weeks does not change its CA because the first one has a bad day."""
    two.enrol(NAME)
    two.ok("run")
    proxy.before.append(times(99, "order-plz", BROKEN))
    two.write(renewal={"retry": ["1s"], "max_run": "0s"})
    with two.timed(quick_tries=0):
        for failures in range(1, 4):
            two.database.execute("UPDATE certs SET reissue_reason = 'test', due_at = NULL")
            two.fails("run", says=["HTTP 500"])
            assert two.row(NAME, "count_fail_update") == (failures,)
    assert second.paths("order-plz") == []


@pytest.mark.soak
@pytest.mark.parametrize("allowed", [True, False])
def test_caa_is_asked_before_the_fallback(two: Box, proxy: CaProxy, second: CaProxy, lab: Lab, allowed: bool) -> None:
    """A fallback that CAA forbids is never asked for an order; one that it allows is."""
    issuers = "second.example" if allowed else "first.example"
    second.after.append(in_directory(meta={"caaIdentities": ["second.example"]}))
    lab.bind.static_zone("lab.test", [f'@ CAA 0 issue "{issuers}"'])
    two.write(dns={"resolvers": [lab.bind.endpoint]}, renewal={"retry": ["1s"], "max_run": "60s" if allowed else "4s"})
    two.enrol(NAME)
    proxy.before.append(times(99, "order-plz", BROKEN))
    outcome = two.run("run")
    assert (outcome.code == 0) is allowed
    assert len(proxy.paths("order-plz")) >= 2 * TRIES
    assert bool(second.paths("order-plz")) is allowed


@pytest.mark.soak
def test_our_own_dns_trouble_changes_no_ca(two: Box, proxy: CaProxy, second: CaProxy, lab: Lab) -> None:
    """When our name server is down, another CA would meet the same."""
    two.enrol(NAME)
    lab.bind.stop()
    two.write(renewal={"retry": ["1s"], "max_run": "4s"})
    started = time.monotonic()
    two.fails("run", says=["name server"])
    assert time.monotonic() - started < 60
    assert two.row(NAME, "count_fail_update")[0] >= 2
    assert second.seen == []


@pytest.mark.soak
def test_the_key_of_a_fallback_is_changed_alone(two: Box, proxy: CaProxy, second: CaProxy) -> None:
    """With a key file of its own. While that CA cannot tell which key it knows, the first one issues all the same, and
    a later run finishes the change."""
    [fallback] = two.document["acme"]["fallback"]
    fallback["account_key"] = str(two.state_dir / "second.pem")
    two.write()
    two.ok("init")
    two.enrol(NAME)
    proxy.before.append(times(2 * TRIES, "order-plz", BROKEN))
    two.ok("run")
    assert two.row(NAME, "directory") == (second.directory,)
    first, there = accounts(two)
    away = times(99, "", BROKEN)
    second.before.append(lambda request: away(request) if (two.state_dir / "second.pem.new").exists() else None)
    two.fails("account", "rollover", "--directory", second.directory, says=["HTTP 500"])
    assert "account.rollover_unfinished" in two.ok("reissue", NAME).err
    assert two.row(NAME, "directory") == (proxy.directory,)
    second.before.clear()
    two.ok("reissue", NAME)
    assert not (two.state_dir / "second.pem.new").exists()
    assert accounts(two)[0] == first
    assert accounts(two)[1]["url"] == there["url"]
    assert accounts(two)[1]["thumbprint"] != there["thumbprint"]


def accounts(box: Box) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(box.ok("account", "show", "--json").out)
    return found
