"""`request --next` for a host without an agent: key and certificate change there in one install, and no key leaves."""

import subprocess
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest
from cryptography import x509

from agent.remote.access import Ended
from agent.remote.shell import ShellAccess
from tests.agent.host import NAME, Host
from tests.agent.killed import Step, acting
from tests.agent.over_ssh.test_remote_install import BOTH, SPIED
from tests.agent.remote import RemoteSite
from tests.agent.test_install_killed import die
from tests.agent.test_next_key import OTHER, fits, next_key, offer_next, request
from tests.servers.authority import Issued
from tests.servers.nginx import Nginx
from tests.servers.tls import completes_handshake


@pytest.fixture
def first(host: Host, nginx: Nginx) -> Issued:
    """A certificate in place, for the present key, which a group may read."""
    host.first = host.offer_new()
    host.key.chmod(0o640)
    assert host.run().code == 0
    return host.first


def keys_there(host: Host) -> set[str]:
    """The files beside the key that have its name."""
    return {file.name for file in host.key.parent.iterdir() if host.key.name in file.name}


def assert_changed(host: Host, nginx: Nginx, new: Issued, made: bytes) -> None:
    """The new pair is in place and served, and nothing else is left."""
    assert nginx.served() == new.certificate
    assert host.fullchain.read_bytes() == new.fullchain_pem
    assert host.key.read_bytes() == made
    assert host.key.stat().st_mode & 0o777 == 0o640
    assert keys_there(host) == {host.key.name}
    assert host.leftovers() == []


@pytest.mark.sampled
@BOTH
def test_key_and_names_change_in_one_install(
    host: Host, site: RemoteSite, nginx: Nginx, first: Issued, tmp_path: Path
) -> None:
    """Key and CSR are made there; nothing changes before the certificate is there; then both files do, under clients.
    Nothing of either key comes over the line."""
    log, before = tmp_path / "received", host.key.read_bytes()
    words = ["request", NAME, "--next", "--csr", str(host.folder / "next.csr"), "--san", OTHER]
    done = host.agent(*words, program=SPIED.format(log=str(log)))
    assert done.code == 0, done.err
    assert f"certfleet-issuer populate --replace {NAME} --csr {host.folder}/next.csr" in done.out
    assert next_key(host).stat().st_mode & 0o777 == 0o600
    assert host.run().code == 0
    assert f"its next key waits in {next_key(host)}" in host.agent("check").out
    assert (host.key.read_bytes(), nginx.served()) == (before, first.certificate)
    made, new = next_key(host).read_bytes(), offer_next(host)
    rehearsed = host.run("--dry-run")
    assert (rehearsed.code, str(host.key) in rehearsed.out, next_key(host).exists()) == (0, True, True), rehearsed.err
    over, completed = threading.Event(), list[bool]()

    def clients() -> None:
        while not over.is_set():
            completed.append(completes_handshake(nginx.port, NAME))

    thread = threading.Thread(target=clients)
    thread.start()
    done = host.run(program=SPIED.format(log=str(log)))
    over.set()
    thread.join()
    assert (done.code, done.certificate["state"], all(completed)) == (0, "installed", True), done.err
    names = nginx.served().extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {NAME, OTHER}
    assert_changed(host, nginx, new, made)
    received = log.read_bytes()
    assert b"BEGIN PUBLIC KEY" in received
    assert b"PRIVATE KEY-----" not in received
    assert not any(key.split(b"\n")[1] in received for key in (before, made))
    done = host.run()
    assert (done.code, done.certificate["changed"]) == (0, False)


@pytest.mark.soak
def test_a_link_to_the_key_and_another_type(host: Host, nginx: Nginx, first: Issued) -> None:
    """The link stays, and its target changes; the next key lies beside the link."""
    real = host.folder / "keys" / "real.pem"
    real.parent.mkdir(mode=0o700)
    host.key.rename(real)
    host.key.symlink_to(real)
    assert request(host, "--key-type", "rsa2048").code == 0
    made, new = next_key(host).read_bytes(), offer_next(host)
    done = host.run()
    assert done.code == 0, done.err
    assert (host.key.is_symlink(), [file.name for file in real.parent.iterdir()]) == (True, [real.name])
    assert_changed(host, nginx, new, made)


