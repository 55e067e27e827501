"""Reports of hosts about certificates of a box."""

import time
from datetime import UTC, datetime
from typing import Any

from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority

NAME = "www.example.test"
DAY = 86400
OLD: dict[str, Any] = {"sha256": "0" * 64}  # of a report about another certificate


def take_in(box: Box, name: str, left: int = 82) -> None:
    """*left*: days of its life."""
    week = int(time.time()) - 7 * DAY
    begin = datetime.fromtimestamp(week - DAY, UTC)
    issuing = Authority("Test CA").intermediate("Test Issuing")
    issued = issuing.sign(csr([name]), days=8 + left, not_before=begin)
    (box.folder / "given.pem").write_bytes(issued.fullchain_pem)
    box.ok("import", name, "--crt", str(box.folder / "given.pem"))
    moments = f"ts_last_update = {week}, hosts_look_at = hosts_look_at - {7 * DAY}"
    box.database.execute(f"UPDATE certs SET {moments} WHERE name = '{name}'")  # noqa: S608


def settings(box: Box, **values: str) -> None:
    box.document["hosts"] = values
    box.write()


def present(box: Box, name: str = NAME) -> tuple[str, int]:
    rows = box.database.query(f"SELECT sha256, not_after FROM versions WHERE name = '{name}' ORDER BY id DESC")  # noqa: S608
    return str(rows[0][0]).strip(), int(rows[0][1])


def report(box: Box, host: str, *, name: str = NAME, account: str = "agent", ago: float = 60, **more: Any) -> None:
    """A host's report, *ago* seconds old, by default of the present certificate."""
    sha256, not_after = present(box)
    facts = {"sha256": sha256, "not_after": not_after, "state": "installed", "detail": "", **more}
    facts |= {"name": name, "host": host, "account": account, "ts_report": int(time.time() - ago)}
    values = ", ".join(str(value) if isinstance(value, int) else f"'{value}'" for value in facts.values())
    box.database.execute(f"REPLACE INTO installations ({', '.join(facts)}) VALUES ({values})")  # noqa: S608
