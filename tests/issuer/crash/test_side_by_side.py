"""Two issuers on one database: nothing ordered twice, nothing lost. `make soak` has clusters that lose a node."""

import threading
from pathlib import Path

from common.config_file import load
from issuer.commands.wiring import alone, owner
from issuer.model.config import Settings
from tests.issuer.box import Box
from tests.servers.ca_proxy import Before, CaProxy, Reply, Request
from tests.servers.lab import Lab
from tests.servers.sql_server import SqlServer

COUNT = 16


def test_two_issuers_share_what_is_due(lab: Lab, sql_server: SqlServer, tmp_path: Path) -> None:
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
