"""The issuer's database was restored from a backup: the table of docs/upkeep.md, row by row."""

import os
import shutil
import time
from datetime import UTC, datetime, timedelta

from tests.agent.host import Done, Host
from tests.servers.authority import Issued
from tests.servers.nginx import Nginx


def installed(host: Host, nginx: Nginx, hours_ago: float) -> Issued:
    """A certificate of so long ago is in place, and the database is backed up."""
    host.served_by(nginx)
    issued = offered(host, hours_ago)
    assert host.run().code == 0
    shutil.copy(host.database, f"{host.database}.backup")
    return issued


def offered(host: Host, hours_ago: float) -> Issued:
    issued = host.sign(not_before=datetime.now(UTC) - timedelta(hours=hours_ago))
    host.offer(issued.cert_pem, issued.chain_pem)
    return issued


def restore(host: Host) -> None:
    shutil.copy(f"{host.database}.backup", host.database)


def state(done: Done) -> tuple[int, str]:
    return done.code, done.certificate["state"]


def test_the_newer_one_is_in_place(host: Host, nginx: Nginx) -> None:
    """The older one of the backup is refused, and the next new one is taken."""
    installed(host, nginx, 48)
    newer = offered(host, 1)
    assert host.run().code == 0
    restore(host)
    done = host.run()
    assert state(done) == (1, "refused")
    assert "it was issued earlier" in done.err
    assert nginx.served() == newer.certificate
    assert host.reported()["state"] == "refused"
    reissued = offered(host, 0)
    assert state(host.run()) == (0, "installed")
    assert nginx.served() == reissued.certificate


def test_both_within_an_hour(host: Host, nginx: Nginx) -> None:
    """No order can be told: the one of the database is taken."""
    older = installed(host, nginx, 0.5)
    offered(host, 0)
    assert host.run().code == 0
    restore(host)
    assert state(host.run()) == (0, "installed")
    assert nginx.served() == older.certificate


def test_the_name_is_gone(host: Host, nginx: Nginx) -> None:
    """Files and service stay until it is enrolled again."""
    issued = installed(host, nginx, 1)
    host.sql("DELETE FROM certs")
    assert state(host.run()) == (1, "not-enrolled")
    assert nginx.served() == issued.certificate
    host.offer(issued.cert_pem, issued.chain_pem)
    assert host.run().code == 0


def test_a_report_of_the_backup_is_put_right_within_a_day(host: Host, nginx: Nginx) -> None:
    """It tells how the host stood then, or there is none: the daily confirmation notices both."""
    installed(host, nginx, 1)
    for of_the_backup in ("UPDATE installations SET state = 'failed', detail = 'then'", "DELETE FROM installations"):
        host.sql(of_the_backup)
        moment = time.time() - 21 * 3600
        os.utime(host.state_dir / "confirmed", (moment, moment))
        assert host.run().code == 0
        assert (host.reported()["state"], host.reported()["detail"]) == ("installed", "")


def test_nothing_has_changed(host: Host, nginx: Nginx) -> None:
    """The run after the restore does nothing."""
    installed(host, nginx, 1)
    restore(host)
    done = host.run()
    assert (state(done), done.certificate["changed"]) == ((0, "installed"), False)
