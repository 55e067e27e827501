"""Services that a real systemd runs: told by it, and left alone where they do not run."""

import json
import time

import pytest

from agent.model.presence import Presence
from agent.rules.activation import listening
from tests.agent.host import TABLES
from tests.deploy.machine import Machine
from tests.servers.authority import Authority
from tests.servers.process import wait_until

NAME = "www.example.test"
KEY, LIVE = f"/etc/ssl/private/{NAME}.key", f"/etc/ssl/certs/{NAME}.fullchain.crt"
DATABASE, TOLD = "/var/lib/test/certfleet.db", "/var/lib/test/told"
AGENT = "/opt/certfleet/bin/certfleet-agent"

# As postgresql.service and postgresql@.service of Debian
STANDS_FOR_OTHERS = (
    "[Unit]\nWants=nginx@main.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"
    "ExecReload=/bin/true\n"
)
ONE_OF_THEM = (
    "[Unit]\nPartOf=nginx.service\nReloadPropagatedFrom=nginx.service\nBefore=nginx.service\n[Service]\nType=forking\n"
    "PIDFile=/run/nginx.pid\nExecStart=/usr/sbin/nginx\n"
)


class Site:
    """A machine with one certificate, for the service that agent.toml names."""

    def __init__(self, machine: Machine, service: str, more: str = "") -> None:
        self.machine = machine
        self._root = Authority("Test Root")
        self._authority = self._root.intermediate("Test Intermediate")
        machine.write("/etc/hosts", f"127.0.0.1 localhost {NAME}\n")
        machine.write("/etc/certfleet/roots.pem", self._root.pem.decode())
        self._service = f'service = "{service}"\n' if service else ""
        self.configure(more)
        machine.run("install", "-d", "-m", "0700", "/var/lib/test")
        machine.run(AGENT, "request", NAME, "--key", KEY, "--csr", "/root/csr")
        machine.run("sqlite3", DATABASE, stdin=TABLES)

    def configure(self, more: str, head: str = "") -> None:
        """agent.toml, with *more* in its entry and a *head* for all."""
        self.machine.write(
            "/etc/certfleet/agent.toml",
            f'{head}[source]\nurl = "sqlite:///{DATABASE}"\n[trust]\nroots = "/etc/certfleet/roots.pem"\n'
            f'[[certificate]]\nname = "{NAME}"\nkey = "{KEY}"\n{self._service}{more}',
        )

    def offer(self) -> None:
        """A new certificate in the database."""
        new = self._authority.sign(self.machine.path("/root/csr").read_bytes())
        values = f"('{NAME}', 'Y', x'{new.chain_pem.hex()}', x'{new.cert_pem.hex()}', 0, {time.time_ns() // 1000})"
        self.machine.run(
            "sqlite3",
            DATABASE,
            stdin=f"INSERT OR REPLACE INTO certs (name, enable, ca, crt, ts_expire, ts_last_update) VALUES {values}",  # noqa: S608 - our own words
        )

    def reported(self) -> str:
        """As the agent reported it to the database."""
        return self.machine.run("sqlite3", DATABASE, "SELECT state FROM installations").strip()

    def told(self) -> int:
        """How often the service was."""
        file = self.machine.path(TOLD)
        return file.read_text(encoding="utf-8").count("\n") if file.exists() else 0


@pytest.fixture
def mine(machine: Machine) -> Site:
    """A service with a unit and a preset of its own, and no socket; it has not been started."""
    unit = f"[Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/sh -c 'echo >> {TOLD}'\n"
    machine.write("/etc/systemd/system/mine.service", unit)
    preset = 'note = "Ours."\nunits = ["other", "mine"]\nactivate = "reload"\nprobe = []\n'
    machine.write("/etc/certfleet/presets/mine.toml", preset + '[files]\nfullchain = "/etc/ssl/certs/{name}.crt"\n')
    machine.run("systemctl", "daemon-reload")
    return Site(machine, "mine")


