"""A private CA whose root signs by itself sends a leaf alone: no chain, and nothing is missing."""

import time
from pathlib import Path

import pytest

from common.certificate import parse_bundle
from tests.agent.host import Host
from tests.issuer.box import Box
from tests.servers.authority import Authority
from tests.servers.boulder_names import BoulderNames
from tests.servers.ca_proxy import CaProxy

NAME = "inner.lab.test"


@pytest.fixture
def root(proxied: Box, proxy: CaProxy) -> Authority:
    """The CA signs with its root; a certificate is wanted."""
    made = Authority("Private Root")
    BoulderNames(proxy, made)
    proxied.add_zone(NAME)
    assert proxied.bind is not None
    proxied.bind.reconfigure()
    return made


def trust(box: Box, proxy: CaProxy, *roots: Authority) -> None:
    """ca_bundle: of the CA's own web server, and *roots*."""
    bundle = box.folder / "bundle.pem"
    bundle.write_bytes(proxy.ca_file.read_bytes() + b"".join(root.pem for root in roots))
    box.write(acme={"directory": proxy.directory, "ca_bundle": str(bundle)})


def test_a_root_in_ca_bundle_completes_the_chain(proxied: Box, proxy: CaProxy, root: Authority, tmp_path: Path) -> None:
    """It is stored with its root, and an agent installs it."""
    trust(proxied, proxy, Authority("Another Root"), root)
    host = Host(tmp_path / "host", NAME)
    host.make_key()
    host.agent("request", NAME, "--key", str(host.key), "--csr", str(tmp_path / "host.csr"))
    proxied.ok("populate", NAME, "--csr", str(tmp_path / "host.csr"))
    proxied.ok("enable", NAME)
    proxied.ok("run")
    crt, chain = proxied.row(NAME, "crt", "ca")
    assert parse_bundle(crt, chain).chain == (root.certificate,)
    host.roots.write_bytes(root.pem)
    host.configure()
    host.offer(crt, chain)
    done = host.run()
    assert done.code == 0, done.out + done.err
    assert host.fullchain.read_bytes() == crt + chain


@pytest.mark.usefixtures("root")
def test_without_it_the_answer_is_refused(proxied: Box, proxy: CaProxy) -> None:
    """A truncated answer of a public CA looks the same: it is said, and ordered again once a day at most."""
    trust(proxied, proxy)
    proxied.populate(NAME)
    proxied.fails("run", says=["the chain is empty", "'Private Root' is missing", "add that root to the file"])
    [(due_at,)] = proxied.database.query("SELECT due_at FROM certs")
    assert due_at > time.time() + 80_000


def test_names_that_the_ca_adds(proxied: Box, proxy: CaProxy) -> None:
    """Refused, or with extra_names stored and told."""
    ca = BoulderNames(proxy)
    ca.adds = ["extra.lab.test"]
    proxied.enrol(NAME)
    proxied.fails("run", says=[f"its names are extra.lab.test, {NAME}, the CSR asks for {NAME}", "report it to the CA"])
    proxied.write(acme={"extra_names": True})
    assert "extra.lab.test" in proxied.ok("issue", NAME).err
    proxied.ok("run")
    assert proxied.orders(NAME)[-1][0] == "STORED"
    assert len(proxied.orders(NAME)) == 2
    told = [event for event in proxied.ok("history", NAME, "--json").report()["events"] if "names" in event["event"]]
    assert [(event["event"], event["detail"]) for event in told] == [("names added", "the CA added extra.lab.test")]
