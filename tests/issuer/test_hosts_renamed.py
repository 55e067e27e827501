"""A host that is called by another name in its table: for most servers that is the same row, for our memory another."""

from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.issuer.host_reports import NAME, report, take_in
from tests.issuer.notify.conftest import told_by_mail
from tests.servers.smtp import Smtp
from tests.servers.sql_server import SqlServer

OTHER = "other.example.test"


@pytest.fixture
def stored(sql_server: SqlServer, tmp_path: Path) -> Box:
    """A box with two certificates, over a server."""
    box = Box(tmp_path / "box", sql_server.create_database())
    box.set_up()
    for name in (NAME, OTHER):
        take_in(box, name)
    return box


@pytest.mark.parametrize(("before", "after"), [("WEB1", "web1"), ("hé", "he")])
def test_an_account_that_renames_its_host_silences_no_other(
    stored: Box, tmp_path: Path, before: str, after: str
) -> None:
    """Whatever the table takes for the same: people hear of the hosts of other certificates, and once."""
    report(stored, before)
    with Smtp(tmp_path) as smtp:
        told_by_mail(stored, smtp)
        stored.ok("run")
        stored.database.execute(f"UPDATE installations SET host = '{after}', state = 'failed'")  # noqa: S608
        report(stored, "mail", name=OTHER, state="failed", account="mail")
        for _ in range(3):
            stored.ok("run")
        [letter] = smtp.letters
    assert f'{NAME} on {after} (agent): "failed' in letter.text
    assert f'{OTHER} on mail (mail): "failed' in letter.text


def test_a_host_in_another_case_is_not_missed_under_the_old_one(stored: Box) -> None:
    """It is the same host, well or not; `hosts forget` takes its name in any case."""
    report(stored, "WEB1")
    stored.ok("run")
    stored.database.execute("UPDATE installations SET host = 'web1'")
    stored.ok("run")
    assert [host["host"] for host in stored.ok("status", "--hosts", "--json").report()["hosts"]] == ["web1"]
    assert stored.ok("hosts", "forget", "Web1").out.startswith("1 report forgotten")
    assert stored.ok("status", "--hosts", "--json").report()["hosts"] == []
