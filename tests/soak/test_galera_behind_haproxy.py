"""Galera behind HAProxy, by the stanza of docs/many-certificates.md: a node that dies costs no certificate.

Run by `make soak`.
"""

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


def test_a_node_that_dies_behind_haproxy(lab: Lab, tmp_path: Path) -> None:
    """The sessions of the node that served are closed, the run goes on with the next node, and orders nothing twice."""
    (tmp_path / "proxy").mkdir()
    with (
        Galera(tmp_path) as cluster,
        Balancer(tmp_path / "haproxy", stanza(cluster), ":3306") as before,
        CaProxy(tmp_path / "proxy", lab.pebble) as proxy,
    ):
        database = cluster.create_database()
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
