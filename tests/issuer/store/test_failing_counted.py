"""The daemon counts every minute how many certificates fail."""

from typing import Any

import sqlalchemy as sa

from issuer.store.database import Database
from issuer.store.due_queries import DueQueries
from issuer.store.tables import NEW_ROW, certs
from tests.issuer.store.opened import NOW

_CELLS: dict[str, Any] = {"enable": "Y", "certbot": "N", "csr": b"x", "due_at": NOW + 9, "change_failures": None}
_CELLS |= {"change_due_at": None, "last_error": None}


def test_who_fails_is_counted_without_reading_every_row(store: Database) -> None:
    """Rows that fail, rows whose change fails, and one of which both fail, each once. A count without an error was left
    by an old script."""
    failed = {"last_error": "no server"}
    waits = {"change_due_at": NOW + 9, "change_failures": 0}
    rows: list[dict[str, Any]] = [
        {"name": "well.test"},
        {"name": "waits.test", **waits},
        {"name": "row.test", "count_fail_update": 2, **failed},
        {"name": "script.test", "count_fail_update": 2},
        {"name": "change.test", **waits, "change_failures": 1},
        {"name": "odd.test", **waits, "change_failures": 1, "count_fail_update": -1},
        {"name": "both.test", **waits, "change_failures": 1, "count_fail_update": 1, **failed},
        {"name": "disabled.test", "enable": "N", "count_fail_update": 1, **failed},
    ]
    columns: dict[str, Any] = {**NEW_ROW, **_CELLS}
    store.write(lambda connection: connection.execute(certs.insert(), [columns | row for row in rows]))
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        asked.append((statement, parameters))

    sa.event.listen(store._engine, "before_cursor_execute", note)
    assert DueQueries(store, "us").survey(NOW, stuck_after=10, most=10).failing == 4
    sa.event.remove(store._engine, "before_cursor_execute", note)
    if store.embedded:
        for statement, parameters in asked:
            if "_failures" in statement or "count_fail_update" in statement:
                (step,) = store.read(lambda it, of=(statement, parameters): _plan(it, *of))  # type: ignore[misc]
                assert any(word in step for word in ("USING COVERING INDEX", "change_due_at>", "count_fail_update>")), (
                    step
                )


def _plan(connection: sa.Connection, statement: str, parameters: Any) -> list[str]:
    return [str(row[-1]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
