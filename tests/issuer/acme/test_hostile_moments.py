"""Found by attack: absurd moments, forgotten accounts, rows and keys that are not as they should be."""

import os
import time

import pytest

from tests.issuer.box import Box
from tests.servers.ca_proxy import CaProxy, Reply, Request, problem, times
from tests.servers.lab import Lab

NAME = "www.lab.test"


@pytest.mark.soak
def test_a_hold_lasts_a_day_at_most(proxied: Box, proxy: CaProxy) -> None:
    """A Retry-After of thirty years, or in the year 9999, stops nobody for longer than a day, and breaks no command."""
    for value in ("999999999", "Fri, 31 Dec 9999 23:59:59 -2300"):
        proxied.database.execute("DELETE FROM holds")
        name = proxied.enrol(f"n{len(value)}.lab.test")
        proxy.before.insert(0, times(1, "order-plz", problem("rateLimited", "busy", 503, Retry_After=value)))
        proxied.fails("run", says=[f"{name}: held"])
        assert proxied.row(name, "due_at")[0] <= time.time() + 86_400
        proxied.fails("status", says=[name, "every new order: held until 20"])
        proxied.fails("status", name, says=[f"{name}: held"])


def test_absurd_numbers_in_a_row_stop_only_that_row(proxied: Box) -> None:
    """What an old script wrote where a number belongs, and a damaged certificate, do not stop the others."""
    bad, good = proxied.enrol("bad.lab.test"), proxied.enrol("good.lab.test")
    proxied.ok("run")
    damaged = bytearray(bytes(proxied.row(bad, "crt")[0]))
    damaged[60] ^= 1
    values = f"crt = X'{damaged.hex()}', due_at = NULL, ts_expire = 'soon', ts_last_update = 1e300"
    proxied.database.execute(f"UPDATE certs SET {values} WHERE name = '{bad}'")  # noqa: S608
    proxied.database.execute(f"UPDATE certs SET reissue_reason = 'test', due_at = NULL WHERE name = '{good}'")  # noqa: S608
    assert f"{good}: stored" in proxied.run("run").out
    proxied.run("status")
    proxied.database.execute(f"UPDATE certs SET due_at = 'soon', ari_at = 'x', ari_ask_at = 'y' WHERE name = '{bad}'")  # noqa: S608
    proxied.run("status", bad)
    assert f"{bad}: stored" in proxied.run("issue", bad).out


def test_account_that_the_ca_forgot_in_the_middle_of_a_run(proxied: Box, proxy: CaProxy, lab: Lab) -> None:
    """A CA that lost our account while we run gets it again, and the run goes on."""
    proxied.write(renewal={"retry": ["1s"], "max_run": "30s"})
    proxied.enrol(NAME)
    restarted: list[bool] = []

    def restart(request: Request) -> Reply | None:
        if "order-plz" in request.path and not restarted:
            restarted.append(True)
            lab.pebble.stop()
            lab.pebble.start()
        return None

    proxy.before.append(restart)
    outcome = proxied.ok("run")
    assert "account.changed" in outcome.err
    assert proxied.row(NAME, "count_fail_update") == (0,)
    lab.pebble.stop()  # the next test starts it: this one is about to end with the thread of a connection


def test_run_answers_for_what_failed_before_it(box: Box, lab: Lab) -> None:
    """A certificate in back-off is stayed for within max_run; beyond it the run says so and ends with exit code 1."""
    box.enrol(NAME)
    box.write(renewal={"retry": ["1h"]})
    lab.bind.stop()
    box.fails("run", says=[f"{NAME}: failed"])
    lab.bind.start()
    box.fails("run", says=[f"{NAME}: failed", "next attempt"])
    assert box.row(NAME, "count_fail_update") == (1,)
    box.database.execute(f"UPDATE certs SET due_at = {int(time.time()) + 3}")  # noqa: S608
    box.write(renewal={"max_run": "1m"})
    assert f"{NAME}: stored" in box.ok("run").out


@pytest.mark.soak
def test_revoked_is_not_valid(box: Box) -> None:
    """`status` says so until there is another one."""
    box.enrol(NAME)
    box.ok("run")
    box.ok("revoke", NAME, "--yes")
    outcome = box.run("status")
    assert (outcome.code, "revoked" in outcome.out) == (1, True)
    box.ok("reissue", NAME)
    box.ok("status")


def test_update_that_was_refused_leaves_no_journal(box: Box, lab: Lab) -> None:
    """Where the server never took the value there is nothing to take back: the journal does not keep it for ever. The
    sentence says what is missing."""
    lab.bind.static_zone("parent.test")
    lab.bind.reconfigure()
    box.populate("www.parent.test")
    box.fails("run", says=["zone www.parent.test"])
    assert box.database.query("SELECT COUNT(*) FROM challenges") == [(0,)]


def test_a_world_readable_tsig_key_is_a_configuration_error(box: Box) -> None:
    """Exit code 2 before anything is begun, due or not; no certificate is blamed."""
    box.enrol(NAME)
    lab_key = box.document["dns"]["tsig_key_file"]
    os.chmod(lab_key, 0o644)
    box.refused("run", code=2, says=["0644", "chmod 0600"])
    assert box.row(NAME, "count_fail_update") == (0,)


def test_rollback_and_import_wait_for_an_order_under_way(proxied: Box, proxy: CaProxy) -> None:
    """What an order would write over is refused while it is under way, and a rollback ends the wish for a new one."""
    proxied.enrol(NAME)
    proxied.ok("run")
    proxied.ok("reissue", NAME)
    html = Reply(502, b"<html>", {"Content-Type": "text/html"})
    proxy.before.append(times(99, "/finalize-order/", html))
    proxied.fails("reissue", NAME, says=["HTTP 502"])
    proxied.refused("rollback", NAME, code=1, says=["under way"])
    proxy.before.clear()
    proxied.database.execute("UPDATE certs SET due_at = 1")
    proxied.ok("run")
    proxied.ok("rollback", NAME)
    assert proxied.row(NAME, "reissue_reason") == (None,)
