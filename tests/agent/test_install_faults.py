"""Local faults: full disk, read-only folders, a second run, files changed by others, a service that does not run."""

import fcntl
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.host import AGENT, NAME, Host, sha256
from tests.servers.nginx import Nginx
from tests.servers.process import wait_until
from tests.servers.tls import completes_handshake


@pytest.fixture
def served(host: Host, nginx: Nginx) -> Nginx:
    """nginx with a first good certificate, installed by the agent."""
    host.first = host.offer_new()
    done = host.run()
    assert done.code == 0, done.err
    return nginx


def on_full_disk(folder: Path) -> list[str]:
    """A command prefix: a private mount namespace in which *folder* lies, as it is, on a full file system."""
    script = (
        f"set -e; cp -a {folder} {folder}.was; mount -t tmpfs -o size=64k tmpfs {folder};"
        f"cp -a {folder}.was/. {folder};"
        f'cat /dev/zero > {folder}/.fill 2>/dev/null || true; set +e; "$@"; code=$?;'
        f"rm -rf {folder}/.fill {folder}.was; cp -a {folder} {folder}.after; exit $code"
    )
    return ["unshare", "--mount", "sh", "-c", script, "sh"]


@pytest.mark.sampled
@pytest.mark.parametrize("which", ["live", "state"])
def test_a_full_disk(host: Host, served: Nginx, which: str) -> None:
    """No space for the new files, or for their backups: nothing changes, the next run with space goes on."""
    renewed = host.offer_new()
    folder = host.live if which == "live" else host.state_dir
    done = host.run(wrap=on_full_disk(folder))
    assert (done.code, done.certificate["state"]) == (1, "failed"), done.err
    assert "No space left on device" in done.err
    if which == "live":
        after = Path(f"{folder}.after")
        assert (after / "fullchain.pem").read_bytes() == host.first.fullchain_pem
        assert [entry.name for entry in after.iterdir()] == ["fullchain.pem"]
    assert host.fullchain.read_bytes() == host.first.fullchain_pem
    assert served.served() == host.first.certificate
    assert host.run().code == 0
    assert served.served() == renewed.certificate
    assert host.leftovers() == []


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("mount", "says"),
    [
        ('mount --bind "$0" "$0"; mount -o remount,bind,ro "$0"', "Read-only file system"),
        ('mount --bind "$0/fullchain.pem" "$0/fullchain.pem"', "mount its folder in its place"),
    ],
)
def test_a_mount_that_takes_no_new_file(host: Host, served: Nginx, mount: str, says: str) -> None:
    """It is a sentence; nothing changes."""
    host.offer_new()
    done = host.run(wrap=["unshare", "--mount", "sh", "-ec", f'{mount}; "$@"', str(host.live)])
    assert (done.code, done.certificate["state"]) == (1, "failed")
    assert says in done.err
    assert served.served() == host.first.certificate
    assert host.leftovers() == []
    assert host.run().code == 0


def test_a_second_run_holds_the_lock(host: Host, served: Nginx) -> None:
    """Exit code 3, and who holds it."""
    with (host.state_dir / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = host.agent("run")
    assert done.code == 3
    assert "another run holds" in done.err


@pytest.mark.sampled
@pytest.mark.parametrize("harm", ["removed", "changed", "emptied", "another"])
def test_a_file_that_somebody_changed_is_installed_again(host: Host, served: Nginx, harm: str) -> None:
    """Nothing new in the database; the next run notices, mends the file, and proves it."""
    if harm == "removed":
        host.fullchain.unlink()
    elif harm == "another":
        host.fullchain.write_bytes(host.authority.issue([NAME]).fullchain_pem)
    else:
        host.fullchain.write_bytes(host.first.fullchain_pem + b"\n" if harm == "changed" else b"")
    done = host.run()
    assert done.code == 0, done.err
    assert host.fullchain.read_bytes() == host.first.fullchain_pem
    assert served.served() == host.first.certificate


@pytest.mark.soak
def test_a_service_that_shows_another_certificate_is_told_again(host: Host, served: Nginx) -> None:
    """The files are right and the socket is not: the service is told, and proves it."""
    right = host.fullchain.read_bytes()
    host.fullchain.write_bytes(host.self_signed())
    subprocess.run(served.activate, check=True, capture_output=True)
    # for a moment the workers of before answer too
    wait_until(lambda: host.first.certificate not in [served.served() for _ in range(20)], "nginx shows another one")
    host.fullchain.write_bytes(right)
    done = host.run()
    assert done.code == 0, done.err
    assert served.served() == host.first.certificate


def test_a_service_that_has_stopped_is_reported_and_left_alone(host: Host, served: Nginx) -> None:
    """Installed, but nothing answers: not well, never "proven", and not our business to start."""
    served.stop()
    done = host.run()
    assert (done.code, done.certificate["state"], done.certificate["proven"]) == (1, "unproven", False)
    assert "nothing answers at" in done.err
    assert host.reported()["state"] == "unproven"
    served.start()
    assert host.run().code == 0
    assert host.reported()["state"] == "installed"


def test_a_first_certificate_for_a_service_that_cannot_start_without_it(host: Host, nginx: Nginx) -> None:
    """The files must come first: they are put in place, and the missing proof is said. Then the service starts."""
    nginx.stop()
    host.fullchain.unlink()
    issued = host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "unproven"), done.err
    assert host.fullchain.read_bytes() == issued.fullchain_pem
    assert host.leftovers() == []
    nginx.start()
    assert host.run().certificate["state"] == "installed"


