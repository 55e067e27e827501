"""What goes wrong between the agent and a host without one, and what the next run makes of it."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import paramiko
import pytest

from agent.host import keys
from agent.host.waits import Waits
from agent.model.errors import HostLost
from agent.model.remote_host import RemoteHost, SshAddress
from agent.remote.session import LIMITS, Session, reach
from tests.agent.host import AGENT, NAME, ROOT, Host
from tests.agent.remote import RemoteSite, is_as_before
from tests.agent.test_agent_waits import Dripping
from tests.servers.nginx import Nginx
from tests.servers.process import wait_until
from tests.servers.silent import Silent
from tests.servers.sshd import Sshd, new_key
from tests.servers.stopwatch import Stopwatch


@pytest.mark.soak
def test_a_host_that_is_down(host: Host, site: RemoteSite, nginx: Nginx, first: bytes) -> None:
    """It is unreachable, twice in the same words, and then goes on; a certificate of this machine is installed all the
    same."""
    near = host.live / "near.pem"
    entry = f'[[certificate]]\nname = "near.example.test"\nkey = "{host.key}"\nprobe = []\n'
    host.config.write_text(f'{host.config.read_text()}{entry}[certificate.files]\nfullchain = "{near}"\n')
    issued = host.authority.sign(keys.csr(keys.load(host.key), ("near.example.test",)))
    host.offer(issued.cert_pem, issued.chain_pem, name="near.example.test")
    site.sshd.stop()
    for _ in range(2):
        done = host.run()
        states = {one["name"]: one["state"] for one in done.json["certificates"]}
        assert (done.code, states) == (1, {NAME: "unreachable", "near.example.test": "unprovable"})
        assert f"[127.0.0.1]:{site.port} cannot be reached: Connection refused" in done.err
        assert "what to do: check that the host runs" in done.err
    assert near.read_bytes() == issued.fullchain_pem
    assert is_as_before(host, nginx, first)
    site.sshd.start()
    assert host.run().code == 0


def test_another_host_key(host: Host, site: RemoteSite, nginx: Nginx, first: bytes) -> None:
    """A changed key is refused with both fingerprints, an unknown one with its own; nobody logs in."""
    old = site.sshd.fingerprint()
    site.sshd.stop()
    site.sshd.new_host_key()
    site.sshd.start()
    logins = site.sshd.logins()
    done = host.run()
    assert done.certificate["state"] == "unreachable"
    assert f"it shows ssh-ed25519 {site.sshd.fingerprint()}, pinned is ssh-ed25519 {old}" in done.err
    site.pin("# nobody")
    done = host.run()
    assert f"is not pinned: it shows ssh-ed25519 {site.sshd.fingerprint()}" in done.err
    assert site.pins.read_text() == "# nobody\n"
    assert site.sshd.logins() == logins
    assert is_as_before(host, nginx, first)


GONE = """
import os, signal, sys
from agent.cli import main
from agent.remote.keys import RemoteKeys
real = RemoteKeys.load
def gone(keys, file):
    children = open("/proc/{pid}/task/{pid}/children").read().split()
    for one in [{pid}, *map(int, children)]:
        os.kill(one, signal.SIGTERM)
    return real(keys, file)
RemoteKeys.load = gone
sys.exit(main())
"""


def test_a_host_that_goes_before_its_key_is_seen(host: Host, site: RemoteSite, nginx: Nginx, first: bytes) -> None:
    """The certificate is not refused for that, which would hold it for hours."""
    assert site.sshd._process is not None
    done = host.run(program=GONE.format(pid=site.sshd._process.pid))
    assert (done.code, done.certificate["state"]) == (1, "unreachable")
    assert done.certificate["refused"] is None
    assert is_as_before(host, nginx, first)


@pytest.mark.soak
def test_a_command_without_end(host: Host, site: RemoteSite, nginx: Nginx, first: bytes) -> None:
    """It is ended there with its children, after its time."""
    sleep = f"sleep 1234.{os.getpid()}"
    site.configure(check=["sh", "-c", f"{sleep}1 & {sleep}2"], probe=[f"https://127.0.0.1:{nginx.port}"])
    host.config.write_text(host.config.read_text().replace('command_timeout = "20s"', 'command_timeout = "1s"'))
    done = host.run()
    assert "had not ended after 1 s" in done.err
    wait_until(lambda: subprocess.run(["pgrep", "-f", f"^{sleep}"], check=False).returncode == 1, "both have ended")
    assert is_as_before(host, nginx, first)


@pytest.mark.soak
def test_a_log_that_is_none(host: Host, site: RemoteSite, nginx: Nginx, first: bytes) -> None:
    """The agent reads no pipe and no link, whose owner may choose another's file, and waits for none."""
    logs = host.folder / "logs"
    logs.mkdir()
    secret = host.folder / "secret"
    secret.write_text(f"cannot load {host.fullchain}: hunter2\n")
    os.mkfifo(logs / "pipe.log")
    script = f"cd {logs}; printf 'nothing: ' > a.log; ln -sf {secret} b.log; echo cannot load {host.fullchain} > c.log"
    files = f'logs = "{logs}/*.log"\n[certificate.files]\nfullchain = "{host.fullchain}"'
    probe = [f"https://127.0.0.1:{nginx.port}"]
    site.configure(check=nginx.check, activate=["sh", "-c", script], probe=probe, probe_timeout="1s", files=files)
    watch = Stopwatch()
    done = host.run()
    assert watch.seconds() < 10
    assert f"its log says: cannot load {host.fullchain}; rolled back" in done.certificate["detail"]
    assert "hunter2" not in done.out + done.err
    assert is_as_before(host, nginx, first)


