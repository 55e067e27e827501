"""What a person can do about a moment that the CA named: see it, be told that it still counts, and lift it."""

import time

import pytest

from common.config_file import load
from issuer.commands.wiring import alone
from issuer.model.config import Settings
from issuer.model.limits import OFTEN
from issuer.trust.memory import MEMORY, Memory
from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
from tests.issuer.test_status import hold
from tests.servers.ca_proxy import CaProxy, problem, times

NAME, OTHER = "www.lab.test", "other.lab.test"
LIMITED = problem("rateLimited", "too many new orders", 429, Retry_After="3000")


def held(box: Box, proxy: CaProxy, *, still: bool = False) -> None:
    """Two certificates, both put off because the CA limits the account; it does so no more, or *still*."""
    for name in (NAME, OTHER):
        box.enrol(name)
    proxy.before.append(times(99, "order-plz", LIMITED))
    box.fails("run", says=["too many new orders", f"{NAME}: held", f"{OTHER}: held"])
    if not still:
        proxy.before.clear()


@pytest.mark.soak
def test_issue_of_a_held_account_says_so(proxied: Box, proxy: CaProxy) -> None:
    """Exit code 1 with the reason and how the hold is lifted; the CA is not asked."""
    held(proxied, proxy)
    asked = len(proxy.paths("order-plz"))
    proxied.fails("issue", NAME, says=[f"error: {NAME}: held: ", "too many new orders", "`issue NAME --lift-hold`"])
    proxied.fails("status", says=["every new order: held until", proxied.document["acme"]["directory"]])
    proxied.fails("status", NAME, "--json", says=['"state": "held"'])
    assert len(proxy.paths("order-plz")) == asked


def test_a_lifted_hold_frees_everything_that_waited_for_it(proxied: Box, proxy: CaProxy) -> None:
    """One certificate tries at once; the others are due again; the history tells of it."""
    held(proxied, proxy)
    proxied.ok("issue", NAME, "--lift-hold")
    assert proxied.row(OTHER, "due_at")[0] <= time.time()
    proxied.ok("run")
    assert [state for state, _ in proxied.orders()] == ["STORED", "STORED"]
    assert proxied.database.query("SELECT name, event FROM events WHERE event = 'hold lifted'") == [
        ("*", "hold lifted")
    ]
    proxied.ok("status")


@pytest.mark.parametrize("apart", [-2, 2])
def test_orders_that_were_limited_side_by_side_are_all_freed(proxied: Box, proxy: CaProxy, apart: int) -> None:
    """The CA names a moment in each answer, so one certificate waits for another second than the hold that was kept."""
    held(proxied, proxy)
    proxied.database.execute(f"UPDATE certs SET due_at = due_at + {apart} WHERE name = '{OTHER}'")  # noqa: S608
    proxied.ok("issue", NAME, "--lift-hold")
    assert proxied.row(OTHER, "due_at")[0] <= time.time()


@pytest.mark.soak
def test_a_hold_that_was_lifted_too_soon_costs_one_question(proxied: Box, proxy: CaProxy) -> None:
    """The CA says no again, and everything is held again."""
    held(proxied, proxy, still=True)
    asked = len(proxy.paths("order-plz"))
    proxied.fails("issue", NAME, "--lift-hold", says=[f"{NAME}: held"])
    proxied.fails("run", says=[f"{OTHER}: held"])
    assert len(proxy.paths("order-plz")) == asked + 1


@pytest.mark.soak
def test_a_hold_on_another_name_stays(proxied: Box, proxy: CaProxy) -> None:
    """What concerns one set of names is lifted by that name only."""
    detail = "too many certificates (5) already issued for this exact set of identifiers"
    proxied.enrol(NAME)
    proxied.enrol(OTHER)
    proxy.before.append(times(1, "order-plz", problem("rateLimited", detail, 429, Retry_After="86400")))
    proxied.fails("run", says=["held"])
    [(scope, due_at)] = proxied.database.query("SELECT scope, due_at FROM holds JOIN certs ON scope = name")
    stored = ({NAME, OTHER} - {scope}).pop()
    proxied.ok("issue", stored, "--lift-hold")
    assert proxied.row(scope, "due_at") == (due_at,)
    proxied.ok("issue", scope, "--lift-hold")
    assert proxied.database.query("SELECT * FROM holds") == []


