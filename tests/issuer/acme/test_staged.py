"""challenges → solve → request: a person publishes, certfleet does the rest, and nothing is done behind their back."""

import subprocess
import time
from pathlib import Path

import pytest

from common.config_file import load
from issuer.ca.account import create_account_key
from issuer.commands.wiring import alone
from issuer.model.config import Settings
from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
from tests.servers.ca_proxy import CaProxy, Reply, Request, problem, times

NAME = "hand.lab.test"


def test_three_steps_by_hand(proxied: Box, proxy: CaProxy) -> None:
    """What is printed is published by hand; solve refuses to ask the CA before it can be seen; request stores."""
    proxied.enrol(NAME)
    [challenge] = proxied.ok("challenges", NAME, "--json").report()
    assert (challenge["type"], challenge["owner"]) == ("dns-01", f"_acme-challenge.{NAME}")
    assert proxied.txt(NAME) == set()
    early = proxied.run("solve", NAME)
    assert early.code == 1
    assert "not there yet" in early.out
    assert proxy.paths("/chalZ/") == []
    nsupdate(proxied, f'update add {challenge["owner"]}. 1 TXT "{challenge["value"]}"')
    proxied.ok("solve", NAME)
    assert "stored" in proxied.ok("request", NAME).out
    assert len(proxy.paths("order-plz")) == 1
    assert proxied.orders(NAME)[0][0] == "STORED"
    assert proxied.txt(NAME) == {challenge["value"]}, "what a person published is that person's"
    assert proxied.database.query("SELECT COUNT(*) FROM challenges") == [(0,)]


@pytest.mark.soak
def test_request_does_not_wait_without_end(proxied: Box, proxy: CaProxy) -> None:
    """When the CA takes its time, that is said, and lock and lease are given back; asked again later, it stores."""
    proxied.enrol(NAME)
    [challenge] = proxied.ok("challenges", NAME, "--json").report()
    nsupdate(proxied, f'update add {challenge["owner"]}. 1 TXT "{challenge["value"]}"')
    proxied.ok("solve", NAME)

    def processing(request: Request, reply: Reply) -> Reply:
        issued = "/finalize-order/" in request.path
        return Reply(200, reply.body.replace(b"valid", b"processing"), reply.headers) if issued else reply

    proxy.after.append(processing)
    with proxied.timed(ca_seconds=0):
        proxied.refused(
            "request", NAME, code=1, says=["makes no progress with the order", "looks at the same order again"]
        )
    assert proxied.database.query("SELECT state, lease_owner FROM orders") == [("FINALIZING", None)]
    assert "stored" in proxied.ok("request", NAME).out
    assert len(proxy.paths("order-plz")) == 1


@pytest.mark.parametrize("over", ["1", "deadline + 31536000"], ids=["a day later", "a clock was ahead"])
def test_run_leaves_an_order_in_hand_alone(proxied: Box, over: str) -> None:
    """The daily cron does not publish what a person is working on, and goes on with it when the day is over; a moment
    further ahead was never meant, and nothing believes it."""
    proxied.enrol(NAME)
    proxied.ok("challenges", NAME)
    assert "being issued by hand" in proxied.ok("run").out
    assert proxied.txt(NAME) == set()
    assert "by hand until" in proxied.run("status").out
    proxied.database.execute(f"UPDATE orders SET deadline = {over}")  # noqa: S608
    proxied.database.execute("UPDATE certs SET due_at = NULL")
    assert "by hand until" not in proxied.run("status").out
    assert proxied.run("status", NAME, "--json").report()["certificates"][0]["order"]["by_hand"] is False
    assert "1 stored" in proxied.ok("run").out
    assert len(proxied.orders(NAME)) == 1


def test_wrong_order_of_steps(proxied: Box, proxy: CaProxy) -> None:
    """request before solve says what comes first; nothing is finalized."""
    proxied.enrol(NAME)
    proxied.ok("challenges", NAME)
    proxied.refused("request", NAME, code=1, says=["not validated", "solve"])
    assert proxy.paths("/finalize-order/") == []


