"""A Galera cluster that loses a node: the run goes on with another one, loses nothing and orders nothing twice.

Run by `make soak`. The stanza for HAProxy is that of docs/many-certificates.md.
"""

import contextlib
import re
from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.servers.balancer import Balancer
from tests.servers.ca_proxy import CaProxy
from tests.servers.galera import Galera
from tests.servers.lab import Lab
from tests.servers.process import wait_until

COUNT = 30
PAGE = Path(__file__).parents[2] / "docs/many-certificates.md"

pytestmark = pytest.mark.soak


def stanza(cluster: Galera) -> str:
    """That of the page, with the nodes of *cluster*."""
    [found] = re.findall(r"```\n(listen galera\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for number, node in enumerate(cluster.nodes, start=1):
        assert f"192.0.2.{number}:3306" in found
        found = found.replace(f"192.0.2.{number}:3306", f"127.0.0.1:{node.port}")
    return str(found)


@pytest.mark.parametrize("balanced", [False, True], ids=["each node is named", "behind HAProxy"])
def test_a_node_that_dies_in_the_middle(lab: Lab, tmp_path: Path, balanced: bool) -> None:
    """It is the one that the issuer talks to. HAProxy closes the sessions of such a one."""
    (tmp_path / "proxy").mkdir()
    with contextlib.ExitStack() as running:
        cluster = running.enter_context(Galera(tmp_path))
        proxy = running.enter_context(CaProxy(tmp_path / "proxy", lab.pebble))
        database = cluster.create_database()
        if balanced:
            before = running.enter_context(Balancer(tmp_path / "haproxy", stanza(cluster), ":3306"))
            database.url = re.sub(r"@.*/", f"@localhost:{before.port}/", database.url)
        box = Box(tmp_path / "box", database, bind=lab.bind, pebble=lab.pebble)
        box.write(acme={"directory": proxy.directory, "ca_bundle": str(proxy.ca_file)})
        box.write(renewal={"retry": ["1s"], "max_run": "8m"})
        box.set_up()
        names = [f"s{number:03d}.lab.test" for number in range(COUNT)]
        box.add_zone(*names)
        lab.bind.reconfigure()
        for name in names:
            box.populate(name)
        run = box.start("run")
        ten_stored = "SELECT COUNT(*) >= 10 FROM orders WHERE state = 'STORED'"
        wait_until(lambda: box.database.query(ten_stored) == [(1,)], "ten are stored")
        cluster.nodes[0].kill()
        out, err = run.communicate(timeout=480)
        assert run.returncode == 0, out + err
        ordered = [(request.payload or {})["identifiers"][0]["value"] for request in proxy.paths("order-plz")]
        assert sorted(ordered) == sorted(names)
        assert box.database.query("SELECT COUNT(*) FROM certs WHERE crt IS NOT NULL") == [(COUNT,)]
        assert box.database.query("SELECT COUNT(*) FROM orders") == [(COUNT,)]


def test_node_without_quorum_is_passed_over(lab: Lab, tmp_path: Path) -> None:
    """A node that lost its peers accepts connections and refuses every statement: the next host is tried."""
    with Galera(tmp_path, 2) as cluster:
        box = Box(tmp_path / "box", cluster.create_database(), bind=lab.bind, pebble=lab.pebble)
        box.set_up()
        cluster.nodes[0].sql("SET GLOBAL wsrep_reject_queries = ALL")
        box.ok("status")
        box.enrol("www.lab.test")
        box.ok("run")
