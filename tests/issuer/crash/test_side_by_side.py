"""Two issuers on one database, and one issuer on a cluster that loses a node: nothing ordered twice, nothing lost."""

import threading
from pathlib import Path

from common.config_file import load
from issuer.commands.wiring import alone, owner
from issuer.model.config import Settings
from tests.issuer.box import Box
from tests.servers.ca_proxy import Before, CaProxy, Reply, Request
from tests.servers.galera import Galera
from tests.servers.lab import Lab
from tests.servers.process import wait_until
from tests.servers.sql_server import SqlServer

COUNT = 30


def test_two_issuers_share_thirty_certificates(lab: Lab, sql_server: SqlServer, tmp_path: Path) -> None:
    """Both work, together they store everything, and the CA saw one order for each certificate."""
    database = sql_server.create_database()
    (tmp_path / "proxy").mkdir()
    with CaProxy(tmp_path / "proxy", lab.pebble) as proxy:
        boxes = [Box(tmp_path / name, database, bind=lab.bind, pebble=lab.pebble) for name in ("one", "two")]
        for box in boxes:
            account = str(tmp_path / "account.pem")  # issuers that share a database share the account
            box.write(acme={"directory": proxy.directory, "ca_bundle": str(proxy.ca_file), "account_key": account})
            box.set_up()
        names = _enrol(boxes[0], COUNT)
        proxy.before.append(_once_both_are_there(proxy))
        runs = [box.start("run", "--json") for box in boxes]
        outputs = [run.communicate(timeout=480) for run in runs]
        assert [run.returncode for run in runs] == [0, 0], outputs
        ordered = [(request.payload or {})["identifiers"][0]["value"] for request in proxy.paths("order-plz")]
        stored = [out.count('"stored"') for out, _ in outputs]
    assert sorted(ordered) == sorted(names)
    assert sum(stored) == COUNT
    assert min(stored) > COUNT // 10, stored
    assert database.query("SELECT COUNT(*) FROM certs WHERE crt IS NOT NULL AND count_fail_update = 0") == [(COUNT,)]
    assert database.query("SELECT COUNT(*) FROM challenges") == [(0,)]


def test_cluster_that_loses_a_node_in_the_middle(lab: Lab, tmp_path: Path) -> None:
    """The node that the issuer talks to is killed: the run goes on with another one, and ends with all stored, each
    ordered once."""
    (tmp_path / "proxy").mkdir()
    with Galera(tmp_path) as cluster, CaProxy(tmp_path / "proxy", lab.pebble) as proxy:
        box = Box(tmp_path / "box", cluster.create_database(), bind=lab.bind, pebble=lab.pebble)
        box.write(acme={"directory": proxy.directory, "ca_bundle": str(proxy.ca_file)})
        box.write(renewal={"retry": ["1s"], "max_run": "8m"})
        box.set_up()
        names = _enrol(box, COUNT)
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


def test_who_deletes_the_lock_lets_another_issuer_in(lone_box: Box) -> None:
    """Two runs under one name in leases would order the same twice, so the second one gets a name of its own."""
    settings, file = load(Settings, lone_box.config), lone_box.state_dir / "issuer.id"
    with alone(settings, doing="certfleet-issuer run"):
        lone_box.refused("run", code=3, says=["another run holds", "issuer.id", "never delete the file"])
        ours = owner(settings)
        assert file.read_text(encoding="ascii").splitlines()[0] in ours
        file.unlink()
        other = lone_box.start("run")
        out, err = other.communicate(timeout=60)
        assert other.returncode == 0, out + err
        assert file.read_text(encoding="ascii").splitlines()[0] not in ours
        assert owner(settings) == ours


def _once_both_are_there(proxy: CaProxy) -> Before:
    """A rule that lets the CA open no order before each of two issuers has read its directory."""
    both = threading.Event()

    def rule(request: Request) -> Reply | None:
        if len(proxy.paths("/dir")) >= 2:
            both.set()
        if "order-plz" in request.path:
            both.wait(60)
        return None

    return rule


def _enrol(box: Box, count: int) -> list[str]:
    names = [f"s{number:03d}.lab.test" for number in range(count)]
    box.add_zone(*names)
    assert box.bind is not None
    box.bind.reconfigure()
    for name in names:
        box.populate(name)
    return names