@pytest.mark.soak
def test_beside_a_daemon_it_is_said_and_lifted_too(proxied: Box, proxy: CaProxy) -> None:
    """The wish is left for the daemon; exit code 1 while the CA's moment counts; once lifted it goes on with all."""
    held(proxied, proxy)
    with Service(proxied) as service:
        outcome = proxied.fails("issue", NAME, says=[f"{NAME}: held by a limit", "too many new orders", "--lift-hold"])
        assert "handed to the daemon" not in outcome.out
        [ending] = proxied.fails("issue", NAME, "--json", says=[]).report()["certificates"]
        assert (ending["ending"], ending["next"] is None) == ("held", False)
        assert "handed to the daemon" in proxied.ok("issue", NAME, "--lift-hold").out
        service.wait_stored(NAME)
        service.wait_stored(OTHER)


@pytest.mark.soak
def test_more_orders_than_its_ca_may_bear(box: Box) -> None:
    """Our own hold is shown as the CA's are, and told to who asks a daemon; a person lifts it."""
    box.enrol(NAME)
    memory, now = Memory(box.state_dir / MEMORY), int(time.time())
    for ago in range(60):
        memory.remember_ordered(NAME, now - ago)
    own = ["by certfleet itself", OFTEN.what, "--lift-hold"]
    box.fails("run", says=[f"{NAME}: held", *own])
    box.fails("status", says=[f"{NAME}: held until", *own])
    box.fails("status", NAME, says=own)
    box.fails("status", NAME, "--json", says=['"state": "held"', OFTEN.what])
    with Service(box):
        box.fails("issue", NAME, says=[f"{NAME}: held", *own])
        assert "handed to the daemon" in box.ok("issue", NAME, "--lift-hold").out
    box.ok("run")
    box.ok("status", NAME)


@pytest.mark.soak
def test_the_last_of_so_many_orders_goes_on(box: Box) -> None:
    """While it is under way at the CA no hold of our own is shown: it waits for none."""
    box.enrol(NAME)
    box.ok("run")
    memory, now = Memory(box.state_dir / MEMORY), int(time.time())
    for ago in range(60):
        memory.remember_ordered(NAME, now - ago)
    box.database.execute("UPDATE certs SET reissue_reason = 'x', due_at = NULL")
    assert OFTEN.what in box.run("status", NAME).out
    box.database.execute("UPDATE orders SET state = 'ORDERED', active_name = name")
    assert OFTEN.what not in box.run("status", NAME).out


@pytest.mark.soak
def test_a_busy_issuer_keeps_the_hold(proxied: Box, proxy: CaProxy) -> None:
    """Another run at work: exit code 3, and nothing has changed."""
    held(proxied, proxy)
    before = proxied.contents(), proxied.database.query("SELECT * FROM holds")
    with alone(load(Settings, proxied.config), doing="certfleet-issuer run"):
        proxied.refused("issue", NAME, "--lift-hold", code=3, says=["another run holds", "certfleet-issuer run"])
    assert (proxied.contents(), proxied.database.query("SELECT * FROM holds")) == before


def test_a_hold_of_the_first_ca_holds_up_nothing_that_the_fallback_may_issue(lone_box: Box) -> None:
    """A first certificate is not held while another CA may be asked; with both held it is."""
    fallback = "https://fallback.example/directory"
    lone_box.write(acme={"fallback": [{"directory": fallback}]})
    lone_box.populate(NAME)

    def state() -> str:
        [row] = lone_box.run("status", "--json").report()["certificates"]
        found: str = row["state"]
        return found

    hold(lone_box, "*", 7200)
    assert state() == "waiting for its first certificate"
    hold(lone_box, "*", 7200, directory=fallback)
    assert state() == "held"
