"""Leaf, chain and key in one file, in any order: written so, read back by the key, and served where the daemon can."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from agent.rules.verify import leaf_in
from tests.agent.host import Host
from tests.servers.nginx import Nginx

PARTS = ("certificate", "chain", "key")
ORDERS = [*permutations(PARTS[:2]), *permutations(PARTS)]
CHAIN_FIRST = [order for order in ORDERS if order.index("chain") < order.index("certificate")]


def combined(host: Host, order: tuple[str, ...]) -> str:
    words = ", ".join(f'"{part}"' for part in order)
    return f'[[certificate.combined]]\npath = "{host.fullchain}"\nparts = [{words}]'


@pytest.mark.sampled
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_it_is_found_by_its_key(host: Host, order: tuple[str, ...]) -> None:
    """Also by an agent that remembers nothing: `check` has nothing against it, and an older one is refused."""
    host.configure(files=combined(host, order))
    assert ("holds the chain before the certificate" in host.agent("check").out) == (order in CHAIN_FIRST)
    issued = host.offer_new()
    assert host.run().certificate["state"] == "unprovable"
    there = {"certificate": issued.cert_pem, "chain": issued.chain_pem, "key": host.key.read_bytes()}
    content = host.fullchain.read_bytes()
    assert content == b"".join(there[part] for part in order)
    leaf = leaf_in([content])
    assert leaf == issued.certificate
    done = host.agent("check", "--json")
    assert {line["name"] for line in done.json["findings"]} == {None}, done.out
    for file in host.state_dir.rglob("*.json"):
        file.unlink()
    older = host.sign(days=10, not_before=datetime.now(UTC) - timedelta(days=5))
    host.offer(older.cert_pem, older.chain_pem)
    done = host.run()
    assert done.certificate["state"] == "refused"
    assert "it was issued earlier" in done.certificate["detail"]
    assert host.fullchain.read_bytes() == content


@pytest.mark.sampled
@pytest.mark.parametrize("order", [*permutations(PARTS)], ids="-".join)
def test_nginx_wants_the_leaf_before_its_chain(host: Host, nginx: Nginx, order: tuple[str, ...]) -> None:
    """It serves every order that has it so; of the others its check says no, and the old file is back."""
    before = host.fullchain.read_bytes()
    host.served_by(nginx, files=combined(host, order))
    issued = host.offer_new()
    done = host.run()
    if order in CHAIN_FIRST:
        assert (done.code, done.certificate["state"]) == (1, "failed")
        assert "key values mismatch" in done.certificate["detail"]
        assert host.fullchain.read_bytes() == before
    else:
        assert done.code == 0, done.err
        assert nginx.served() == issued.certificate
