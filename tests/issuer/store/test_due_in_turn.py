"""A wish for very many certificates keeps no other one waiting that is due."""

from typing import Any

from issuer.store.database import Database
from issuer.store.due_queries import DueQueries
from issuer.store.tables import NEW_ROW, certs
from tests.issuer.store.opened import NOW

DAY = 86400
_CELLS = {"enable": "Y", "certbot": "N", "csr": b"x"}
_MOST = 20


def test_a_wish_for_all_leaves_room_for_what_has_come_and_for_what_expires(store: Database) -> None:
    """Each kind of row has its part of the first ones, as the daemon takes them: those whose moment has come, those of
    the wish that expire within days, and changes."""
    wished = {"due_at": None, "reissue_reason": "all", "ts_expire": NOW + 60 * DAY}
    rows: list[dict[str, Any]] = [{"name": f"all{number:04}.test", **wished} for number in range(100)]
    rows += [{"name": f"come{number}.test", "due_at": NOW - number, "ts_expire": NOW + 9 * DAY} for number in range(3)]
    rows += [{"name": f"wished{days}.test", **wished, "ts_expire": NOW + days * DAY} for days in (2, 1)]
    changes = {"due_at": NOW + DAY, "change_csr": b"y", "change_due_at": NOW, "ts_expire": NOW + 60 * DAY}
    rows += [{"name": f"change{number}.test", **changes} for number in range(2)]
    columns: dict[str, Any] = {"reissue_reason": None, "change_csr": None, "change_due_at": None, **NEW_ROW, **_CELLS}
    store.write(lambda connection: connection.execute(certs.insert(), [columns | row for row in rows]))
    names = list(dict.fromkeys(row.name for row in DueQueries(store, "us").due(NOW, _MOST)))[:_MOST]
    assert [name for name in names if name.startswith("come")] == ["come2.test", "come1.test", "come0.test"]
    assert [name for name in names if name.startswith("wished")] == ["wished1.test", "wished2.test"]
    assert sorted(name for name in names if name.startswith("change")) == ["change0.test", "change1.test"]
    assert sum(name.startswith("all") for name in names) == _MOST - 7