@pytest.mark.soak
def test_a_service_without_a_socket_is_asked_for(mine: Site) -> None:
    """One that was stopped on purpose gets its files and stays stopped; one that runs is told by systemd, once."""
    assert "activate  systemctl reload mine\n" in mine.machine.run(AGENT, "presets", "mine")
    mine.offer()
    [one] = json.loads(mine.machine.run(AGENT, "run", "--json"))["certificates"]
    assert one["state"] == "unprovable"
    assert "; mine does not run and was left alone: its next start takes the new files" in one["detail"]
    assert mine.machine.run("sqlite3", DATABASE, "SELECT detail FROM installations").strip() == one["detail"]
    assert mine.machine.path(f"/etc/ssl/certs/{NAME}.crt").exists()
    assert (mine.told(), mine.machine.show("mine", "ActiveState")) == (0, ("inactive",))
    mine.machine.run("systemctl", "start", "mine")
    mine.offer()
    mine.machine.run(AGENT, "run")
    assert (mine.told(), mine.machine.show("mine", "ActiveState")) == (1, ("active",))


def test_the_last_lines_of_a_log_with_many(mine: Site) -> None:
    """A service that says more than a thousand lines an hour: what it has said last is looked at, in its order."""
    mine.machine.edit("mine.service", "ExecStartPre=/usr/bin/seq 3000")
    mine.machine.run("systemctl", "start", "mine")
    mine.machine.run("journalctl", "--sync")
    (command,) = listening(Presence("mine"))
    said = [line.rsplit(" ", 1)[1] for line in mine.machine.run(*command).splitlines() if " seq[" in line]
    assert said == [str(number) for number in range(3001 - len(said), 3001)] != []


def test_a_stopped_apache_stays_stopped(machine: Machine) -> None:
    """By the shipped preset, from the shipped unit: nothing starts one inside the agent's own unit."""
    machine.run("ln", "-sf", "/lib/systemd/system/apache2.service", "/etc/systemd/system/")
    machine.run("systemctl", "daemon-reload")
    site = Site(machine, "apache")
    site.offer()
    machine.run("systemctl", "start", "certfleet-agent", code=1)
    assert machine.path(LIVE).exists()
    assert machine.show("apache2", "ActiveState") == ("inactive",)
    machine.run("pgrep", "-x", "apache2", code=1)
    [said] = [one["MESSAGE"] for one in machine.journal("certfleet-agent") if "not proven" in one["MESSAGE"]]
    assert "nothing answers at" in said


def site_of_nginx(machine: Machine, more: str = "") -> Site:
    """nginx has one site, at port 443, whose first certificate can be installed. *more*: lines of its entry."""
    machine.run("sh", "-c", "rm -f /etc/nginx/sites-enabled/*")
    pair = f"ssl_certificate {LIVE}; ssl_certificate_key {KEY};"
    machine.write("/etc/nginx/conf.d/site.conf", f"server {{ listen 443 ssl; {pair} }}\n")
    site = Site(machine, "nginx", more)
    site.offer()
    return site


@pytest.mark.soak
def test_the_first_site_with_tls(machine: Machine) -> None:
    """nginx runs, and listens at port 443 only when its first certificate is there: nothing answers at the probe, and
    yet it is no service that somebody has stopped."""
    pair = f"ssl_certificate {LIVE}; ssl_certificate_key {KEY};"
    machine.run("sh", "-c", "rm -f /etc/nginx/sites-enabled/*")
    machine.run("systemctl", "start", "nginx")
    machine.write("/etc/nginx/conf.d/site.conf", f"server {{ listen 443 ssl; {pair} }}\n")
    site = Site(machine, "nginx")
    site.offer()
    said = machine.run(AGENT, "run", "--dry-run")
    assert f"{NAME}  would be installed" in said
    assert "would tell: systemctl reload nginx" in said
    machine.run(AGENT, "run")
    assert site.reported() == "installed"


@pytest.mark.soak
def test_one_that_systemd_has_given_up_serves_again(machine: Machine) -> None:
    """It cannot start with the new file, and systemd refuses to start it again. With the old file it is started all the
    same."""
    site = site_of_nginx(machine, 'activate = "restart"\n')
    machine.run(AGENT, "run", code=1)
    machine.run("systemctl", "start", "nginx")
    machine.run("cp", LIVE, "/root/old")
    limit = ("StartLimitIntervalSec=1h", "StartLimitBurst=1")
    machine.edit("nginx.service", *limit, "[Service]", f"ExecStartPre=/usr/bin/cmp {LIVE} /root/old", section="Unit")
    site.offer()
    machine.run(AGENT, "run", code=1)
    assert machine.show("nginx", "ActiveState") == ("active",)
    assert site.reported() == "failed"


