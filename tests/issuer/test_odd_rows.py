"""Odd rows of our own tables, of a newer version or by hand: each is left out, and nothing else."""

from pathlib import Path

from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
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
