"""A certificate for a host without an agent: the same journey over a real sshd, with a real nginx behind it."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from agent.host import keys
from tests.agent.host import NAME, Host
from tests.agent.remote import RemoteSite, is_as_before
from tests.agent.windows import CLOSED, OPEN, window
from tests.servers.nginx import Nginx

BOTH = pytest.mark.parametrize("sshd", ["sftp", "shell"], indirect=True)


@BOTH
def test_good(host: Host, site: RemoteSite, nginx: Nginx) -> None:
    """Installed, reloaded and proven; a second run finds nothing to do; one login each."""
    host.fullchain.chmod(0o640)
    issued = host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"], done.certificate["changed"]) == (0, "installed", True), done.err
    assert nginx.served() == issued.certificate
    assert host.fullchain.read_bytes() == issued.fullchain_pem
    assert host.fullchain.stat().st_mode & 0o777 == 0o640
    assert site.sshd.logins() == 1
    done = host.run()
    assert (done.code, done.certificate["changed"]) == (0, False), done.err
    assert site.sshd.logins() == 2
    assert host.leftovers() == []
    assert host.reported()["state"] == "installed"
    assert subprocess.run(nginx.check, capture_output=True, check=False).returncode == 0


def test_a_rehearsal_and_the_way_back(host: Host, nginx: Nginx, first: bytes) -> None:
    """`run --dry-run` says what would change there and changes nothing; `rollback` goes back to the one before."""
    rehearsed = host.run("--dry-run")
    assert (rehearsed.code, str(host.fullchain) in rehearsed.out) == (0, True), rehearsed.err
    assert is_as_before(host, nginx, first)
    assert host.run().code == 0
    assert host.fullchain.read_bytes() != first
    done = host.agent("rollback", NAME)
    assert done.code == 0, done.err
    assert is_as_before(host, nginx, first)


@pytest.mark.sampled
@BOTH
def test_a_stand_in_and_a_look(host: Host, site: RemoteSite, nginx: Nginx) -> None:
    """`request --interim` makes a self-signed one there, and `check` looks at key and files there."""
    host.fullchain.unlink()
    done = host.agent("request", NAME, "--csr", str(host.folder / "host.csr"), "--interim")
    assert done.code == 0, done.err
    made = x509.load_pem_x509_certificate(host.fullchain.read_bytes())
    assert made.issuer == made.subject
    assert made.public_key() == x509.load_pem_x509_csr((host.folder / "host.csr").read_bytes()).public_key()
    host.offer_new()
    assert host.run().code == 0
    looked = host.agent("check")
    assert looked.code == 0, looked.out
    assert f"its files hold what was installed: {host.fullchain}" in looked.out
    host.key.unlink()
    looked = host.agent("check")
    assert looked.code == 1
    assert "there is no such key; `certfleet-agent request NAME` makes it there" in looked.out


@pytest.mark.soak
def test_it_was_staged_for_a_window(host: Host, site: RemoteSite, nginx: Nginx, first: bytes) -> None:
    """The source is away when that opens: the certificate staged here is installed and proven there."""
    window(host, *CLOSED)
    assert host.run().certificate["staged"] is True
    assert is_as_before(host, nginx, first)
    window(host, *OPEN)
    host.database.rename(host.database.with_suffix(".away"))
    done = host.run()
    assert (done.code, done.certificate["state"], done.certificate["changed"]) == (1, "unreachable", True), done.err
    assert "which was staged, is installed and proven; there is no database" in done.err
    assert nginx.served() != host.first.certificate
    assert host.run().certificate["changed"] is False


@pytest.mark.soak
def test_refused_at_the_check(host: Host, site: RemoteSite, nginx: Nginx, first: bytes) -> None:
    """The old file is back byte for byte, with what the check said; nothing was reloaded, and it is not tried again."""
    told = host.folder / "told"
    complaint = f"grep -q . {host.fullchain}; echo no good; exit 3"
    probe = [f"https://127.0.0.1:{nginx.port}"]
    site.configure(check=["sh", "-c", complaint], activate=["touch", str(told)], probe=probe, probe_timeout="1s")
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "failed")
    assert "exit code 3; it said: no good" in done.err
    assert "the service's configuration was broken before" in done.err
    like_first = ["sh", "-c", f"grep -q {first.split()[-4].decode()} {host.fullchain}"]
    site.configure(check=like_first, probe=probe, probe_timeout="1s")
    done = host.run("--retry")
    assert (done.code, done.certificate["state"]) == (1, "failed")
    assert "rolled back, all is as it was" in done.err
    assert done.certificate["refused"]["attempts"] == 1
    assert not told.exists()
    assert is_as_before(host, nginx, first)


@pytest.mark.sampled
@BOTH
def test_a_service_that_keeps_the_old_one(host: Host, site: RemoteSite, nginx: Nginx, first: bytes) -> None:
    """Its reload says yes and its socket no: it goes back, and the reason is what the reload wrote into its log."""
    probe, log = [f"https://127.0.0.1:{nginx.port}"], host.folder / "service.log"
    log.write_text(f"yesterday: cannot read {host.fullchain}\n")
    activate = ["sh", "-c", f"echo cannot load {host.fullchain} >> {log}"]
    files = f'logs = "{log}"\n[certificate.files]\nfullchain = "{host.fullchain}"'
    site.configure(check=nginx.check, activate=activate, probe=probe, probe_timeout="1s", files=files)
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "failed")
    assert f"its log says: cannot load {host.fullchain}; rolled back" in done.err
    assert "rolled back, all is as it was" in done.err
    assert is_as_before(host, nginx, first)


@BOTH
def test_a_first_install_that_fails(host: Host, site: RemoteSite, nginx: Nginx) -> None:
    """A file that was not there is taken away again."""
    fresh = host.live / "fresh.pem"
    files = f'[certificate.files]\nfullchain = "{fresh}"'
    site.configure(check=["test", "!", "-e", str(fresh)], probe=[f"https://127.0.0.1:{nginx.port}"], files=files)
    host.offer_new()
    assert host.run().certificate["state"] == "failed"
    assert not fresh.exists()
    assert host.leftovers() == []


def test_another_key_of_the_certificate(host: Host, nginx: Nginx, first: bytes) -> None:
    """The public half of the key there is compared with the certificate before anything is touched."""
    host.key.write_bytes(keys.make("ecdsa-p256").content)
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "refused")
    assert "no live file was touched" in done.err
    assert host.fullchain.read_bytes() == first


SPIED = """
import sys
import paramiko
from agent.cli import main
real = paramiko.Channel.recv
def spied(channel, size):
    data = real(channel, size)
    with open({log!r}, "ab") as log:
        log.write(data)
    return data
