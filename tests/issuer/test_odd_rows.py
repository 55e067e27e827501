"""Odd rows of our own tables, of a newer version or by hand: each is left out, and nothing else."""

import time
from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
from tests.issuer.host_reports import take_in
from tests.servers.database import Database, SqliteDatabase
from tests.servers.process import wait_until
from tests.servers.smtp import Smtp

NAME, FAILING, OF_TOMORROW = "www.lab.test", "a.nowhere.test", "tomorrow.lab.test"


def among_odd_rows(box: Box, smtp: Smtp) -> None:
    """One certificate that is due and well, one that fails, and one in the hands of a newer version."""
    box.document["notify"] = {"email_to": ["noc@example.com"], "smtp_host": "127.0.0.1", "smtp_port": smtp.port}
    box.write()
    box.enrol(NAME)
    box.enrol(OF_TOMORROW)
    box.populate(FAILING)
    directory = box.document["acme"]["directory"]
    version = "name, sha256, serial, issuer, not_before, not_after, stored_at, directory, revoked, crt, ca"
    rows = {
        "orders (name, active_name, state, directory, created_at, updated_at)": (
            f"('{OF_TOMORROW}', '{OF_TOMORROW}', 'QUEUED', '{directory}', 'now', 1)"
        ),
        "alarms (name, kind, since)": f"('{OF_TOMORROW}', 'key-too-old', 1)",
        "outbox (at, name, kind, content)": f"(1, '{FAILING}', 'key-too-old', '{{}}')",
        f"versions ({version})": ", ".join(
            f"('{NAME}', 'x', '1', 'x', 1, 2, '{moment}', '{directory}', 1, {crt}, 'text')"
            for crt, moment in {"x''": "1", "'text'": "now", "x'67'": "1"}.items()
        ),
    }
    for table, values in rows.items():
        box.database.execute(f"INSERT INTO {table} VALUES {values}")  # noqa: S608
    numbers = "ts_expire = 'soon', ts_last_update = 'x', count_fail_update = -5"
    box.database.execute(f"UPDATE certs SET {numbers} WHERE name = '{FAILING}'")  # noqa: S608


def test_a_run_among_odd_rows(box: Box, tmp_path: Path) -> None:
    """What is due is issued, a failure is mailed, what was skipped is named, commands reach what is whole."""
    with Smtp(tmp_path) as smtp:
        among_odd_rows(box, smtp)
        outcome = box.fails("run", says=[f"{NAME}: stored", f"{FAILING}: failed"])
        assert [letter.subject.partition(" on ")[0] for letter in smtp.letters] == [f"certfleet: {FAILING} failed"]
        for table in ("orders", "alarms"):
            assert f'"table": "{table}", "row": "{OF_TOMORROW}"' in outcome.err
        box.ok("issue", NAME)
        assert "damaged" in box.ok("history", NAME).out


@pytest.mark.soak
def test_cells_of_another_kind(box: Box) -> None:
    """SQLite keeps blobs, numbers and text in any column: what is well is issued, and all of it can be looked at."""
    box.enrol(NAME)
    box.populate(FAILING)
    order = "INSERT INTO orders (id, name, active_name, state, directory, created_at, updated_at)"
    for change in (
        "UPDATE certs SET csr = 1.5, crt = 5000000000000, ca = 7, last_error = x'ff', directory = x'ff' WHERE name = ?",
        "INSERT INTO certs (name, enable, csr) VALUES (x'ff', 'Y', x'ff')",
        f"{order} VALUES (7, ?, ?, 'FAILED', x'ff', 'soon', x'ff'), (8, x'ff', NULL, 'FAILED', 1, 1, 1)",
        "INSERT INTO challenges (order_id, type, identifier, authorization_url, url, created_at, owner, zone, value) "
        "VALUES (8, 'dns-01', x'ff', 'u', 'u', 1, x'ff', x'ff', 'v')",
        "INSERT INTO installations (name, host, state, ts_report) VALUES (?, x'ff', x'ff', 'soon')",
        "INSERT INTO versions (name, sha256, serial, issuer, not_before, not_after, crt, ca, stored_at, names) "
        "VALUES (?, x'ff', x'ff', x'ff', 1, 1, 1, 1, 'soon', x'ff')",
        "INSERT INTO events (at, name, event, detail) VALUES ('soon', ?, x'ff', x'ff')",
        "INSERT INTO alarms (name, kind, since) VALUES (x'ff', 'failed', 1)",
    ):
        box.database.execute(change.replace("?", f"'{FAILING}'"))
    box.fails("run", says=[f"{NAME}: stored"])
    for words in (["status"], ["status", FAILING], ["history", FAILING]):
        for more in ([], ["--json"]):
            assert FAILING in box.run(*words, *more).out


