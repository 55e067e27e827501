"""A secondary twenty seconds behind its primary, and a CA that asks the secondary."""

import time
from pathlib import Path

from tests.issuer.box import Box
from tests.servers.bind import Bind
from tests.servers.database import SqliteDatabase
from tests.servers.pebble import Pebble

LAG_SECONDS = 20


def test_the_first_try_succeeds_where_haste_fails(tmp_path: Path) -> None:
    """Waiting for both servers, the one and only order is validated at once when the secondary has caught up; a client
    that answers as soon as the primary shows the record fails on the same servers."""
    with Bind(tmp_path / "bind") as bind:
        box = Box(tmp_path / "box", SqliteDatabase(tmp_path), bind=bind)
        box.set_up()
        for name in ("hasty.example.test", "patient.example.test"):
            box.add_zone(name)
        bind.reconfigure()
        with (
            Bind(tmp_path / "late", secondary_of=bind, lag_seconds=LAG_SECONDS) as late,
            Pebble(tmp_path / "pebble", late.endpoint) as pebble,
        ):
            box.trust(pebble)
            box.write(dns={"nameservers": [bind.endpoint]})
            hasty = box.populate("hasty.example.test")
            box.fails("run", says=["the CA could not validate"])
            assert [state for state, _ in box.orders(hasty)] == ["FAILED"]
            box.ok("disable", hasty)
            box.write(dns={"nameservers": [bind.endpoint, late.endpoint]})
            patient = box.populate("patient.example.test")
            started = time.monotonic()
            said = box.ok("run").out
            assert f"({patient}): {late.endpoint}: does not show 1 of 1 values yet; looks again at 20" in said
            assert LAG_SECONDS - 1 < time.monotonic() - started < LAG_SECONDS + 20
            assert [state for state, _ in box.orders(patient)] == ["STORED"]
