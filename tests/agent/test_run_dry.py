"""`run --dry-run` tells what a run would do, and touches nothing."""

import subprocess
from pathlib import Path

import pytest

from common.certificate import serial_text
from common.files import locked
from tests.agent.host import NAME, Done, Host
from tests.agent.test_install_killed import die
from tests.agent.vhosts import Vhosts
from tests.servers.nginx import Nginx
from tests.servers.postfix import Postfix


def traces(folder: Path) -> dict[str, tuple[int, int, int, int, bytes]]:
    """Every file and folder with inode, times, mode and content: a file that is written again shows."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.stat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_mode, content)
    return found


def rehearsed(host: Host, *arguments: str) -> Done:
    before = traces(host.folder)
    done = host.run("--dry-run", *arguments)
    text = host.agent("run", "--dry-run", *arguments)
    assert text.code == done.code
    assert traces(host.folder) == before
    return done


def test_nothing_was_ever_run(host: Host, nginx: Nginx) -> None:
    """No state folder is made; what would be written, and what would be told, are named; then a run does just that."""
    issued = host.offer_new()
    done = rehearsed(host)
    assert done.code == 0, done.err
    assert not host.state_dir.exists()
    assert done.certificate["state"] == "installed"
    (install,) = done.json["installs"]
    (one,) = install["certificates"]
    files = [{"path": str(host.fullchain), "change": "other content"}]
    assert one == {"name": NAME, "replaces": None, "files": files, "has_to_show_it": []}
    (service,) = install["services"]
    assert (service["check"], service["activate"], service["runs"]) == ([nginx.check], [nginx.activate], True)
    text = host.agent("run", "--dry-run").out
    assert f"{NAME}  would be installed  serial {serial_text(issued.certificate)}" in text
    assert f"would tell: {' '.join(nginx.activate)}" in text
    assert host.run().code == 0
    assert rehearsed(host).json["installs"] == []


def test_a_group(host: Host, nginx: Nginx) -> None:
    """Those that are due go together; those that are not are told as by any run."""
    vhosts = Vhosts(host, nginx, 3)
    vhosts.write()
    vhosts.offer()
    assert host.run().code == 0
    vhosts.commands()
    vhosts.offer(*vhosts.names[:2])
    done = rehearsed(host)
    assert done.code == 0
    (install,) = done.json["installs"]
    assert [one["name"] for one in install["certificates"]] == vhosts.names[:2]
    assert len(install["services"]) == 1
    assert vhosts.commands() == []
    assert {one["name"]: one["changed"] for one in done.json["certificates"]} == {
        vhosts.names[0]: True,
        vhosts.names[1]: True,
        vhosts.names[2]: False,
    }


@pytest.mark.parametrize("state", ["refused", "unproven", "unreachable", "not-enrolled", "waiting"])
def test_the_exit_code_is_that_of_a_run(host: Host, nginx: Nginx, state: str) -> None:
    """What a run would not be well with is told, and a run says the same."""
    if state == "refused":
        host.offer(host.placeholder.cert_pem, host.placeholder.chain_pem)
    elif state == "unproven":
        host.offer_new()
        nginx.stop()
    elif state == "unreachable":
        host.database.rename(host.database.with_suffix(".away"))
    elif state == "waiting":
        host.sql("INSERT INTO certs (name, ts_last_update) VALUES (?, 1)", [NAME])
    done = rehearsed(host)
    assert (done.code, done.certificate["state"]) == (1, state), done.out
    if state == "unproven":
        assert done.json["installs"][0]["services"][0]["runs"] is False
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, state), done.out


@pytest.mark.soak
def test_a_service_that_shows_none_before_its_first_one(host: Host) -> None:
    """Postfix, whose file is not there yet, offers no STARTTLS: the run gives it the first one, and it is told so. The
    next time the same silence would be a failure."""
    with Postfix(host.authority.issue([NAME])) as postfix:
        combined = postfix.tls / "combined.pem"
        combined.unlink()
        subprocess.run(postfix.activate, check=True, capture_output=True)
        smtp = postfix.target("smtp").replace("localhost", NAME)
        files = f'[[certificate.combined]]\npath = "{combined}"\nparts = ["key", "certificate", "chain"]'
        host.configure(check=postfix.check, activate=postfix.activate, probe=[smtp], files=files, probe_timeout="1s")
        host.offer_new()
        done = host.run("--dry-run")
        assert (done.code, done.certificate["state"], done.err) == (0, "installed", "")
        assert done.json["installs"][0]["certificates"][0]["has_to_show_it"] == [smtp]
        said = host.agent("run", "--dry-run").out
        assert f"{smtp} (127.0.0.1:{postfix.ports['smtp']}) shows no certificate now: " in said
        assert "it has to show this one then, or the certificate stays unproven" in said
        assert host.run().certificate["state"] == "installed"
        subprocess.run(["postconf", "-c", postfix.check[2], "smtpd_tls_security_level=none"], check=True)
        subprocess.run(postfix.activate, check=True, capture_output=True)
        host.offer_new()
        done = host.run("--dry-run")
        assert (done.code, done.certificate["state"]) == (1, "unproven")
        assert f"{NAME}: unproven: no certificate is shown at {smtp}" in done.err
        unproven = host.run().certificate
        assert unproven["state"] == "unproven"
        assert f"whose configuration must name {combined}" in unproven["hint"]


def test_rights_and_files_that_would_change(host: Host, nginx: Nginx) -> None:
    """A live file that others opened is named and stays so; one more file of agent.toml would be new."""
    host.offer_new()
    assert host.run().code == 0
    more = host.live / "leaf.pem"
    files = f'[certificate.files]\nfullchain = "{host.fullchain}"\ncertificate = "{more}"\nmode = "0640"'
    host.served_by(nginx, files=files)
    (install,) = rehearsed(host).json["installs"]
    files_of = {one["path"]: one["change"] for one in install["certificates"][0]["files"]}
    assert files_of == {str(more): "new", str(host.fullchain): "mode 0644, now 0640"}
    assert host.run().code == 0
    more.chmod(0o666)
    done = rehearsed(host)
    assert (done.code, done.json["installs"]) == (0, [])
    assert f"a run would change {more}: mode 0666, then 0640" in done.err
    assert more.stat().st_mode & 0o777 == 0o666


def test_a_key_that_a_run_would_close(host: Host, nginx: Nginx) -> None:
    """It stays open, and is taken as a run takes it, also for a newer certificate."""
    host.offer_new()
    assert host.run().code == 0
    host.key.chmod(0o644)
    for installs in (0, 1):
        done = rehearsed(host)
        assert (done.code, done.certificate["state"], len(done.json["installs"])) == (0, "installed", installs), (
            done.err
        )
        assert done.certificate["detail"] == f"a run would change {host.key}: mode 0644, then 0600"
        text = host.agent("run", "--dry-run")
        assert done.certificate["detail"] in (text.out if installs else text.err)
        assert host.key.stat().st_mode & 0o777 == 0o644
        host.offer_new()
    assert host.run().code == 0


def test_while_a_run_is_under_way(host: Host, nginx: Nginx) -> None:
    """Exit code 3, as a run."""
    host.offer_new()
    assert host.run().code == 0
    with locked(host.state_dir / "lock", doing="run"):
        assert host.run("--dry-run").code == 3


def test_an_interrupted_install(host: Host, nginx: Nginx) -> None:
    """It would be settled first, and nobody knows how: said, with exit code 1."""
    host.offer_new()
    die(host, ("agent.journey.install", "activate", 1, "before"))
    done = rehearsed(host)
    assert (done.code, done.json["interrupted"]) == (1, [NAME])
    assert "would settle that first" in host.agent("run", "--dry-run").err