@pytest.mark.soak
def test_a_renewal_meanwhile_and_a_key_that_is_no_use(host: Host, nginx: Nginx, first: Issued) -> None:
    """A next key is no reason to refuse a certificate for the present one, nor is one that cannot be used."""
    assert request(host).code == 0
    for nonsense in (False, True):
        if nonsense:
            next_key(host).write_text("nonsense")
        renewed = host.offer_new()
        assert host.run().code == 0
        assert nginx.served() == renewed.certificate
        assert next_key(host).exists()


@pytest.mark.sampled
@pytest.mark.parametrize("at_check", [False, True], ids=["keeps the old one", "refused by its check"])
def test_what_the_service_refuses_goes_back_with_its_key(
    host: Host, site: RemoteSite, nginx: Nginx, first: Issued, at_check: bool
) -> None:
    """The old pair is in place and served, the next key waits on, and a plain run leaves all alone."""
    assert request(host).code == 0
    key, made = host.key.read_bytes(), next_key(host).read_bytes()
    as_before = ["sh", "-c", f"cmp {host.fullchain} {host.folder}/was"]
    (host.folder / "was").write_bytes(first.fullchain_pem)
    probe = [f"https://127.0.0.1:{nginx.port}"]
    site.configure(check=as_before if at_check else nginx.check, activate=["true"], probe=probe, probe_timeout="1s")
    new = offer_next(host)
    for _ in range(2):
        done = host.run()
        assert (done.code, done.certificate["state"]) == (1, "failed"), done.err
        assert "rolled back, all is as it was" in done.certificate["detail"]
        assert (host.key.read_bytes(), host.fullchain.read_bytes()) == (key, first.fullchain_pem)
        assert host.key.stat().st_mode & 0o777 == 0o640
        assert keys_there(host) == {host.key.name, next_key(host).name}
        assert nginx.served() == first.certificate
    site.configure(check=nginx.check, activate=nginx.activate, probe=probe)
    assert host.run().code == 0
    assert_changed(host, nginx, new, made)


def test_a_key_of_two_certificates(host: Host, site: RemoteSite, nginx: Nginx, first: Issued) -> None:
    """Of one host: the other one would not fit any more, which is said. The same path elsewhere is another key."""
    link = host.folder / "link.pem"
    link.symlink_to(host.key)
    before = host.config.read_text()
    entry = f'[[certificate]]\nname = "{OTHER}"\nprobe = []\n{{}}[certificate.files]\nfullchain = "{host.live}/o.pem"\n'
    host.config.write_text(before + entry.format(f'key = "{link}"\n{site.settings}'))
    done = request(host)
    assert done.code == 1
    assert f"{OTHER} has the same key" in done.err
    assert f"`certfleet-agent request {NAME} --key NEW --csr FILE`" in done.err
    assert not next_key(host).exists()
    host.config.write_text(before + entry.format(f'key = "{host.key}"\n'))
    assert request(host).code == 0


def test_a_key_with_more_in_its_file(host: Host, nginx: Nginx, first: Issued) -> None:
    """It would be lost with the key before: no next key is made."""
    host.key.write_bytes(host.key.read_bytes() + first.fullchain_pem)
    done = request(host)
    assert done.code == 1
    assert "it holds a private key and more" in done.err
    assert not next_key(host).exists()


SHELL_ACCESS = "agent.remote.shell:ShellAccess"
REMOTE_FILES = "agent.remote.files:RemoteFiles"
# Each instant once: what comes after one of these calls is the moment before the next.
STEPS: list[Step] = [
    (SHELL_ACCESS, "copy", 1, "before"),
    (SHELL_ACCESS, "copy", 1, "after"),  # the present key is kept
    (SHELL_ACCESS, "copy", 2, "after"),  # the next key is beside it
    (SHELL_ACCESS, "rename", 1, "after"),
    ("agent.journey.install", "activate", 1, "after"),
    ("agent.journey.install", "commit", 1, "after"),
    (REMOTE_FILES, "restore", 1, "before"),
    (REMOTE_FILES, "restore", 1, "after"),
    ("agent.host.state_folder:StateFolder", "save_records", 1, "after"),
]


@pytest.mark.sampled
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_killed_on_the_way(host: Host, nginx: Nginx, first: Issued, step: Step) -> None:
    """Whatever instruction the agent dies at, there is a pair that fits; the next run ends with the new one."""
    assert request(host).code == 0
    made, new = next_key(host).read_bytes(), offer_next(host)
    die(host, step)
    assert fits(host)
    assert completes_handshake(nginx.port, NAME)
    assert not [file for file in host.state_dir.rglob("*") if file.is_file() and b"PRIVATE KEY-" in file.read_bytes()]
    done = host.run()
    assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
    assert_changed(host, nginx, new, made)


