"""A long bad night: the issuer is killed at random moments, again and again, while certificates are issued and renewed.

Run by `make soak`; how long is for CERTFLEET_SOAK_SECONDS to say.
"""

import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.servers.ca_proxy import CaProxy
from tests.servers.database import Database
from tests.servers.lab import Lab

COUNT = 20
SECONDS = float(os.environ.get("CERTFLEET_SOAK_SECONDS", "90"))
ROUNDS = 40  # one name is ordered 60 times within an hour (issuer/model/limits.py), and a kill may cost one of these

pytestmark = pytest.mark.soak


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """With a CA whose list of orders has pages like those of a real one; Pebble's own have three."""
    with Lab(tmp_path, {"PEBBLE_WFE_ORDERS_PER_PAGE": "100"}) as servers:
        yield servers


def test_random_kills_lose_and_double_nothing(lab: Lab, database: Database, tmp_path: Path) -> None:
    """However often it was killed: every order that the CA opened ended in one stored certificate, no certificate was
    ordered a second time while the first order could be finished, and no TXT value is left."""
    (tmp_path / "proxy").mkdir()
    with CaProxy(tmp_path / "proxy", lab.pebble) as proxy:
        box = Box(tmp_path / "box", database, bind=lab.bind, pebble=lab.pebble)
        box.write(acme={"directory": proxy.directory, "ca_bundle": str(proxy.ca_file)})
        box.set_up()
        names = [f"k{number:03d}.lab.test" for number in range(COUNT)]
        box.add_zone(*names)
        lab.bind.reconfigure()
        for name in names:
            box.populate(name)
        rounds = kills = 0
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and rounds < ROUNDS:
            kills += _killed_until_done(box)
            rounds += 1
            assert box.database.query("SELECT COUNT(*) FROM versions") == [(COUNT * rounds,)]
            assert box.database.query("SELECT COUNT(*) FROM orders WHERE state <> 'STORED'") == [(0,)]
            assert len(proxy.paths("order-plz")) == COUNT * rounds
            assert box.database.query("SELECT COUNT(*) FROM challenges") == [(0,)]
            assert not any(box.txt(name) for name in names)
            assert box.database.query("SELECT SUM(count_fail_update) FROM certs") == [(0,)]
            box.database.execute("UPDATE certs SET reissue_reason = 'soak', due_at = NULL")
        assert kills >= rounds / 2, "the runs were too quick to be killed: nothing was shown"


def _killed_until_done(box: Box) -> int:
    """Runs that are killed after a random moment, until one comes to its end; how many were killed."""
    kills = 0
    while True:
        process = box.start("run")
        try:
            out, err = process.communicate(timeout=random.uniform(0.3, 1.5))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            continue
        assert process.returncode == 0, out + err
        return kills
