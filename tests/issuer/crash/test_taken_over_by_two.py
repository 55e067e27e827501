"""An issuer is killed in the middle, and two others take over its order at the same moment."""

import signal
import threading
from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.issuer.crash.killer import killed_run
from tests.servers.ca_proxy import CaProxy, Reply, Request
from tests.servers.lab import Lab
from tests.servers.process import wait_until
from tests.servers.sql_server import SqlServer


class Barrier:
    """Holds what two issuers ask the CA for at *path*, until it is *open*."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.held = 0
        self.open = threading.Event()

    def __call__(self, request: Request) -> Reply | None:
        if self._path in request.path and not self.open.is_set():
            self.held += 1
            self.open.wait(30)
        return None


@pytest.mark.soak
def test_two_issuers_take_over(lab: Lab, sql_server: SqlServer, tmp_path: Path) -> None:
    """The order is gone on with once: while one issuer is at the CA with it, the other one leaves it alone and ends.
    One order, one finalization, one certificate; and no issuer takes what another one has sealed for planted."""
    database, name = sql_server.create_database(), "t1.lab.test"
    (tmp_path / "proxy").mkdir()
    with CaProxy(tmp_path / "proxy", lab.pebble) as proxy:
        boxes = [Box(tmp_path / number, database, bind=lab.bind, pebble=lab.pebble) for number in ("one", "two")]
        for box in boxes:
            account = str(tmp_path / "account.pem")
            box.write(acme={"directory": proxy.directory, "ca_bundle": str(proxy.ca_file), "account_key": account})
            box.set_up()
        boxes[0].enrol(name)
        assert killed_run(boxes[0], "issuer.store.orders:Orders.open", "after", 1) == -signal.SIGKILL
        assert database.query("SELECT COUNT(*) FROM orders WHERE active_name > ''") == [(1,)]
        # ten minutes later; the killed one is somebody else than the two
        database.execute("UPDATE orders SET lease_until = 1, lease_owner = 'killed'")
        barrier = Barrier("order-plz")
        proxy.before.append(barrier)
        runs = [box.start("run", "--json") for box in boxes]
        ended = "one is at the CA, and the other one too or at its end"
        wait_until(
            lambda: barrier.held > 1 or (barrier.held == 1 and any(run.poll() is not None for run in runs)), ended
        )
        barrier.open.set()
        outputs = [run.communicate(timeout=60) for run in runs]
        assert barrier.held == 1, outputs
        assert [run.returncode for run in runs] == [0, 0], outputs
        assert "order.planted" not in str(outputs)
        assert [len(proxy.paths(path)) for path in ("order-plz", "/finalize-order/")] == [1, 1], outputs
    assert sum(out.count('"stored"') for out, _ in outputs) == 1, outputs
    assert database.query("SELECT COUNT(*) FROM versions") == [(1,)]
    assert database.query("SELECT COUNT(*) FROM challenges") == [(0,)]
    for box in boxes:
        assert "not signed" not in box.ok("status").out