def test_a_daemon_that_keeps_its_output_open(host: Host, site: RemoteSite, nginx: Nginx) -> None:
    """The command has ended: what it has started is not waited for."""
    pid = host.folder / "pid"
    daemon = ["sh", "-c", f"sleep 300 & echo $! > {pid}"]
    site.configure(check=daemon, activate=nginx.activate, probe=[f"https://127.0.0.1:{nginx.port}"])
    host.offer_new()
    try:
        done = host.run()
        assert (done.code, done.certificate["changed"]) == (0, True), done.err
    finally:
        os.kill(int(pid.read_text()), 9)


_QUICK = """
import sys
import agent.remote.session
from agent.cli import main
from common.ssh_limits import SshLimits
agent.remote.session.LIMITS = SshLimits(handshake=1.0, answer=ANSWER, action=ACTION)
sys.exit(main())
"""


def quick(*, answer: float = 20.0, action: float = 60.0) -> str:
    """The agent with these time limits, in seconds."""
    return _QUICK.replace("ANSWER", str(answer)).replace("ACTION", str(action))


def test_a_host_that_says_nothing(host: Host, site: RemoteSite, nginx: Nginx, first: bytes) -> None:
    """Three certificates on a host that takes calls and is silent cost one time limit."""
    with Silent() as silent:
        site.behind(silent.port)
        site.configure(probe=[f"https://127.0.0.1:{nginx.port}"])
        add_two(host, site)
        done = host.run(program=quick())
        assert [one["state"] for one in done.json["certificates"]] == ["unreachable"] * 3
        assert silent.calls == 1
    assert host.fullchain.read_bytes() == first


def add_two(host: Host, site: RemoteSite) -> None:
    """Two more certificates there."""
    for number in range(2):
        entry = f'[[certificate]]\nname = "n{number}.example.test"\nkey = "{host.key}"\nprobe = []\n{site.settings}'
        files = f'[certificate.files]\nfullchain = "{host.live}/n{number}.pem"\n'
        host.config.write_text(host.config.read_text() + entry + files)
        host.offer(host.first.cert_pem, host.first.chain_pem, name=f"n{number}.example.test")


HANGS = "import sys; sys.stdin.buffer.read()"
DRIPS = """
import sys, time
sys.stdout.buffer.write(b"\\0\\2\\0\\0")
while True:
    sys.stdout.buffer.write(b"\\0")
    sys.stdout.buffer.flush()
    time.sleep(0.1)
"""


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("script", "limits"), [(HANGS, {"answer": 0.7}), (DRIPS, {"action": 1.0})], ids=["hangs", "drips"]
)
def test_a_host_whose_files_hang(host: Host, tmp_path: Path, script: str, limits: dict[str, float]) -> None:
    """As with a disk that does not answer, or byte by byte: three certificates cost two time limits, and two logins."""
    program = tmp_path / "sftp.py"
    program.write_text(script)
    with Sshd(tmp_path / "sshd", sftp=f"{sys.executable} {program}") as sshd:
        site = RemoteSite(host, sshd, host.live)
        site.configure(probe=[])
        host.first = host.offer_new()
        add_two(host, site)
        watch = Stopwatch()
        done = host.run(program=quick(**limits))
        assert [one["state"] for one in done.json["certificates"]] == ["unreachable"] * 3
        assert sshd.logins() == 2
        assert watch.seconds() < 20


def test_a_host_that_drips_its_greeting(host: Host, site: RemoteSite) -> None:
    """A byte at a time, for longer than the login may take as a whole: the login ends with its time."""
    with closing(Dripping(b"SSH-2.0-")) as dripping:
        site.behind(dripping.port)
        site.configure(probe=[])
        host.first = host.offer_new()
        watch = Stopwatch()
        done = host.run(program=quick(answer=0.5))
        assert done.certificate["state"] == "unreachable"
        assert watch.seconds() < 20
        assert dripping.met.is_set()