def test_two_first_certificates_that_miss_each_other(host: Host, nginx: Nginx) -> None:
    """nginx names two files, neither exists: each is installed although the check fails for want of the other."""
    nginx.stop()
    host.fullchain.unlink()
    conf = nginx.folder / "nginx.conf"
    second = host.live / "second.pem"
    server = f"server {{ listen 127.0.0.1:{nginx.port} ssl; server_name b.example.test; ssl_certificate {second};"
    server += f" ssl_certificate_key {host.key}; }}\n"
    text = conf.read_text().rstrip().removesuffix("}")
    conf.write_text(text + server + "}\n")
    csr = host.folder / "b.csr"
    assert host.agent("request", "b.example.test", "--key", str(host.key), "--csr", str(csr)).code == 0
    other = host.authority.sign(csr.read_bytes())
    host.offer(other.cert_pem, other.chain_pem, name="b.example.test")
    host.offer_new()
    entry = host.config.read_text()
    entry = (
        entry[entry.index("[[certificate]]") :].replace(NAME, "b.example.test").replace("fullchain.pem", "second.pem")
    )
    host.config.write_text(host.config.read_text() + entry)
    done = host.run()
    assert [one["state"] for one in done.json["certificates"]] == ["unproven", "unproven"], done.err
    nginx.start()
    done = host.run()
    assert done.code == 0, done.err
    assert nginx.served("b.example.test") == other.certificate


def test_one_that_fails_does_not_stop_the_others(host: Host, nginx: Nginx) -> None:
    """The first is not enrolled; the second is installed; exit code 1."""
    issued = host.offer_new()
    text = host.config.read_text()
    entry = text[text.index("[[certificate]]") :].replace(NAME, "a.example.test").replace("fullchain.pem", "a.pem")
    host.config.write_text(text[: text.index("[[certificate]]")] + entry + text[text.index("[[certificate]]") :])
    done = host.run()
    assert done.code == 1
    assert [one["state"] for one in done.json["certificates"]] == ["not-enrolled", "installed"]
    assert nginx.served() == issued.certificate
    assert host.run(NAME).code == 0
    assert host.run("a.example.test").code == 1


def test_an_unknown_name_is_wrong_usage(host: Host, nginx: Nginx) -> None:
    """Exit code 2, and what is configured."""
    done = host.run("elsewhere.example.test")
    assert done.code == 2
    assert f"configured are: {NAME}" in done.err


def test_links_owner_and_mode_stay(host: Host, nginx: Nginx) -> None:
    """A live path that is a link is written through; the file keeps owner, group and mode; a new key file is closed."""
    real = host.live / "real.pem"
    os.replace(host.fullchain, real)
    host.fullchain.symlink_to("real.pem")
    os.chown(real, 0, 33)
    real.chmod(0o640)
    combined = host.live / "combined.pem"
    open_one = host.live / "open.pem"
    open_one.write_text("was open")
    open_one.chmod(0o644)
    more = "".join(
        f'[[certificate.combined]]\npath = "{path}"\nparts = ["key", "certificate"]\n' for path in (combined, open_one)
    )
    host.served_by(nginx, more=more)
    issued = host.offer_new()
    done = host.run()
    assert done.code == 0, done.err
    assert host.fullchain.is_symlink()
    assert real.read_bytes() == issued.fullchain_pem
    assert (stat.S_IMODE(real.stat().st_mode), real.stat().st_gid) == (0o640, 33)
    assert stat.S_IMODE(combined.stat().st_mode) == 0o600
    assert stat.S_IMODE(open_one.stat().st_mode) == 0o640
    assert combined.read_bytes() == host.key.read_bytes() + issued.cert_pem


