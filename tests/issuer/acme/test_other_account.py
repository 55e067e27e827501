"""A second issuer on the database with an account key of its own: orders of the first are not its to end."""

from pathlib import Path

import pytest

from issuer.ca.account import create_account_key
from tests.issuer.box import Box
from tests.servers.ca_proxy import CaProxy, problem, times

NAME = "www.lab.test"
SAYS = ["another account key opened it", "copy the account key of the issuer that opened it"]


@pytest.fixture
def other_key(proxied: Box, tmp_path: Path) -> str:
    """The order is opened already, with the first key."""
    proxied.enrol(NAME)
    proxied.ok("challenges", NAME)
    create_account_key(tmp_path / "other.pem")
    return str(tmp_path / "other.pem")


def test_a_step_by_hand_leaves_the_order_alone(proxied: Box, other_key: str) -> None:
    """The error names the key to copy, and with that key the order goes on."""
    [before] = proxied.orders(NAME)
    proxied.write(acme={"account_key": other_key})
    refused = proxied.fails("solve", NAME, "--force", says=SAYS)
    assert "check the zone" not in refused.err
    assert proxied.orders(NAME) == [before]
    proxied.write(acme={"account_key": ""})
    assert "not there yet" in proxied.run("solve", NAME).out


def test_a_run_leaves_the_order_alone_for_a_while(proxied: Box, other_key: str) -> None:
    """It fails with the remedy; once its tries come daily only, a new order is better than none."""
    [before] = proxied.orders(NAME)
    proxied.change_orders("UPDATE orders SET reason = 'renewal', deadline = NULL")
    proxied.write(acme={"account_key": other_key})
    proxied.fails("run", says=SAYS)
    assert proxied.orders(NAME) == [before]
    assert proxied.row(NAME, "last_reference") == ("other-account",)
    for _ in range(2):
        proxied.database.execute("UPDATE certs SET due_at = NULL")
        outcome = proxied.run("run")
    assert outcome.code == 0
    assert [state for state, _ in proxied.orders(NAME)] == ["FAILED", "STORED"]


def test_the_words_of_lets_encrypt(proxied: Box, proxy: CaProxy) -> None:
    """Boulder answers 404 and "malformed", with the account in its words; a forgotten order is another thing."""
    proxied.enrol(NAME)
    proxied.ok("challenges", NAME)
    proxy.before.append(times(1, "/my-order/", problem("malformed", "No order found for account ID 7", 404)))
    proxied.refused("solve", NAME, code=1, says=SAYS)
    proxy.before.append(times(1, "/my-order/", problem("malformed", "No order for ID 9", 404)))
    proxied.fails("solve", NAME, says=["No order for ID 9"])
    assert [state for state, _ in proxied.orders(NAME)] == ["FAILED"]


def test_a_revocation_by_another_account(box: Box, tmp_path: Path) -> None:
    """The hint is about the account, and not about the zone; nothing is written down as revoked."""
    box.enrol(NAME)
    box.ok("issue", NAME)
    create_account_key(tmp_path / "other.pem")
    box.write(acme={"account_key": str(tmp_path / "other.pem")})
    refused = box.fails("revoke", NAME, "--yes", says=["refused", "name the account_key that it was issued with"])
    assert "check the zone" not in refused.err
    assert box.row(NAME, "revoked") == (None,)
