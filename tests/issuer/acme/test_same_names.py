"""Two certificates for the same names, of an RSA and an ECDSA key as mail servers have them, due at the same moment."""

from tests.issuer.box import Box
from tests.issuer.shared_order import SharedOrder
from tests.issuer.signing_requests import csr
from tests.servers.ca_proxy import CaProxy

NAME = "mx.lab.test"
KEYS = {"mx-rsa": "rsa2048", "mx-ecdsa": "ecdsa-p256"}


def test_each_gets_an_order_of_its_own(proxied: Box, proxy: CaProxy) -> None:
    """Both are stored at the first try: neither takes the other's order for its own."""
    proxied.add_zone(NAME)
    assert proxied.bind is not None
    proxied.bind.reconfigure()
    for label, kind in KEYS.items():
        proxied.ok("populate", label, "--label", "--csr", "-", stdin=csr([NAME], kind))
        proxied.ok("enable", label)
    rule = SharedOrder()
    proxy.after.append(rule)
    proxied.ok("run")
    assert rule.opened == len(KEYS)
    for label in KEYS:
        assert proxied.row(label, "crt IS NOT NULL", "count_fail_update") == (1, 0)
    assert proxied.database.query("SELECT COUNT(*) FROM orders WHERE state <> 'STORED'") == [(0,)]
    assert not proxied.txt(NAME)