def test_an_access_control_list_stays(host: Host, nginx: Nginx) -> None:
    """What setfacl gave to another user is still given after the file was replaced."""
    if shutil.which("setfacl") is None:
        os.setxattr(host.fullchain, "system.posix_acl_access", ACL)
    else:
        subprocess.run(["setfacl", "-m", "u:33:r", str(host.fullchain)], check=True)
    before = os.getxattr(host.fullchain, "system.posix_acl_access")
    host.offer_new()
    assert host.run().code == 0
    assert os.getxattr(host.fullchain, "system.posix_acl_access") == before


# version 2; owner rw-, user 33 r--, group r--, mask r--, others r--
ACL = bytes.fromhex(
    "02000000" "01000600ffffffff" "0200040021000000" "04000400ffffffff" "10000400ffffffff" "20000400ffffffff"
)  # fmt: skip


def test_a_placeholder_that_ends_later_is_replaced(host: Host, nginx: Nginx) -> None:
    """A self-signed file for ten years is not "newer" than a certificate for ninety days."""
    host.offer_new(30)
    assert host.run().code == 0


def test_a_certificate_that_is_in_place_already_is_adopted(host: Host, served: Nginx) -> None:
    """The state folder is lost; files and socket are right: nothing is written to them, no reload."""
    shutil.rmtree(host.state_dir)
    inode = host.fullchain.stat().st_ino
    done = host.run()
    assert (done.code, done.certificate["changed"], done.certificate["state"]) == (0, False, "installed")
    assert host.fullchain.stat().st_ino == inode


def test_not_provable_is_said_and_is_not_proven(host: Host, nginx: Nginx) -> None:
    """probe = []: installed, well, and never called proven."""
    host.configure(check=nginx.check, activate=nginx.activate, probe=[])
    issued = host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"], done.certificate["proven"]) == (0, "unprovable", False)
    assert "no probe is configured" in done.certificate["detail"]
    wait_until(lambda: nginx.served() == issued.certificate, "nginx serves it")
    assert host.run().certificate["changed"] is False


def test_a_probe_that_cannot_be_asked_is_not_wrong(host: Host, nginx: Nginx) -> None:
    """A name without an address: installed, not proven, not rolled back."""
    host.configure(check=nginx.check, activate=nginx.activate, probe=["https://nowhere.invalid"])
    issued = host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "unproven"), done.err
    assert "cannot be asked" in done.err
    assert host.fullchain.read_bytes() == issued.fullchain_pem


def test_a_request_to_stop_waits_for_the_install_under_way(host: Host, served: Nginx) -> None:
    """SIGTERM in the middle: this certificate comes to its end, the run stops, nothing is left open."""
    renewed = host.offer_new()
    flag = host.folder / "activating"
    activate = ["sh", "-c", f"echo > {flag}; sleep 1; exec {' '.join(served.activate)}"]
    host.served_by(served, activate=activate)
    process = subprocess.Popen(
        [sys.executable, "-c", AGENT, "run", "--config", str(host.config)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_until(flag.exists, "the service is being told")
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert served.served() == renewed.certificate
    assert host.leftovers() == []


def test_a_damaged_record_is_made_anew(host: Host, served: Nginx) -> None:
    """Half a record is a warning, and everything is looked at again."""
    record = next((host.state_dir / "records").iterdir())
    record.write_text("{")
    done = host.run()
    assert done.code == 0
    assert "record.damaged" in done.err
    assert host.run().err == ""


def test_the_unchanged_run_is_cheap(host: Host, served: Nginx) -> None:
    """The daily no-op costs less than a fifth of a second of processor time, imports included."""
    command = [sys.executable, "-c", AGENT, "run", "--config", str(host.config)]
    spent = []
    for _ in range(5):
        before = os.times()
        subprocess.run(command, check=True, capture_output=True, cwd=Path(__file__).parents[2])
        after = os.times()
        spent.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(spent) < 0.6, spent  # a loaded machine; alone it is well below 0.2


def test_what_is_served_is_what_is_reported(host: Host, served: Nginx) -> None:
    """The report carries the fingerprint and the end of what lies in the files."""
    assert completes_handshake(served.port, NAME)
    told = host.reported()
    assert told["sha256"] == sha256(host.first.certificate)
    assert told["not_after"] == int(host.first.certificate.not_valid_after_utc.timestamp())


@pytest.mark.parametrize(("more", "starts"), [("", False), ("starts_stopped = true\n", True)])
def test_what_nobody_knew_to_run_is_not_started_by_a_roll_back(host: Host, more: str, starts: bool) -> None:
    """Neither a socket nor systemd says whether it ran: it is told, and goes back, and stays as it is."""
    started = host.folder / "started"
    files = f'start = ["touch", "{started}"]\n{more}[certificate.files]\nfullchain = "{host.fullchain}"'
    host.configure(activate=["false"], files=files)
    host.offer_new()
    assert host.run().certificate["state"] in {"failed", "broken"}
    assert started.exists() is starts
