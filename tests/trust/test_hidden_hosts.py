"""A thief in the database keeps the centre from seeing how hosts are: the issuer remembers which have reported."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from issuer.trust.hosts import HOSTS
from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
from tests.issuer.host_reports import DAY, present, report, take_in
from tests.issuer.notify.conftest import told_by_mail
from tests.servers.database import Database
from tests.servers.process import ServerFailed, wait_until
from tests.servers.smtp import Smtp
from tests.trust.conftest import NAME
from tests.trust.thief import Thief

VANISHED = '"kind": "vanished"'
SILENT = 'certfleet_hosts_not_well{state="silent"} 1.0'


@pytest.fixture
def smtp(tmp_path: Path) -> Iterator[Smtp]:
    with Smtp(tmp_path) as server:
        yield server


@pytest.fixture
def told(database: Database, smtp: Smtp, tmp_path: Path) -> Box:
    """A box with a certificate that was stored a week ago, and the mail server that it tells."""
    box = Box(tmp_path / "box", database)
    told_by_mail(box, smtp)
    box.set_up()
    take_in(box, NAME)
    return box


def test_what_a_thief_in_the_database_hides_of_hosts(told: Box, smtp: Smtp) -> None:
    """A report that ends is missed; one that he writes is believed."""
    thief, box, sql = Thief("The database, to hide a host"), told, told.database.execute
    report(box, "web1", sha256="0" * 64, not_after=int(time.time()) - DAY)
    box.ok("run")
    sql("DELETE FROM installations")
    status, letters = box.run("status"), len(smtp.letters)
    box.ok("run")
    missed = status.code == 1 and "1 host silent" in status.out and len(smtp.letters) == letters + 1
    assert not missed or "gone from the table" in box.run("status", "--hosts").out
    thief.tries("that nobody misses a host, by the end of its report", got=not missed)
    with Service(box) as daemon:
        wait_until(lambda: "certfleet_hosts_not_well{" in daemon.get("/metrics")[1], "the look")
        wait_until(lambda: SILENT in daemon.get("/metrics")[1] or not missed, "the look at hosts")
    box.ok("hosts", "forget", "web1")
    box.ok("status")

    report(box, "web3", ago=-22 * 3600)
    box.ok("run")
    later = int(3.5 * DAY)
    sql(f"UPDATE installations SET ts_report = ts_report - {later}")  # noqa: S608
    with closing(sqlite3.connect(box.state_dir / HOSTS)) as memory, memory:  # three and a half days pass
        memory.execute(f"UPDATE reports SET reported = reported - {later}, seen = seen - {later}")  # noqa: S608
    thief.tries("a day more before it is called silent, by a moment ahead", got=box.run("status").code == 0)

    sha256, not_after = present(box)
    well = f"sha256 = '{sha256}', not_after = {not_after}, state = 'installed', ts_report = {int(time.time())}"
    sql(f"UPDATE installations SET {well}")  # noqa: S608
    thief.tries("that a host passes for well, by a report that he writes", got=box.run("status").code == 0)

    box.ok("run")
    take_in(box, NAME, left=90)
    sql("UPDATE certs SET hosts_look_at = NULL")
    letters = len(smtp.letters)
    box.run("run")
    unheard = len(smtp.letters) == letters
    thief.tries("that nobody hears that a host is behind, by the moment of the next look", got=unheard)

    sql("ALTER TABLE installations RENAME TO spoiled")
    unheard = box.run("run").code == 0
    thief.tries("that nobody hears that hosts are not looked at, by reports that nobody can read", got=unheard)
    with Service(box, prelude="from issuer.loops import daemon; daemon._ROWS, daemon._SHARE = 0.5, 1") as daemon:
        wait_until(lambda: "periodic.failed" in daemon.log_file.read_text(), "they cannot be read")
        sql("DELETE FROM certs")
        with suppress(ServerFailed):
            wait_until(lambda: VANISHED in daemon.log_file.read_text(), "it is told, and mailed soon", 30)
        unheard = VANISHED not in daemon.log_file.read_text()
    thief.tries("that a row vanishes unheard while the daemon cannot read reports", got=unheard)
    thief.is_told()
