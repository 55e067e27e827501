"""Users of the machines that are not root: of a host with an agent, and of the central box with its daemon."""

import os
import shlex
import socket
import subprocess
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from issuer.webroot.layout import put
from issuer.webroot.ledger import MadeFolders
from issuer.webroot.local import open_local
from tests.agent.host import NAME as HOSTS_NAME
from tests.agent.host import Host
from tests.agent.test_install_faults import on_full_disk
from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority
from tests.servers.database import SqliteDatabase
from tests.servers.lab import Lab
from tests.servers.nginx import Nginx
from tests.servers.process import program, wait_until
from tests.trust.conftest import NAME, OTHER
from tests.trust.thief import Thief

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
HE = 65534
HIM = ("setpriv", f"--reuid={HE}", f"--regid={HE}", "--clear-groups", "--")
SECRET = "a secret of root's environment"


def he_runs(*words: str) -> str:
    """What he sees on standard output; nothing where he may not."""
    assert program("setpriv", "util-linux")
    return subprocess.run([*HIM, *words], capture_output=True, text=True, check=False, cwd="/").stdout


def he_opens(files: list[Path]) -> list[Path]:
    """Those of *files*, in folders that he may enter or not, that he can open."""
    assert files
    return [file for file in files if he_runs("sh", "-c", f"head -c1 {shlex.quote(str(file))} >/dev/null && echo yes")]


@pytest.fixture
def host(open_folder: Path) -> Host:
    """A host whose folders are as a system's."""
    made = Host(open_folder / "host")
    made.make_key()
    made.put_placeholder()
    return made


