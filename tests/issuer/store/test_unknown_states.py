"""Orders in states that this version does not know: a newer one wrote them, or somebody did, any number of them."""

import time

import pytest
from structlog.testing import capture_logs

from common.config_file import load
from issuer.model.config import Settings
from issuer.store import cells
from issuer.store.due_queries import DueQueries
from issuer.store.orders import Orders
from issuer.store.revision import open_database
from tests.issuer.box import Box


def test_many_unknown_states(lone_box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are one number of /metrics, and few lines of the log however often it looks."""
    monkeypatch.setattr(cells, "_warned", {})
    values = ", ".join(f"('n{number}', 'n{number}', 'S{number}', 'd', 1, 1)" for number in range(300))
    columns = "name, active_name, state, directory, created_at, updated_at"
    lone_box.database.execute(f"INSERT INTO orders ({columns}) VALUES {values}")  # noqa: S608
    database, now = open_database(load(Settings, lone_box.config).database), int(time.time())
    assert DueQueries(database, "me").survey(now, stuck_after=10, most=9).orders == {"other": 300}
    with capture_logs() as logs:
        for _ in range(3):
            assert Orders(database, "me").under_way(now) == []
    assert [entry["event"] for entry in logs] == ["row.skipped"] * 20 + ["rows.skipped"]