def test_text_in_another_encoding(box: Box) -> None:
    """SQLite keeps text that an old script wrote in Latin-1, or a thief in any octets. Rows that are well are issued,
    and all rows can be looked at."""
    box.enrol(NAME)
    box.populate(FAILING)
    words = "CAST(X'42FC726F' AS TEXT)"  # "Büro"
    cells = ", ".join(f"{column} = {words}" for column in ("comment", "contact", "csr", "crt", "ts_expire", "seal"))
    box.database.execute(f"UPDATE certs SET {cells}, count_fail_update = {words} WHERE name = '{FAILING}'")  # noqa: S608
    box.database.execute(f"INSERT INTO certs (name, enable, csr) VALUES ({words}, 'Y', {words})")  # noqa: S608
    values = f"'{FAILING}', {words}, {words}, {words}, {words}, {int(time.time())}"
    columns = "name, host, account, sha256, state, ts_report"
    box.database.execute(f"INSERT INTO installations ({columns}) VALUES ({values})")  # noqa: S608
    assert f"{NAME}: stored" in box.run("run").out
    for looks in (["status"], ["status", "--json"], ["status", "--hosts"], ["history", FAILING], ["audit"]):
        assert box.run(*looks).code in (0, 1), looks
    [facts] = box.run("status", FAILING, "--json").report()["certificates"]
    assert facts["contact"] == "B\N{REPLACEMENT CHARACTER}ro"


def test_numbers_that_nobody_can_mean(box: Box) -> None:
    """SQLite keeps a number of any size in any column: one that our own memory cannot keep counts as none."""
    box.enrol(NAME)
    box.populate(FAILING)
    values = f"'{FAILING}', 'h', 'a', 'installed', 1e26, 1e26"
    columns = "name, host, account, state, not_after, ts_report"
    box.database.execute(f"INSERT INTO installations ({columns}) VALUES ({values})")  # noqa: S608
    moments = ("ts_expire", "ts_last_update", "count_fail_update", "due_at", "ari_at", "audit_at", "hosts_look_at")
    box.database.execute(f"UPDATE certs SET {' = 1e26, '.join(moments)} = -1e26 WHERE name = '{FAILING}'")  # noqa: S608
    assert f"{NAME}: stored" in box.run("run").out
    assert FAILING in box.run("status").out


def test_the_daemon_among_odd_rows(box: Box, tmp_path: Path) -> None:
    """The same, with the numbers of /metrics."""
    with Smtp(tmp_path) as smtp:
        among_odd_rows(box, smtp)
        with Service(box) as service:
            service.wait_stored(NAME)
            service.wait_logged("certificate.failed")
            wait_until(lambda: "certfleet_certificates 3.0" in service.get("/metrics")[1], "the survey is taken")
            skipped = service.wait_logged("row.skipped", 2)
            assert {entry["row"] for entry in skipped} <= {OF_TOMORROW, FAILING}
            assert not service.logged("daemon.fault")


@pytest.mark.soak
def test_a_row_of_blobs(box: Box) -> None:
    """80 MB in each of four cells: the row is damaged and says so, in a process that has no room for any of them; the
    other row is issued."""
    box.enrol(NAME)
    box.populate(FAILING)
    blobs = ", ".join(f"{column} = zeroblob(80000000)" for column in ("csr", "crt", "ca", "change_csr"))
    box.database.execute(f"UPDATE certs SET {blobs} WHERE name = '{FAILING}'")  # noqa: S608
    run = box.start_anew("run", wrap=["prlimit", "--data=300000000"])
    out, err = run.communicate(timeout=120)
    assert f"{NAME}: stored" in out, err
    assert f"{FAILING}: not ordered" in err


@pytest.mark.soak
def test_text_that_has_no_end(tmp_path: Path) -> None:
    """SQLite takes a name of two million characters. Nothing of it is shown, and what is well is issued."""
    box = Box(tmp_path / "box", SqliteDatabase(tmp_path))
    box.set_up()
    take_in(box, NAME)
    long = "REPLACE(HEX(ZEROBLOB(1000000)), '0', 'a')"
    box.database.execute(f"INSERT INTO certs (name, enable, csr) VALUES ({long}, 'Y', x'ff')")  # noqa: S608
    values = f"'{NAME}', {long}, {long}, '', 5, {long}, '', {int(time.time())}"
    columns = "name, host, account, sha256, not_after, state, detail, ts_report"
    box.database.execute(f"INSERT INTO installations ({columns}) VALUES ({values})")  # noqa: S608
    box.database.execute(f"UPDATE events SET event = {long}")  # noqa: S608
    for words in (["run"], ["status"], ["status", "--hosts"], ["status", NAME], ["check"], ["history", NAME]):
        outcome = box.run(*words)
        assert len(outcome.out + outcome.err) < 10_000, words
    assert "1 host" in box.run("status").out


def test_words_that_have_no_end(database: Database, tmp_path: Path) -> None:
    """Of text for people that nobody of ours wrote so long, 2,000 characters are shown, whatever shows it."""
    box = Box(tmp_path / "box", database)
    box.set_up()
    take_in(box, NAME)
    told = ("contact", "renewal_note", "comment", "reissue_reason", "last_error", "last_what", "last_asked")
    words = ", ".join(f"{column} = REPEAT('{column}', 3000)" for column in told)
    if isinstance(database, SqliteDatabase):
        words = words.replace("REPEAT(", "REPLACE(HEX(ZEROBLOB(1500)), '0', ").replace(", 3000)", ")")
    box.database.execute(f"UPDATE certs SET {words}, count_fail_update = 3 WHERE name = '{NAME}'")  # noqa: S608
    for asked in (["status"], ["status", NAME], ["status", NAME, "--json"], ["audit"], ["audit", "--json"], ["run"]):
        outcome = box.run(*asked)
        assert len(outcome.out + outcome.err) < 16_000, asked
    facts = box.run("status", NAME, "--json").report()["certificates"][0]
    assert facts["contact"] == ("contact" * 3000)[:2000] + "…"