@pytest.mark.sampled
@pytest.mark.parametrize("words", [["issue", NAME], ["reissue", NAME], ["issue", NAME, "--json"]], ids=" ".join)
def test_issue_takes_an_order_over_that_is_in_hand(proxied: Box, proxy: CaProxy, words: list[str]) -> None:
    """The same order is gone on with as with any other, and a line says so; a step at work elsewhere is let finish."""
    proxied.enrol(NAME)
    proxied.ok("run")
    proxied.ok("challenges", NAME)
    until = int(time.time()) + 500
    proxied.database.execute(f"UPDATE orders SET lease_owner = 'far/1', lease_until = {until} WHERE active_name > ''")  # noqa: S608
    before = proxied.contents()
    proxied.refused(*words, code=3, says=["another issuer, far/1, works on the order", "let it finish"])
    assert proxied.contents() == before
    proxied.database.execute("UPDATE orders SET lease_until = 1")
    assert f"{NAME}: taken over from the steps by hand" in proxied.ok(*words).err
    assert [state for state, _ in proxied.orders(NAME)] == ["STORED", "STORED"]
    assert len(proxy.paths("order-plz")) == 2
    assert proxied.txt(NAME) == set()
    proxied.refused("solve", NAME, code=1, says=["no order"])


def test_beside_a_daemon_issue_takes_the_order_over_too(proxied: Box, proxy: CaProxy) -> None:
    """The wish is handed to the daemon, and the order with it."""
    proxied.enrol(NAME)
    proxied.ok("challenges", NAME)
    with Service(proxied) as service:
        outcome = proxied.ok("issue", NAME)
        assert f"{NAME}: taken over from the steps by hand" in outcome.err
        service.wait_stored(NAME)
    assert len(proxy.paths("order-plz")) == 1


def test_refusals_tell_an_order_in_hand_from_one_under_way(proxied: Box) -> None:
    """Until when it is in a person's hands and what ends that; of any other one, that `run` finishes it."""
    proxied.enrol(NAME)
    proxied.ok("run")
    proxied.ok("reissue", NAME)
    proxied.ok("challenges", NAME)
    proxied.refused("rollback", NAME, code=1, says=["in a person's hands until 20", f"`issue {NAME}` take it over"])
    assert "until 20" in proxied.ok("run", NAME).out
    proxied.database.execute("UPDATE orders SET reason = 'renewal'")
    proxied.refused("rollback", NAME, code=1, says=["under way", "`certfleet-issuer run`"])


def test_a_failed_step_leaves_its_reason_and_nothing_wanted(proxied: Box, proxy: CaProxy, tmp_path: Path) -> None:
    """The failure stands in `status`; the moment of the renewal is the old one, and `run` orders nothing."""
    proxied.enrol(NAME)
    proxied.ok("run")
    create_account_key(tmp_path / "fresh.pem")  # Pebble may reuse the valid authorization of the account before
    proxied.write(acme={"account_key": str(tmp_path / "fresh.pem")})
    before = proxied.row(NAME, "due_at", "reissue_reason", "count_fail_update")
    proxied.ok("challenges", NAME)
    proxied.refused("solve", NAME, "--force", code=1, says=["could not validate"])
    assert proxied.row(NAME, "due_at", "reissue_reason", "count_fail_update") == before
    [shown] = proxied.ok("status", NAME, "--json").report()["certificates"]
    assert "could not validate" in shown["last_error"]
    assert shown["events"][0]["event"] == "failed by hand"
    assert "nothing is due" in proxied.ok("run").out
    assert len(proxy.paths("order-plz")) == 2