def test_a_local_user_of_a_host(host: Host, open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """He reads what has no secret, and holds up only where the service's own port is open to him."""
    thief = Thief("A local user of a host")
    temporary, loot = open_folder / "tmp", open_folder / "loot"
    temporary.mkdir()
    temporary.chmod(0o1777)
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("CERTFLEET_TEST_SECRET", SECRET)
    host.first = host.offer_new()
    looks = (
        f"cat /proc/$1/cmdline; echo; echo $(ls -A {temporary}); cat /proc/$1/environ; ls -l /proc/$1/fd;"
        f" flock -n {host.state_dir}/lock echo locked; find {host.state_dir} -type f"
    )
    # root, too, sees no socket: nothing listens, and an SQLite file is no connection
    as_he = f"{shlex.join(HIM)} sh -c {shlex.quote(looks)} sh $PPID"
    script = f"{as_he} > {loot} 2>/dev/null; ls -l /proc/$PPID/fd > {loot}.root"
    host.configure(activate=["sh", "-c", script])
    done = host.run(fresh=True)
    assert done.code == 0, done.err
    command, listed, seen = loot.read_text().split("\n", 2)
    thief.tries("the command line of a run", got="run" in command.split("\0"))
    thief.tries("a file of a run in /tmp, to put a link in its place", got=bool(listed))
    thief.tries("environment, memory and open files of a run", got=SECRET in seen or "->" in seen)
    thief.tries("the lock of a run, to keep it for ever", got="locked" in seen)
    secret = [host.key, *(file for file in host.state_dir.rglob("*") if file.is_file())]
    assert len(secret) > 2
    got = bool(he_opens(secret)) or str(host.state_dir / "records") in seen
    thief.tries("a key, a password, what the agent remembers", got=got)
    thief.tries("`agent.toml`, the certificates", got=he_opens([host.config, host.fullchain]) != [])
    thief.tries("a socket of the agent, for slow connections", got="socket:" in Path(f"{loot}.root").read_text())

    host.offer_new()
    host.configure()
    done = host.run(wrap=on_full_disk(host.state_dir))
    assert done.code == 1, done.err
    thief.tries("that no new certificate comes, by a full disk", got="No space left" in done.err)
    got = host.fullchain.read_bytes() != host.first.fullchain_pem
    thief.tries("the end of the certificate in place, by a full disk", got=got)
    his = Authority("His CA").issue([HOSTS_NAME]).write(open_folder / "his")
    with Nginx(open_folder / "nginx", his.fullchain, his.key, name=HOSTS_NAME) as pose:
        host.configure(probe=[f"https://127.0.0.1:{pose.port}"])
        assert host.run().code == 1
        got = host.fullchain.read_bytes() == host.first.fullchain_pem
    thief.tries("that no new certificate comes, by a listener on a port of the service that is down", got=got)
    pipe = open_folder / "pipe"
    os.mkfifo(pipe)
    os.chown(pipe, HE, HE)
    host.configure(trust=f'roots = "{pipe}"')
    what = "that a run waits for ever, by a pipe in place of a file that `agent.toml` names in his folder"
    thief.tries(what, got="it is not a regular file" not in host.run("--retry", wrap=["timeout", "60"]).err)
    host.configure()
    assert host.run("--retry").code == 0
    assert host.fullchain.read_bytes() != host.first.fullchain_pem
    thief.is_told()


def test_a_user_of_the_central_box(lab: Lab, open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is secret belongs to the issuer's user alone; the daemon's pages are for everybody, and stay so."""
    thief = Thief("A user of the central box")
    monkeypatch.setenv("CERTFLEET_TEST_SECRET", SECRET)
    box = Box(open_folder / "box", SqliteDatabase(open_folder), bind=lab.bind, pebble=lab.pebble)
    box.set_up()
    box.enrol(NAME)
    box.add_zone(OTHER)
    lab.bind.reconfigure()
    with Service(box, anew=True) as service:
        service.wait_stored(NAME)
        assert service.process is not None
        place = Path(f"/proc/{service.process.pid}")
        thief.tries("the command line of the daemon", got="daemon" in he_runs("cat", f"{place}/cmdline").split("\0"))
        seen = he_runs("cat", f"{place}/environ") + he_runs("ls", "-l", f"{place}/fd")
        thief.tries("its environment, memory and open files", got=SECRET in seen or "->" in seen)
        lock = str(box.state_dir / "issuer.id")
        thief.tries("its lock, to keep it for ever", got=bool(he_runs("flock", "-n", lock, "echo", "locked")))
        wait_until(lambda: "issued_present 1.0" in service.get("/metrics")[1], "the survey is taken", 75)
        thief.tries("the names and how they are, from /metrics", got=NAME in service.get("/metrics")[1])
        wait_until(lambda: service.get("/")[0] == 200, "the page is there")
        thief.tries("the hosts, failures and comments too, from the page at /", got=NAME in service.get("/")[1])
        thief.tries("that the daemon works no more, by 1,000 slow connections", got=not _works_on(service, place))
    secret = [file for file in open_folder.rglob("*") if file.suffix in (".pem", ".key", ".db")]
    assert {"account.pem", "seal.key", "statement.pem", "certfleet.db"} <= {file.name for file in secret}
    thief.tries("a key or password of the issuer, or its database in a file", got=bool(he_opens(secret)))
    pipe = open_folder / "pipe"
    os.mkfifo(pipe)
    os.chown(pipe, HE, HE)
    bundle = box.document["acme"]["ca_bundle"]
    box.write(acme={"ca_bundle": str(pipe)})
    asked = box.start_anew("issue", NAME, wrap=["timeout", "60"])
    what = "that a run waits for ever, by a pipe in place of a file that `issuer.toml` names in his folder"
    thief.tries(what, got=f"{pipe} is not a file" not in asked.communicate()[1])
    box.write(acme={"ca_bundle": bundle})
    webroot, outside = open_folder / "html", open_folder / "outside"
    for folder in (webroot, outside):
        folder.mkdir()
    (webroot / ".well-known").symlink_to(outside)
    for one in (webroot, webroot / ".well-known"):
        os.chown(one, HE, HE, follow_symlinks=False)
    box.ok(
        "populate",
        "web.example.test",
        "--csr",
        "-",
        "--enable",
        "--webroot",
        str(webroot),
        stdin=csr(["web.example.test"]),
    )
    assert "is not a folder" in box.run("run").err
    thief.tries("a file where he may not write, by a link in a webroot of his", got=bool(os.listdir(outside)))
    (webroot / ".well-known").unlink()
    webroot.rmdir()
    webroot.symlink_to(outside)
    os.chown(webroot, HE, HE, follow_symlinks=False)
    with closing(open_local(str(webroot))) as root:
        put(root, "token", "token.print", MadeFolders(open_folder / "made.json"))
    got = (outside / ".well-known/acme-challenge/token").exists()
    thief.tries("the same by a link in place of his webroot", got=got)
    thief.is_told()


def _works_on(service: Service, place: Path) -> bool:
    """Is a certificate issued, and the page shown, while he keeps the connections?"""
    with ExitStack() as stack:
        for _ in range(1000):
            slow = stack.enter_context(closing(socket.create_connection(("127.0.0.1", service.port), timeout=10)))
            slow.sendall(b"GET /metrics HTTP/1.0\r\n")
        few = len(os.listdir(place / "fd")) < 200
        service.box.populate(OTHER)
        service.wait_stored(OTHER)
        return few and service.get("/healthz")[0] == 200
