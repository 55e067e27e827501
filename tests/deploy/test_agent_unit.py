"""The agent's daily run under a real systemd, by unit and timer as they are shipped, with Debian's own nginx."""

from pathlib import Path

import pytest
from cryptography import x509

from agent.commands.sandbox import folders_to_write
from agent.settings.config import AgentSettings, SourceSettings
from tests.deploy.machine import STATE, Central, Machine
from tests.issuer.signing_requests import csr, private_pem
from tests.servers.authority import Authority
from tests.servers.process import wait_until
from tests.servers.tls import served_certificate

AGENT = "certfleet-agent"
NAME = "www.example.test"
HTTPS = 443
CERTIFICATE = f"""
[source]
url = "sqlite:///{STATE}/certfleet.db"
[trust]
roots = "/etc/certfleet/root.pem"
[[certificate]]
name = "{NAME}"
key = "/etc/ssl/private/{NAME}.key"
service = "nginx"
probe = ["https://{NAME}?connect=127.0.0.1:{HTTPS}"]
"""


class WebServer:
    """nginx as Debian runs it, with a certificate of its own, and an agent that knows it by its preset."""

    def __init__(self, machine: Machine, folder: str = "/etc/ssl/certs", named: str = "", more: str = "") -> None:
        """*named*: how nginx and agent.toml call the *folder*, if by another name."""
        self.machine = machine
        self.file = f"{folder}/{NAME}.fullchain.crt"
        self._key = f"/etc/ssl/private/{NAME}.key"
        machine.write(self._key, private_pem().decode(), mode=0o600)
        before = Authority("Before").sign(csr([NAME]), days=10)
        self._first = before.certificate.serial_number
        machine.write(self.file, before.fullchain_pem.decode())
        files = f"ssl_certificate {named or folder}/{NAME}.fullchain.crt; ssl_certificate_key {self._key};"
        site = f"server {{ listen 127.0.0.1:{HTTPS} ssl; server_name {NAME}; {files} }}"
        machine.run("sh", "-c", "rm -f /etc/nginx/conf.d/* /etc/nginx/sites-enabled/*")  # sites of the machine here
        machine.write("/etc/nginx/conf.d/site.conf", site)
        machine.write("/etc/certfleet/agent.toml", CERTIFICATE + more)

    def up_to_date(self) -> bool:
        """Does it serve what lies in its file, and is that no longer what it began with?"""
        leaf = x509.load_pem_x509_certificate(self.machine.path(self.file).read_bytes())
        return leaf == served_certificate(HTTPS, NAME) and leaf.serial_number != self._first


@pytest.fixture
def issued(central: Central) -> Machine:
    """A machine whose issuer has a new certificate for it."""
    central.configure('[renewal]\nmax_run = "0s"\n')
    central.enrol(NAME)
    central.command("run")
    central.machine.run("chown", "root:certfleet", "/etc/certfleet")  # else its owner could command root
    central.machine.write("/etc/certfleet/root.pem", central.lab.pebble.root().decode())
    return central.machine


@pytest.mark.soak
def test_the_timer_makes_up_for_a_run_that_was_missed(issued: Machine) -> None:
    """After a night with the machine off the timer runs the agent at once: it installs, reloads and proves."""
    web = WebServer(issued)
    issued.run("systemctl", "start", "nginx")
    issued.missed(f"{AGENT}.timer")
    issued.edit(f"{AGENT}.timer", "RandomizedDelaySec=0", section="Timer")
    issued.run("systemctl", "enable", "--now", f"{AGENT}.timer")
    wait_until(web.up_to_date, "the new certificate is served")
    wait_until(lambda: issued.show(AGENT, "ActiveState") == ("inactive",), "the run has ended")
    assert issued.show(AGENT, "Result", "ExecMainStatus") == ("success", "0")
    assert issued.show("nginx", "ActiveState", "NRestarts") == ("active", "0")


@pytest.mark.soak
def test_a_service_that_systemd_starts_is_not_the_agents(issued: Machine) -> None:
    """With `systemctl reload-or-restart` and `starts_stopped` a web server that was down comes up as its own unit."""
    web = WebServer(issued, more='activate = ["systemctl", "reload-or-restart", "nginx"]\nstarts_stopped = true\n')
    issued.run("systemctl", "start", AGENT)
    assert web.up_to_date()
    assert issued.show("nginx", "ActiveState") == ("active",)