@pytest.mark.soak
def test_one_that_was_started_too_often_of_late(machine: Machine) -> None:
    """systemd refuses the restart for the new file, having stopped the service. No certificate is at fault: the
    restart is made all the same."""
    site = site_of_nginx(machine, 'activate = "restart"\n')
    machine.run(AGENT, "run", code=1)
    machine.edit("nginx.service", "StartLimitIntervalSec=1h", "StartLimitBurst=1", section="Unit")
    machine.run("systemctl", "start", "nginx")
    site.offer()
    machine.run(AGENT, "run")
    assert machine.show("nginx", "ActiveState") == ("active",)
    assert site.reported() == "installed"


@pytest.mark.sampled
@pytest.mark.parametrize("slow", ["ExecStartPre", "ExecStartPost"])
def test_one_that_is_just_starting(machine: Machine, slow: str) -> None:
    """Somebody restarts it as the agent comes: it answers not yet, or it does, with the old file, and systemd takes the
    reload for done by that start. The agent waits for the start, and the reload is one."""
    site = site_of_nginx(machine)
    machine.run(AGENT, "run", code=1)
    machine.edit("nginx.service", f"{slow}=/bin/sleep 3")
    machine.run("systemctl", "start", "--no-block", "nginx")
    starting = ("activating", "start-pre" if slow == "ExecStartPre" else "start-post")
    wait_until(lambda: machine.show("nginx", "ActiveState", "SubState") == starting, "it is starting")
    site.offer()
    machine.run(AGENT, "run")
    assert site.reported() == "installed"


@pytest.mark.sampled
@pytest.mark.parametrize("unit", ["nginx", "nginx@main"])
def test_one_that_somebody_stops_meanwhile(machine: Machine, unit: str) -> None:
    """An upgrade stops it right after the reload: the certificate is at no fault and stays, nobody starts the service,
    and its start takes the new file. Also where its unit stands for another, as that of PostgreSQL does."""
    site = site_of_nginx(machine)
    if unit != "nginx":
        machine.write("/etc/systemd/system/nginx.service", STANDS_FOR_OTHERS)
        machine.write("/etc/systemd/system/nginx@.service", ONE_OF_THEM)
        machine.run("systemctl", "daemon-reload")
    machine.run(AGENT, "run", code=1)
    machine.run("systemctl", "start", "nginx")
    machine.edit(f"{unit}.service", f"ExecReload=/bin/systemctl stop --no-block {unit}")
    site.offer()
    machine.run(AGENT, "run", code=1)
    assert machine.show(unit, "ActiveState") in {("inactive",), ("failed",)}
    assert site.reported() == "unproven"
    machine.run("systemctl", "start", unit)
    machine.run(AGENT, "run")
    assert site.reported() == "installed"


@pytest.mark.soak
def test_one_that_an_install_took_down_and_systemd_starts_no_more(machine: Machine) -> None:
    """It starts with no file at all until a person mends that; then the next run starts it, whatever systemd counts."""
    site = site_of_nginx(machine, 'activate = "restart"\n')
    machine.run(AGENT, "run", code=1)
    machine.run("systemctl", "start", "nginx")
    limit = ("StartLimitIntervalSec=1h", "StartLimitBurst=1")
    machine.edit("nginx.service", *limit, "[Service]", "ExecStartPre=/usr/bin/test -e /root/mended", section="Unit")
    site.offer()
    machine.run(AGENT, "run", code=1)
    assert (machine.show("nginx", "ActiveState"), site.reported()) == (("failed",), "broken")
    machine.write("/root/mended", "")
    machine.run(AGENT, "run", code=1)
    assert machine.show("nginx", "ActiveState") == ("active",)


@pytest.mark.sampled
@pytest.mark.parametrize("service", ["nginx", ""])
def test_the_unit_that_agent_toml_tells_is_started_again(machine: Machine, service: str) -> None:
    """Another nginx than Debian's, with a unit of its own, dies at its reload. It is started again, and Debian's stays
    stopped."""
    pair = f"ssl_certificate {LIVE}; ssl_certificate_key {KEY};"
    machine.write("/root/web.conf", f"pid /run/web.pid; events {{}} http {{ server {{ listen 443 ssl; {pair} }} }}\n")
    reload = f"/bin/sh -c 'cmp {LIVE} /root/old || kill -KILL $MAINPID'"
    unit = f"[Service]\nExecStart=/usr/sbin/nginx -c /root/web.conf -g 'daemon off;'\nExecReload={reload}\n"
    machine.write("/etc/systemd/system/web.service", unit)
    machine.run("systemctl", "daemon-reload")
    more = f'check = []\nprobe = "https://{NAME}"\nactivate = ["systemctl", "reload", "web"]\n'
    site = Site(machine, service, f'{more}[certificate.files]\nfullchain = "{LIVE}"\n')
    site.offer()
    machine.run(AGENT, "run", code=1)
    machine.run("cp", LIVE, "/root/old")
    machine.run("systemctl", "start", "web")
    machine.run(AGENT, "run")
    site.offer()
    machine.run(AGENT, "run", code=1)
    assert (machine.show("web", "ActiveState"), machine.show("nginx", "ActiveState")) == (("active",), ("inactive",))
    assert site.reported() == "failed"


