"""challenges → solve → request: a person publishes, certfleet does the rest, and nothing is done behind their back."""

import subprocess

from tests.issuer.box import Box
from tests.servers.ca_proxy import CaProxy

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
    _nsupdate(proxied, f'update add {challenge["owner"]}. 1 TXT "{challenge["value"]}"')
    proxied.ok("solve", NAME)
    assert "stored" in proxied.ok("request", NAME).out
    assert len(proxy.paths("order-plz")) == 1
    assert proxied.orders(NAME)[0][0] == "STORED"
    assert proxied.txt(NAME) == {challenge["value"]}, "what a person published is that person's"
    assert proxied.database.query("SELECT COUNT(*) FROM challenges") == [(0,)]


def test_run_leaves_an_order_in_hand_alone(proxied: Box) -> None:
    """The daily cron does not publish what a person is working on, and goes on with it when the day is over."""
    proxied.enrol(NAME)
    proxied.ok("challenges", NAME)
    assert "being issued by hand" in proxied.ok("run").out
    assert proxied.txt(NAME) == set()
    proxied.database.execute("UPDATE orders SET deadline = 1")
    proxied.database.execute("UPDATE certs SET due_at = NULL")
    assert "1 stored" in proxied.ok("run").out
    assert len(proxied.orders(NAME)) == 1


def test_wrong_order_of_steps(proxied: Box, proxy: CaProxy) -> None:
    """request before solve says what comes first; nothing is finalized."""
    proxied.enrol(NAME)
    proxied.ok("challenges", NAME)
    proxied.refused("request", NAME, code=1, says=["not validated", "solve"])
    assert proxy.paths("/finalize-order/") == []


def _nsupdate(box: Box, line: str) -> None:
    dns = box.document["dns"]
    script = f"server {dns['server']} {dns['port']}\n{line}\nsend\n"
    subprocess.run(["nsupdate", "-k", dns["tsig_key_file"]], input=script, text=True, check=True, timeout=20)
