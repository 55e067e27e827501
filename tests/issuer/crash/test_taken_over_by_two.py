"""An issuer is killed in the middle, and two others take over its orders at the same moment."""

import signal
from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.issuer.crash.killer import killed_run
from tests.servers.ca_proxy import CaProxy
from tests.servers.lab import Lab
from tests.servers.sql_server import SqlServer

COUNT = 4


@pytest.mark.parametrize(
    ("place", "nth"),
    [("issuer.ca.client:AcmeCa.open_order", 2), ("issuer.store.orders:Orders.save", 6)],
)
def test_two_issuers_take_over(lab: Lab, sql_server: SqlServer, tmp_path: Path, place: str, nth: int) -> None:
    """Each order is gone on with once: the CA sees one order and one finalization of each certificate, one is stored,
    and no issuer takes what another one has sealed for planted."""
    database = sql_server.create_database()
    (tmp_path / "proxy").mkdir()
    with CaProxy(tmp_path / "proxy", lab.pebble) as proxy:
        boxes = [Box(tmp_path / name, database, bind=lab.bind, pebble=lab.pebble) for name in ("one", "two", "three")]
        for box in boxes:
            account = str(tmp_path / "account.pem")
            box.write(acme={"directory": proxy.directory, "ca_bundle": str(proxy.ca_file), "account_key": account})
            box.set_up()
        names = [f"t{number}-{nth}-{len(place)}.lab.test" for number in range(COUNT)]
        boxes[0].add_zone(*names)
        assert lab.bind is not None
        lab.bind.reconfigure()
        for name in names:
            boxes[0].populate(name)
        assert killed_run(boxes[0], place, "after", nth) == -signal.SIGKILL
        under_way = database.query("SELECT COUNT(*) FROM orders WHERE active_name > ''")
        assert under_way != [(0,)]
        database.execute("UPDATE orders SET lease_until = 1")  # ten minutes later
        runs = [box.start("run", "--json") for box in boxes[1:]]
        outputs = [run.communicate(timeout=240) for run in runs]
        assert [run.returncode for run in runs] == [0, 0], outputs
        assert "order.planted" not in str(outputs)
        ordered = [(request.payload or {})["identifiers"][0]["value"] for request in proxy.paths("order-plz")]
        assert sorted(ordered) == names, outputs
        assert len(proxy.paths("/finalize-order/")) == COUNT
    assert sum(out.count('"stored"') for out, _ in outputs) == COUNT, outputs
    assert database.query("SELECT COUNT(*) FROM versions") == [(COUNT,)]
    assert database.query("SELECT COUNT(*) FROM challenges") == [(0,)]
    for box in boxes:
        assert "not signed" not in box.ok("status").out