@pytest.mark.soak
@pytest.mark.sampled
@pytest.mark.parametrize("configured", [True, False], ids=["configured", "not configured any more"])
def test_killed_before_the_service_is_told(
    host: Host, site: RemoteSite, nginx: Nginx, first: Issued, configured: bool
) -> None:
    """The next run goes back, where it cannot go on, also where agent.toml has the name no more."""
    assert request(host).code == 0
    key = host.key.read_bytes()
    offer_next(host)
    die(host, (SHELL_ACCESS, "rename", 1, "after"))
    assert host.key.read_bytes() != key
    if configured:
        site.configure(check=["false"], probe=[f"https://127.0.0.1:{nginx.port}"])
    else:
        host.config.write_text(host.config.read_text().replace(NAME, OTHER))
    host.run()
    assert (host.key.read_bytes(), host.fullchain.read_bytes()) == (key, first.fullchain_pem)
    assert keys_there(host) == {host.key.name, next_key(host).name}
    assert nginx.served() == first.certificate


@pytest.mark.soak
def test_an_answer_that_is_lost_when_all_was_done(host: Host, site: RemoteSite, nginx: Nginx, first: Issued) -> None:
    """The swap is done again on a new connection: the key that was kept is still the one before."""
    assert request(host).code == 0
    key = host.key.read_bytes()
    probe = [f"https://127.0.0.1:{nginx.port}"]
    site.configure(check=nginx.check, activate=["true"], probe=probe, probe_timeout="1s")
    offer_next(host)
    logins = site.sshd.logins()
    done = host.run(program=acting((SHELL_ACCESS, "rename", 1, "after"), 'raise EOFError("it is cut")'))
    assert site.sshd.logins() == logins + 2
    assert "rolled back, all is as it was" in done.certificate["detail"]
    assert host.key.read_bytes() == key
    assert fits(host)


@pytest.mark.soak
def test_a_change_that_cannot_be_brought_back(host: Host, nginx: Nginx, first: Issued) -> None:
    """Another request touches no key while the way back may need it."""
    assert request(host).code == 0
    offer_next(host)
    die(host, (SHELL_ACCESS, "rename", 1, "after"))
    there = keys_there(host)
    for backup in (host.state_dir / "work").rglob("backup-*"):
        backup.unlink()
    done = request(host)
    assert done.code == 1
    assert "no next key is made" in done.err
    assert "is missing or damaged" in done.err
    assert keys_there(host) == there
    assert len(there) == 3


def test_content_that_ends_early_is_an_error(tmp_path: Path) -> None:
    """A shell takes the end of a connection for the end of the content. A leftover of a killed run does not stay."""
    file, content = tmp_path / "new", b"0123456789"
    file.write_bytes(b"leftover")
    for arrived in range(len(content) + 1):

        def cut(script: str, stdin: bytes = b"", arrived: int = arrived) -> Ended:
            words = ["/bin/sh", "-c", script]
            done = subprocess.run(words, input=stdin[:arrived], capture_output=True, check=False)
            return Ended(done.returncode, done.stdout, done.stderr)

        fails = pytest.raises(OSError, match="not all of it has arrived") if arrived < len(content) else nullcontext()
        with fails:
            ShellAccess(cut).create(str(file), content, 0o640, (-1, -1))
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (content, 0o640)


@pytest.mark.soak
def test_files_get_their_names_together_or_not_at_all(tmp_path: Path) -> None:
    """Wherever the connection is cut: a shell that got a part of its words renames none."""
    outcomes = set[int]()
    for arrived in range(0, 1000, 7):
        old, new = ([tmp_path / f"{word}{number}" for number in range(2)] for word in ("old", "new"))
        for file in old:
            file.write_bytes(b"")

        def cut(script: str, stdin: bytes = b"", arrived: int = arrived) -> Ended:
            subprocess.run(["/bin/sh", "-c", script], input=stdin[:arrived], capture_output=True, check=False)
            raise EOFError

        with pytest.raises(EOFError):
            ShellAccess(cut).rename(dict(zip(map(str, old), map(str, new), strict=True)))
        outcomes.add(sum(file.exists() for file in new))
        for file in new:
            file.unlink(missing_ok=True)
    assert outcomes == {0, 2}