@pytest.mark.soak
@pytest.mark.parametrize("held", [False, True], ids=["refused", "held"])
def test_challenges_that_open_nothing_leave_nothing_wanted(proxied: Box, proxy: CaProxy, held: bool) -> None:
    """Refused by the CA, or held by its limit: the next `run` does not issue what nobody asked it for."""
    proxied.enrol(NAME)
    proxied.ok("run")
    if held:
        proxied.write(acme={"limit_new_orders": "1/1h"})
    else:
        proxy.before.append(times(1, "order-plz", problem("rejectedIdentifier", "not this name", 400)))
    proxied.refused("challenges", NAME, code=1, says=[NAME] if held else ["not this name"])
    proxied.write(acme={"limit_new_orders": ""})
    assert "stored" not in proxied.ok("run").out
    assert proxied.row(NAME, "reissue_reason") == (None,)


@pytest.mark.soak
def test_reissue_of_many_leaves_it_out(proxied: Box) -> None:
    """`reissue --all` replaces the others and says which one it left to its person."""
    for name in (NAME, "other.lab.test"):
        proxied.enrol(name)
    proxied.ok("run")
    proxied.ok("challenges", NAME)
    outcome = proxied.ok("reissue", "--all")
    assert f"{NAME}: left out, because a person issues it by hand" in outcome.err
    assert "other.lab.test: stored" in outcome.out
    assert f"{NAME}: stored" not in outcome.out


STEPS = ("challenges", "solve", "request")


def test_beside_a_daemon_each_step_says_how_to_get_the_lock(proxied: Box) -> None:
    """Exit code 3, who holds the lock, and the command that stops it for a while."""
    proxied.enrol(NAME)
    proxied.ok("disable", NAME)
    with Service(proxied):
        before = proxied.contents()
        for step in STEPS:
            says = ["certfleet-issuer daemon", "a step by hand needs it", "`systemctl stop certfleet-issuer-daemon`"]
            assert proxied.refused(step, NAME, code=3, says=says).out == ""
        assert proxied.contents() == before


@pytest.mark.sampled
@pytest.mark.parametrize("step", STEPS)
def test_another_run_or_issuer_at_work(proxied: Box, step: str) -> None:
    """The lock of another run, the lease of another issuer: exit code 3, who it is, and nothing has changed."""
    proxied.enrol(NAME)
    proxied.ok("challenges", NAME)
    with alone(load(Settings, proxied.config), doing="certfleet-issuer run"):
        outcome = proxied.refused(
            step, NAME, code=3, says=["another run holds", "certfleet-issuer run", "let it finish"]
        )
        assert "systemctl" not in outcome.err
    until = int(time.time()) + 500
    proxied.database.execute(f"UPDATE orders SET lease_owner = 'far/1', lease_until = {until}")  # noqa: S608
    before = proxied.contents()
    proxied.refused(step, NAME, code=3, says=["another issuer, far/1,", f"for {NAME} until", "let it finish"])
    assert proxied.contents() == before
    proxied.database.execute("UPDATE orders SET lease_until = 1")
    assert proxied.run(step, NAME).code != 3


def nsupdate(box: Box, line: str) -> None:
    dns = box.document["dns"]
    script = f"server {dns['server']} {dns['port']}\n{line}\nsend\n"
    subprocess.run(["nsupdate", "-k", dns["tsig_key_file"]], input=script, text=True, check=True, timeout=20)


@pytest.mark.soak
def test_what_run_had_published_is_taken_back_after_steps_by_hand(proxied: Box, proxy: CaProxy) -> None:
    """An order that a run left published is finished by hand: its value does not stay in the zone."""
    proxied.enrol(NAME)
    trouble = times(99, "/chalZ/", problem("serverInternal", "busy", 500))
    proxy.before.append(trouble)
    proxied.run("run")
    assert proxied.txt(NAME) != set()
    proxy.before.remove(trouble)
    proxied.ok("solve", NAME)
    proxied.ok("request", NAME)
    assert proxied.txt(NAME) == set()
    assert proxied.database.query("SELECT COUNT(*) FROM challenges") == [(0,)]
