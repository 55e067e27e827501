"""Two certificates for the same names, of an RSA and an ECDSA key as mail servers have them, due at the same moment."""

import json

from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.ca_proxy import CaProxy, Reply, Request

NAME = "mx.lab.test"
KEYS = {"mx-rsa": "rsa2048", "mx-ecdsa": "ecdsa-p256"}


class SharedOrder:
    """Like Boulder: newOrder for names of which an order waits already is answered with that order."""

    def __init__(self) -> None:
        self._waiting: dict[str, Reply] = {}  # by identifiers
        self.opened = 0

    def __call__(self, request: Request, reply: Reply) -> Reply:
        if "order-plz" in request.path and reply.status == 201:
            names = json.dumps((request.payload or {})["identifiers"])
            self.opened += names not in self._waiting
            earlier = self._waiting.setdefault(names, reply)
            return Reply(reply.status, earlier.body, {**reply.headers, "Location": earlier.headers["Location"]})
        if "finalize-order" in request.path and reply.status == 200:
            self._waiting.clear()
        return reply


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