@pytest.mark.soak
def test_one_that_was_stopped_stays_so_where_its_socket_cannot_be_asked(mine: Site) -> None:
    """The name of its probe has no address on this host: that is no sign that it runs, and systemd says that it does
    not."""
    mine.machine.write("/etc/hosts", "127.0.0.1 localhost\n")
    mine.configure('activate = "restart"\nprobe = "https://nowhere.invalid"\n')
    mine.offer()
    mine.machine.run(AGENT, "run", code=1)
    assert mine.reported() == "unproven"
    assert mine.machine.show("mine", "ActiveState") == ("inactive",)


ONE_CLIENT = f"""
import socket, ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/etc/ssl/certs/{NAME}.crt", "{KEY}")
listening = socket.socket(fileno=3)
def serve():
    try:
        context.wrap_socket(listening.accept()[0], server_side=True).close()
    except OSError:
        pass
serve()
"""
SERVER = f"{ONE_CLIENT}while True: serve()\n"


@pytest.mark.soak
def test_a_reload_that_a_socket_unit_makes_needless(mine: Site) -> None:
    """Each connection starts the service, which ends after it: there is nothing to reload, systemctl fails, and the
    socket that shows the new certificate has the last word."""
    machine = mine.machine
    machine.write("/root/server.py", ONE_CLIENT)
    listen = "[Socket]\nListenStream=127.0.0.1:443\nTriggerLimitIntervalSec=0\n"
    machine.write("/etc/systemd/system/mine.socket", listen)
    serve = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/opt/certfleet/bin/python /root/server.py\n"
    machine.write("/etc/systemd/system/mine.service", serve)
    machine.run("systemctl", "daemon-reload")
    mine.configure(f'probe = "https://{NAME}"\n')
    mine.offer()
    machine.run("systemctl", "start", "mine.socket")
    assert "would tell: systemctl reload mine" in machine.run(AGENT, "run", "--dry-run")
    for _ in range(2):
        machine.run("systemctl", "reload", "mine", code=3)
        assert f"{NAME}  newly installed" in machine.run(AGENT, "run")
        assert mine.reported() == "installed"
        mine.offer()


@pytest.mark.soak
def test_a_socket_that_systemd_gave_up_listens_again(mine: Site) -> None:
    """Each connection starts the service, which cannot start with the new file, until systemd closes the socket
    (systemd.socket(5), TriggerLimitBurst=). With the old file back the socket listens, and shows that."""
    machine, live = mine.machine, f"/etc/ssl/certs/{NAME}.crt"
    machine.write("/root/server.py", SERVER)
    machine.write("/etc/systemd/system/mine.socket", "[Socket]\nListenStream=127.0.0.1:443\nTriggerLimitBurst=3\n")
    serve = (
        f"[Service]\nExecStart=/opt/certfleet/bin/python /root/server.py\nExecStartPre=/usr/bin/cmp {live} /root/old\n"
    )
    machine.write("/etc/systemd/system/mine.service", serve)
    machine.run("systemctl", "daemon-reload")
    mine.configure(
        f'activate = ["systemctl", "try-restart", "mine"]\nprobe = "https://{NAME}"\n', 'probe_timeout = "3s"\n'
    )
    mine.offer()
    machine.run(AGENT, "run", code=1)
    machine.run("cp", live, "/root/old")
    machine.run("systemctl", "start", "mine.socket")
    machine.run(AGENT, "run")
    assert mine.reported() == "installed"
    mine.offer()
    machine.run(AGENT, "run", code=1)
    assert machine.show("mine.socket", "ActiveState") == ("active",)
    assert mine.reported() == "failed"
    assert "rolled back, all is as it was" in machine.run("sqlite3", DATABASE, "SELECT detail FROM installations")