def test_hosts_are_called_side_by_side(host: Host) -> None:
    """Two hosts, of which each is silent until the other has been called too: neither waits for its time limit."""
    pins, login = host.folder / "pins", new_key(host.folder / "login")
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [server.getsockname()[1] for server in (one, other)]
        pins.write_text("")
        hosts = [RemoteHost(SshAddress("root", "127.0.0.1", port), login, pins) for port in ports]
        sessions = [Session(one, Waits()) for one in hosts]

        def hang_up() -> None:
            calls = [one.accept()[0], other.accept()[0]]
            for call in calls:
                call.close()

        threading.Thread(target=hang_up, daemon=True).start()
        watch = Stopwatch()
        reach(sessions, Waits())
        assert watch.seconds() < LIMITS.handshake / 2
        for session in sessions:
            with pytest.raises(HostLost, match="SSH"):
                session.execute("true")


KILLED = """
import os, signal, sys
import agent.remote.files as files
from agent.cli import main
real = files._replace
def killed(*arguments):
    real(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
files._replace = killed
sys.exit(main())
"""


@pytest.mark.sampled
@pytest.mark.parametrize("is_configured", [True, False])
def test_an_agent_that_is_killed(host: Host, site: RemoteSite, nginx: Nginx, first: bytes, is_configured: bool) -> None:
    """The journal says where the files are: the next run settles it, also where agent.toml has the name no more."""
    assert host.run(program=KILLED).code == -signal.SIGKILL
    assert host.fullchain.read_bytes() != first
    assert nginx.served() == host.first.certificate
    if is_configured:
        site.configure(check=["false"], probe=[f"https://127.0.0.1:{nginx.port}"])
    else:
        host.config.write_text(host.config.read_text().replace(host.name, "other.example.test"))
    site.sshd.stop()
    done = host.run()
    assert (done.code, done.json["certificates"][0]["state"]) == (1, "broken")
    assert host.fullchain.read_bytes() != first
    site.sshd.start()
    assert host.run().code == 1
    assert is_as_before(host, nginx, first)


def test_a_request_to_stop(host: Host, site: RemoteSite, nginx: Nginx, first: bytes) -> None:
    """While its check runs there: the old file is back when the agent has ended, and that is soon."""
    site.configure(check=["sleep", "15"], probe=[f"https://127.0.0.1:{nginx.port}"])
    words = [sys.executable, "-c", AGENT, "run", "--config", str(host.config)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: host.fullchain.read_bytes() != first, "the new file is there")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "stopped on request" in said
    assert is_as_before(host, nginx, first)


def test_a_connection_that_ends_with_a_command(site: RemoteSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host is lost, and the command has not failed, also where paramiko ends the channel some time before it knows
    that of the connection."""
    unlink = paramiko.Channel._unlink  # type: ignore[attr-defined]

    def slowly(channel: paramiko.Channel) -> None:
        unlink(channel)
        time.sleep(1)

    monkeypatch.setattr(paramiko.Channel, "_unlink", slowly)
    with closing(session_with(site)) as session:
        assert session.execute("kill -KILL $$").code == -1
        with pytest.raises(HostLost):
            session.execute("kill -KILL $PPID")


@pytest.mark.parametrize("sshd", ["shell"], indirect=True)
def test_a_host_that_ends_sftp_before_it_is_spoken_to(site: RemoteSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sshd names a program for SFTP that is not there: a shell does the same, however fast it says so."""
    invoke = paramiko.Channel.invoke_subsystem

    def late(channel: paramiko.Channel, name: str) -> None:
        invoke(channel, name)
        wait_until(lambda: channel.closed, "the host has closed the channel")

    monkeypatch.setattr(paramiko.Channel, "invoke_subsystem", late)
    with closing(session_with(site)) as session:
        assert session.files(lambda access: access.look("/etc/passwd", 5))[1] == b"root:"


def test_a_command_that_ends_before_it_has_read_everything(site: RemoteSite) -> None:
    """What it said counts, and not that nobody reads any more."""
    with closing(session_with(site)) as session:
        ended = session.execute("echo no space left >&2; exit 3", stdin=b"x" * 30_000_000)
    assert (ended.code, ended.said) == (3, "no space left")


def session_with(site: RemoteSite) -> Session:
    address = SshAddress(site.sshd.user, "127.0.0.1", site.sshd.port)
    return Session(RemoteHost(address, site.sshd.key, site.pins), Waits())