@pytest.mark.soak
def test_a_service_that_systemd_did_not_start(issued: Machine) -> None:
    """Somebody typed `nginx`. `check` warns that the unit's reload does not reach it; the run fails and says so, starts
    nothing, and installs once nginx runs by its unit."""
    web = WebServer(issued)
    issued.run("nginx")
    agent = "/opt/certfleet/bin/certfleet-agent"
    words = "`systemctl reload nginx` does not reach what answers"
    assert words in issued.run(agent, "check")
    assert "nginx.service is not active, cannot reload" in issued.execute(agent, "run").stderr
    assert issued.show("nginx", "ActiveState") == ("inactive",)
    issued.run("nginx", "-s", "quit")
    wait_until(lambda: not issued.path("/run/nginx.pid").exists(), "it has ended")
    issued.run("systemctl", "start", "nginx")
    assert words not in issued.execute(agent, "check").stdout
    issued.run(agent, "run", "--retry")
    assert web.up_to_date()


def test_a_key_that_is_a_link(tmp_path: Path) -> None:
    """A run writes where it leads, and beside the link, where the next key lies until it is taken."""
    real, links, state = (tmp_path / name for name in ("real", "links", "state"))
    for folder in (real, links):
        folder.mkdir()
    (links / "www.key").symlink_to(real / "www.key")
    source = SourceSettings(url="mysql+pymysql://agent@db.example.test/certfleet")
    folders = folders_to_write(AgentSettings(state_dir=state, source=source), (), [links / "www.key"])
    assert folders == sorted([links, real, state])


@pytest.mark.soak
def test_the_folder_of_a_key_that_changes(issued: Machine) -> None:
    """The run that takes the next key writes there: `check` says where the unit may not, once such a key waits."""
    keys, agent, config = "/etc/web/keys", "/opt/certfleet/bin/certfleet-agent", "/etc/certfleet/agent.toml"
    WebServer(issued)
    issued.run("sh", "-c", f"mkdir -p {keys}; mv /etc/ssl/private/{NAME}.key {keys}/")
    issued.write(config, CERTIFICATE.replace("/etc/ssl/private", keys))
    issued.run("sh", "-c", f"sed -i s,/etc/ssl/private/,{keys}/, /etc/nginx/conf.d/site.conf")
    issued.run("systemctl", "start", "nginx")
    assert keys not in "".join(line for line in issued.run(agent, "check").splitlines() if AGENT in line)
    issued.run(agent, "request", "--next", NAME, "--csr", "-")
    assert f"it may not write {keys}," in issued.run(agent, "check", code=1)
    issued.run(agent, "init", "--system")
    assert "bad" not in issued.run(agent, "check")
    assert f'"-{keys}"' in issued.run("systemctl", "cat", AGENT)


def test_a_folder_outside_the_sandbox_is_said_and_can_be_let_in(issued: Machine) -> None:
    """A file in a folder that the unit does not name is left as it is, with what to do; `check` says it too. `init
    --system` lets the unit write there, also where a link leads."""
    files = f"[certificate.files]\nfullchain = '/etc/web/tls/{NAME}.fullchain.crt'\n"
    issued.run("sh", "-c", "mkdir -p '/srv/100% web' /etc/web; ln -s '/srv/100% web' /etc/web/tls")
    web = WebServer(issued, "/srv/100% web", "/etc/web/tls", more=files)
    issued.run("systemctl", "start", "nginx")
    before = issued.path(web.file).read_bytes()
    issued.run("systemctl", "start", AGENT, code=1)
    said = "\n".join(str(entry["MESSAGE"]) for entry in issued.journal(AGENT))
    assert "under systemd, name that folder in ReadWritePaths= of the unit" in said
    assert issued.path(web.file).read_bytes() == before
    agent = "/opt/certfleet/bin/certfleet-agent"
    found = issued.run(agent, "check", code=1)
    assert "bad  certfleet-agent.service: it may not write /srv/100% web," in found
    assert 'ReadWritePaths="-/srv/100%% web"' in " ".join(found.split())
    lines = ["CapabilityBoundingSet=CAP_SYS_CHROOT", "SystemCallFilter=chroot"]
    issued.run("mkdir", "-p", "/etc/certfleet/presets")
    issued.write("/etc/certfleet/presets/nginx.toml", f"note = 'nginx'\nsandbox = {lines}\n")
    assert [one for one in lines if f"it lacks {one}," in issued.execute(agent, "check").stdout] == lines
    issued.run(agent, "init", "--system")
    assert not {"bad", "lacks"}.intersection(issued.run(agent, "check").split())
    issued.run("systemctl", "start", AGENT)
    assert web.up_to_date()
