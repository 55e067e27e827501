"""A thief in the database writes words that look like ours, or steer a screen, into every cell that holds text."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from issuer.model.events import failed, to_json
from issuer.model.failure import Failure
from issuer.store import tables
from issuer.store.cells import Words
from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
from tests.issuer.host_reports import take_in
from tests.issuer.notify.conftest import told_by_mail
from tests.issuer.signing_requests import csr
from tests.servers.database import Database
from tests.servers.process import wait_until
from tests.servers.smtp import Smtp
from tests.trust.conftest import NAME, STOLEN
from tests.trust.thief import Thief

FORGED = "FORGED"
STEERS = ("\n", "\r\n", "\x1b[2J\x1b[1;1H", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\x9b2J", "\u202e", "\x07", "\x00")
EVIL = "x" + "".join(f"{steer}{FORGED}" for steer in STEERS) + '"} 1'
KEPT = (  # a server takes no such text for them
    *("statement", "seal", "change_seal", "unapproved", "sha256", "certbot", "audit_found", "audit_served", "mute"),
)
HIS = f"thief.example.test{EVIL}"


def text(value: str) -> str:
    """*value* as SQL of either engine."""
    return f"CAST(X'{value.encode().hex()}' AS CHAR)"


def cells(table: sa.Table, **values: str) -> dict[str, str]:
    """SQL for each column of *table* that holds text, his words but for *values*."""
    length = {column.name: column.type.length or 1000 for column in table.c if isinstance(column.type, Words)}
    return {name: text(EVIL[:most]) for name, most in length.items() if name not in KEPT} | values


@pytest.fixture
def poisoned(database: Database, smtp: Smtp, tmp_path: Path) -> Box:
    """A certificate, with the thief's words in its row and in every table."""
    box = Box(tmp_path / "box", database)
    told_by_mail(box, smtp)
    box.set_up()
    take_in(box, NAME)
    name, his, now = f"'{NAME}'", text(HIS), int(time.time())
    in_place = {"name": name, "enable": "'Y'", "certbot": "'N'", "imported": "'Y'", "count_fail_update": "3"}
    for table in (tables.certs, tables.versions, tables.events):
        values = cells(table, **{key: value for key, value in in_place.items() if key in table.c})
        words = ", ".join(f"{column} = {value}" for column, value in values.items())
        box.database.execute(f"UPDATE {table} SET {words}")  # noqa: S608
    row = {"name": his, "enable": "'Y'", "csr": f"X'{csr([NAME], number=STOLEN).hex()}'", "count_fail_update": "3"}
    report = {"name": name, "sha256": "'x'", "ts_report": f"{now}"}
    order = {"name": his, "active_name": his, "state": "'ORDERED'", "created_at": "1", "updated_at": "1"}
    kept = {"name": his, "kind": "'failed'", "at": f"{now}", "content": text(letter()), "taken_by": "NULL"}
    for table, fixed in (
        (tables.certs, {**row, "ts_expire": "1", "imported": "NULL", "change_csr": row["csr"]}),
        (tables.installations, {**report, "state": "'failed'"}),
        (tables.installations, {**report, "host": "'web1'", "not_after": "5"}),
        (
            tables.orders,
            {**order, "deadline": f"{now + 99}"},
        ),
        (tables.events, {"name": name, "at": "1"}),
        (tables.events, {"name": his, "at": "1"}),
        (tables.holds, {"scope": "'*'", "until": f"{now + 99}"}),
        (tables.challenges, {"order_id": "99", "created_at": "1"}),
        (tables.challenges, {"order_id": "99", "created_at": "1", "type": "'dns-01'"}),
        (tables.alarms, {"since": "1"}),
        (tables.host_alarms, {"name": name, "since": "1"}),
        (tables.outbox, kept),
    ):
        values = cells(table, **fixed)
        box.database.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(values.values())})")  # noqa: S608
    return box


def letter() -> str:
    """An event as the outbox keeps it, in words of his."""
    return json.dumps(to_json(failed(HIS, Failure(EVIL, EVIL, EVIL, EVIL, EVIL), failures=3)))


@pytest.fixture
def smtp(tmp_path: Path) -> Iterator[Smtp]:
    with Smtp(tmp_path) as server:
        yield server


def is_clean(shown: str) -> bool:
    """Is each line ours, and steers none a screen? Some readers see more line ends than we write."""
    assert FORGED in shown, shown
    steers = any(not one.isprintable() and one != "\n" for one in shown)
    return not steers and not any(line.startswith(FORGED) for line in shown.splitlines())


def test_no_word_of_the_database_is_a_line_of_ours(poisoned: Box, smtp: Smtp) -> None:
    """Whatever shows it: a command, the log, a mail, /metrics."""
    thief, box = Thief("The database, to speak in our name"), poisoned
    commands = [
        *(["status"], ["status", NAME], ["status", "--hosts"], ["history", NAME], ["history", HIS]),
        *(["check", "-v"], ["run", "-v"], ["run", "--dry-run"], ["adopt", "--all", "--yes"], ["remove", HIS, "--yes"]),
    ]
    shown = {}
    for words in commands:
        outcome = box.run(*words)
        assert "fault in certfleet" not in outcome.err, outcome.err
        shown[" ".join(words[:2])] = outcome.out + outcome.err
    assert "thief.example.test" in shown["status"]
    clean = {words: is_clean(out) for words, out in shown.items()}
    thief.tries("a line of his in what a command says, or a screen that he steers", got=not all(clean.values()))
    assert smtp.letters
    clean = {one.subject: is_clean(one.text.replace("\r\n", "\n")) for one in smtp.letters}
    thief.tries("the same in a mail", got=not all(subject.isprintable() and clean[subject] for subject in clean))

    box.database.execute("DELETE FROM certs WHERE name LIKE 'thief%'")
    box.database.execute(f"UPDATE certs SET name = {text(HIS)} WHERE name = '{NAME}'")  # noqa: S608
    with Service(box) as daemon:
        wait_until(lambda: FORGED in daemon.get("/metrics")[1], "the survey")
        metrics = daemon.get("/metrics")[1]
        thief.tries("the same in /metrics", got=not is_clean(metrics))
        wait_until(lambda: daemon.get("/")[0] == 200, "the page")
        thief.tries("the same in the page to look at", got=not is_clean(daemon.get("/")[1]))
    thief.tries("the same in the log of the daemon", got=not is_clean(daemon.log_file.read_text(encoding="utf-8")))
    thief.is_told()
