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


def test_what_a_person_went_back_from(host: Host, nginx: Nginx) -> None:
    """The certificate that a roll back left is the one of the backup: it is not taken again, a newer one is."""
    older = installed(host, nginx, 48)
    offered(host, 1)
    assert host.run().code == 0
    shutil.copy(host.database, f"{host.database}.backup")
    assert host.agent("rollback", host.name).code == 0
    restore(host)
    for _ in range(2):
        done = host.run()
        assert (state(done), done.certificate["changed"]) == ((0, "installed"), False)
        assert nginx.served() == older.certificate
        host.sql("UPDATE certs SET ts_last_update = ts_last_update + 1")  # as one who puts its statement right
    reissued = offered(host, 0)
    assert state(host.run()) == (0, "installed")
    assert nginx.served() == reissued.certificate


def test_one_that_is_held(host: Host, nginx: Nginx) -> None:
    """Nothing is taken, and nothing refused, until the hold ends."""
    installed(host, nginx, 48)
    newer = offered(host, 1)
    assert host.run().code == 0
    assert host.agent("hold", host.name, "--until", "2090-06-30").code == 0
    restore(host)
    done = host.run()
    assert (state(done), done.certificate["changed"]) == ((0, "installed"), False)
    assert "held by hand" in host.reported()["detail"]
    assert nginx.served() == newer.certificate
    assert host.agent("release", host.name).code == 0
    assert state(host.run()) == (1, "refused")
    assert nginx.served() == newer.certificate


def test_its_key_has_changed(host: Host, nginx: Nginx) -> None:
    """The certificate of the backup is for the key of then: it is refused, and pair and service stay as they are. One
    for the CSR that `request` makes anew is taken."""
    installed(host, nginx, 48)
    csr = host.folder / "next.csr"
    assert host.agent("request", host.name, "--next", "--csr", str(csr)).code == 0
    issued = host.authority.sign(csr.read_bytes())
    host.offer(issued.cert_pem, issued.chain_pem)
    assert state(host.run()) == (0, "installed")
    key = host.key.read_bytes()
    restore(host)
    done = host.run()
    assert state(done) == (1, "refused")
    assert "it belongs to another key" in done.err
    assert (nginx.served(), host.key.read_bytes()) == (issued.certificate, key)
    csr.unlink()
    assert host.agent("request", host.name, "--csr", str(csr)).code == 0
    reissued = host.authority.sign(csr.read_bytes())
    host.offer(reissued.cert_pem, reissued.chain_pem)
    assert state(host.run()) == (0, "installed")
    assert (nginx.served(), host.key.read_bytes()) == (reissued.certificate, key)


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