paramiko.Channel.recv = spied
sys.exit(main())
"""


def test_the_key_stays_there(host: Host, nginx: Nginx, tmp_path: Path) -> None:
    """Nothing of it comes over the line, from the first look to the proof."""
    log = tmp_path / "received"
    host.offer_new()
    assert host.run(program=SPIED.format(log=str(log))).code == 0
    received, secret = log.read_bytes(), host.key.read_bytes().split(b"\n")[1]
    assert b"BEGIN PUBLIC KEY" in received
    assert secret not in received
    assert b"PRIVATE KEY" not in received


@pytest.mark.sampled
@BOTH
@pytest.mark.parametrize("has_more", [True, False])
def test_a_live_file_that_holds_a_key(host: Host, nginx: Nginx, tmp_path: Path, has_more: bool) -> None:
    """It does not come over the line, and is not replaced."""
    log, key = tmp_path / "received", keys.make("ecdsa-p256").content
    content = host.fullchain.read_bytes() + key if has_more else key
    host.fullchain.write_bytes(content)
    host.offer_new()
    done = host.run(program=SPIED.format(log=str(log)))
    assert (done.code, done.certificate["state"]) == (1, "failed")
    assert "holds a private key" in done.err
    assert host.fullchain.read_bytes() == content
    assert key.split(b"\n")[1] not in log.read_bytes()


@pytest.mark.sampled
@BOTH
def test_links_and_folders_of_others(host: Host, nginx: Nginx, tmp_path: Path) -> None:
    """A link stays and its target changes; where others could redirect it, nothing is written."""
    shelf = tmp_path / "shelf"
    shelf.mkdir(mode=0o755)
    real = shelf / "real.pem"
    shutil.move(host.fullchain, real)
    host.fullchain.symlink_to(real)
    issued = host.offer_new()
    assert host.run().code == 0
    assert host.fullchain.is_symlink()
    assert real.read_bytes() == issued.fullchain_pem
    shelf.chmod(0o777)
    host.offer_new()
    done = host.run()
    assert done.certificate["state"] == "failed"
    assert f"can exchange the files in {shelf}" in done.err
    assert real.read_bytes() == issued.fullchain_pem


@pytest.mark.sampled
@pytest.mark.parametrize("key_type", ["", "ecdsa-p384", "rsa2048"])
def test_key_and_request_are_made_there(host: Host, site: RemoteSite, key_type: str) -> None:
    """`request` makes the key on its host, 0600, and writes the CSR here; a second one uses the key."""
    host.key = site.folder / "keys" / "made.key"
    host.offer_new()
    host.config.write_text("")
    site.configure()
    csr = host.folder / "made.csr"
    words = ["request", NAME, "--json", "--csr", str(csr), "--san", "b.example.test", "192.0.2.7"]
    made = host.agent(*words, *(["--key-type", key_type] if key_type else []))
    assert made.code == 0, made.err
    assert (made.json["key_created"], made.json["key_type"]) == (True, key_type or "ecdsa-p256")
    assert host.key.stat().st_mode & 0o777 == 0o600
    spki, names = keys.csr_facts(csr.read_bytes())
    assert (spki, names) == (keys.load(host.key).spki_sha256, ("192.0.2.7", "b.example.test", NAME))
    key = host.key.read_bytes()
    again = host.agent(*words)
    assert (again.code, again.json["key_created"], again.json["csr_written"]) == (0, False, False), again.err
    assert host.key.read_bytes() == key
    assert [file.name for file in host.key.parent.iterdir()] == ["made.key"]


def test_a_request_for_an_address(host: Host, site: RemoteSite) -> None:
    """It has no common name, and names that are critical (RFC 5280)."""
    host.name = "192.0.2.7"
    site.configure(probe=["https://127.0.0.1"])
    made = host.agent("request", "192.0.2.7", "--csr", "-")
    assert made.code == 0, made.err
    assert keys.csr_facts(made.out.encode())[1] == ("192.0.2.7",)
