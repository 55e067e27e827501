"""Challenge files that a killed run or a host that is away leaves: the next run goes on, and takes them back."""

import shutil
import signal
import socket
from pathlib import Path

import pytest

from issuer.webroot.webroots import Webroots
from tests.issuer.box import Box
from tests.issuer.crash.killer import killed_run
from tests.issuer.http01.conftest import NAME, Remote
from tests.issuer.http01.site import ZONE, Site, web_server
from tests.issuer.shared_order import SharedOrder, SlowSweep
from tests.servers.ca_proxy import CaProxy
from tests.servers.process import wait_until


def kill_when_published(site: Site) -> None:
    """A run that ends by kill -9 with its files out."""
    process = site.box.start("run")
    wait_until(lambda: [state for state, _ in site.box.orders()] == ["PUBLISHED"], "the files are out")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)


@pytest.mark.parametrize("where", ["local", "sftp"])
def test_a_killed_run_is_finished_by_the_next(
    site: Site, where: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """kill -9 with the files out: the next run goes on with the same order, and takes files and folders away."""
    webroot = str(site.root)
    if where == "sftp":
        remote: Remote = request.getfixturevalue("remote")
        site.box.write(webroot=remote.settings)
        webroot = remote.sshd.url(site.root)
    site.box.write(webroot={"propagation_timeout": "10m"})
    site.populate(NAME, f"shop.{ZONE}", webroot=webroot)
    kill_when_published(site)
    assert len(site.files()) == 2
    assert site.files()[0].stat().st_mode & 0o777 == 0o644
    with web_server(site, site.root):
        site.box.ok("run")
    assert [state for state, _ in site.box.orders()] == ["STORED"]
    assert site.clean()


@pytest.mark.usefixtures("misled")
def test_a_killed_run_that_fails_later_leaves_nothing(site: Site) -> None:
    """kill -9 with the file out, then a run in which the challenge fails: the file is gone after it."""
    site.box.write(webroot={"propagation_timeout": "10m"})
    site.populate(NAME)
    kill_when_published(site)
    assert site.files()
    site.box.database.execute("UPDATE orders SET deadline = 1")  # as if the ten minutes had passed
    site.box.fails("run", says=["HTTP 404"])
    assert site.clean()


def test_another_machine_finishes_and_the_first_one_tidies_up(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 with the file out in a folder of this machine: the issuer of another one, where that folder is empty,
    goes on with the order, and leaves to the first one what only that can remove."""
    site.box.write(webroot={"propagation_timeout": "10m"})
    site.populate(NAME)
    kill_when_published(site)
    site.box.database.execute("UPDATE orders SET lease_until = 1")  # as if ten minutes had passed
    there = site.root.rename(tmp_path / "html-of-the-first")
    site.root.mkdir()
    second = Box(tmp_path / "second", site.box.database, bind=site.lab.bind, pebble=site.lab.pebble)
    second.document |= {part: site.box.document[part] for part in ("webroot", "dns")}
    second.write(acme={"account_key": str(site.box.state_dir / "account.pem")})
    second.ok("init")
    shutil.copy(site.box.state_dir / "seal.key", second.state_dir)
    with web_server(site, there), monkeypatch.context() as elsewhere:
        elsewhere.setattr(socket, "gethostname", lambda: "issuer2")
        outcome = second.ok("run")
    assert f"was written on {socket.gethostname()} and can be removed only there" in outcome.err
    assert [state for state, _ in site.box.orders()] == ["STORED"]
    site.root.rmdir()
    there.rename(site.root)
    assert len(site.files()) == 1
    site.box.ok("run")
    assert site.clean()


def test_a_host_that_is_away_when_files_should_go(site: Site, remote: Remote) -> None:
    """What cannot be taken back stays in the journal, and the next run takes it back."""
    site.box.write(webroot=remote.settings | {"propagation_timeout": "8s"})
    site.populate(NAME, webroot=remote.sshd.url(site.root))
    process = site.box.start("run")
    wait_until(lambda: bool(site.files()), "the file is out")
    remote.sshd.stop()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "connection refused" in err
    assert site.files()
    remote.sshd.start()
    site.box.fails("run", says=[f"{NAME}: failed before: "])  # it waits for its moment, and tidies up
    assert site.clean()


def test_a_file_that_a_new_order_writes_again_is_not_swept(
    site: Site, proxy: CaProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CA gives the order of a removed name to the same name enrolled again, so the same file is written, while it is
    still being taken back: the certificate is stored at the first try, and nothing is left."""
    site.box.write(acme={"directory": proxy.directory, "ca_bundle": str(proxy.ca_file)})
    proxy.after.append(SharedOrder())
    with web_server(site, site.root):
        site.populate(NAME)
        assert killed_run(site.box, "issuer.webroot.webroots:Webroots.unseen", "before", 1) < 0
        assert len(site.files()) == 1
        site.box.database.execute("UPDATE orders SET lease_until = 0")
        site.box.ok("remove", NAME, "--yes")
        site.populate(NAME)
        slow = SlowSweep()
        site.box.first_pause = 0.5  # the sweep is over long before the last of its tries
        proxy.before.append(slow)
        monkeypatch.setattr(Webroots, "withdraw", slow.slowly(Webroots.withdraw))
        with site.box.timed(head_start=0.2):
            assert f"{NAME}: stored" in site.box.ok("run").out
    assert site.box.row(NAME, "count_fail_update") == (0,)
    assert len({url for _, url in site.box.orders(NAME)}) == 1, "the CA gave the same order"
    assert site.clean()
