"""Another program sets the moments of a row far ahead: the issuer's own memory has the certificate renewed in time."""

import sqlite3
from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
from tests.servers.process import wait_until

NAME = "www.lab.test"


@pytest.fixture
def put_off(box: Box) -> Box:
    """A certificate that a run has looked at, and that is to be renewed by now; its row says that it is not."""
    box.enrol(NAME)
    box.put_aged(NAME, days=90, left=60)
    box.database.execute("UPDATE certs SET directory = 'known', ari_ask_at = NULL")
    box.ok("run")
    let_the_moment_come(box.state_dir / "looks.db")
    box.put_aged(NAME, days=90, left=10)
    box.database.execute("UPDATE certs SET due_at = 9999999999, ts_expire = 9999999999")
    return box


def let_the_moment_come(file: Path) -> None:
    with sqlite3.connect(file) as looks:
        assert looks.execute("UPDATE looks SET moment = 1").rowcount == 1
    looks.close()


def test_a_run_renews_it(put_off: Box) -> None:
    """Once."""
    assert f"{NAME}: stored" in put_off.ok("run").out
    assert "nothing is due" in put_off.ok("run").out


def test_the_daemon_renews_it(put_off: Box) -> None:
    """Its next look finds it."""
    with Service(put_off):
        wait_until(lambda: put_off.row(NAME, "due_at")[0] < 9999999999, "it was renewed")
    assert put_off.orders(NAME)[-1][0] == "STORED"


def test_a_row_that_passes_for_imported_is_told_until_it_is_put_right(put_off: Box) -> None:
    """Nothing is ordered for it meanwhile; then it is renewed by itself."""
    put_off.database.execute("UPDATE certs SET imported = 'Y'")
    for _ in range(2):
        assert NAME in put_off.fails("run", says=["imported"]).out
    assert put_off.orders(NAME) == []
    put_off.fails("run", "--dry-run", says=["imported"])
    put_off.database.execute("UPDATE certs SET imported = NULL")
    assert f"{NAME}: stored" in put_off.ok("run").out
