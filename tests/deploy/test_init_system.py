"""`init --system` of both programs on a fresh machine under systemd: from an installed program to a timer that runs."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.machine import Machine
from tests.servers.network import Network
from tests.servers.process import wait_until

NAME = "www.example.test"
AS_CERTFLEET = ("runuser", "-u", "certfleet", "--")


@pytest.fixture
def fresh(systemd_or_skip: None, tmp_path: Path) -> Iterator[Machine]:
    """A machine on which certfleet is installed, and nothing is set up: no user, no unit."""
    with Network([]), Machine(tmp_path / "machine") as booted:
        booted.run("sh", "-c", "rm /etc/systemd/system/certfleet-*; systemctl daemon-reload")
        yield booted


def calendar(machine: Machine) -> str:
    """When the timer starts a run, as systemd has it."""
    return machine.run("systemctl", "show", "--value", "--property=TimersCalendar", "certfleet-issuer.timer")


def test_a_central_machine_in_one_command(fresh: Machine) -> None:
    """User, folders, key, configuration, tables, unit and timer; a run by the unit is well. A second time nothing
    changes."""
    words = ("/opt/certfleet/bin/certfleet-issuer", "init", "--system", "--server", "192.0.2.53")
    options = ("--email", "noc@example.com", "--schedule", "hourly")
    said = fresh.run(*words, *options)
    for made in ("user certfleet", "/etc/certfleet", "/etc/certfleet/acme.key", "/usr/local/bin/certfleet-issuer"):
        assert re.search(rf"^(made|wrote) +{made}\b", said, re.MULTILINE), made
    paths = ["/etc/certfleet", "/var/lib/certfleet", "/etc/certfleet/acme.key", "/etc/certfleet/issuer.toml"]
    paths += [
        "/var/lib/certfleet/account.pem",
        "/var/lib/certfleet/statement.pem",
        "/var/lib/certfleet/certfleet.db",
        "/etc/certfleet/csr",
    ]
    owners = fresh.run("stat", "-c", "%U %a", *paths).splitlines()
    assert {line.split()[0] for line in owners} == {"certfleet"}
    assert [line.split()[1] for line in owners[:4]] == ["750", "700", "600", "640"]
    text = fresh.path("/etc/certfleet/issuer.toml").read_text(encoding="utf-8")
    assert re.search(r'^server +=  ?"192.0.2.53"', text, re.MULTILINE)
    assert re.search(r'^email_to +=  ?\["noc@example.com"\]', text, re.MULTILINE)
    assert fresh.show("certfleet-issuer.timer", "ActiveState", "UnitFileState") == ("active", "enabled")
    assert "OnCalendar=*-*-* *:00:00 " in calendar(fresh)
    fresh.run("systemctl", "start", "certfleet-issuer")
    assert fresh.show("certfleet-issuer", "Result", "ExecMainStatus") == ("success", "0")
    again = fresh.run(*words, *options)
    assert "wrote" not in again
    assert fresh.path("/etc/certfleet/issuer.toml").read_text(encoding="utf-8") == text
    fresh.run(*words, "--schedule", "daily")
    assert "OnCalendar=*-*-* 01:30:00 " in calendar(fresh)


@pytest.mark.soak
def test_the_daemon_in_place_of_the_timer(fresh: Machine) -> None:
    """With --schedule daemon, although a run is under way. Once more without that it stays the daemon; another schedule
    takes its place."""
    fresh.run("/opt/certfleet/bin/certfleet-issuer", "init", "--system")
    run = "certfleet-issuer.service"
    fresh.run("systemctl", "start", run)
    fresh.edit(run, "ExecStart=", "ExecStart=flock /var/lib/certfleet/issuer.id sleep 600")  # it holds the lock, too
    fresh.run("systemctl", "start", "--no-block", run)
    wait_until(lambda: fresh.show(run, "ActiveState") == ("activating",), "a run is under way")
    fresh.run("/opt/certfleet/bin/certfleet-issuer", "init", "--system", "--schedule", "daemon")
    assert fresh.show(run, "ActiveState") != ("activating",)
    assert fresh.show("certfleet-issuer-daemon", "ActiveState", "UnitFileState") == ("active", "enabled")
    assert "daemon.started" in [entry["MESSAGE"] for entry in fresh.journal("certfleet-issuer-daemon")]
    assert fresh.show("certfleet-issuer.timer", "ActiveState") == ("inactive",)
    fresh.run("/opt/certfleet/bin/certfleet-issuer", "init", "--system")
    # It tells the daemon to reload, which is "reloading" for a moment.
    state = ("certfleet-issuer-daemon", "ActiveState", "UnitFileState")
    wait_until(lambda: fresh.show(*state) == ("active", "enabled"), "the end of the daemon's reload")
    assert fresh.show("certfleet-issuer.timer", "ActiveState", "UnitFileState") == ("inactive", "disabled")
    fresh.run("/opt/certfleet/bin/certfleet-issuer", "init", "--system", "--schedule", "daily")
    assert fresh.show("certfleet-issuer.timer", "ActiveState", "UnitFileState") == ("active", "enabled")
    assert fresh.show("certfleet-issuer-daemon", "ActiveState", "UnitFileState") == ("inactive", "disabled")


def test_a_host_in_one_command(fresh: Machine) -> None:
    """agent.toml for what is found here and runs, key, CSR, unit and timer; what the service must name is said."""
    fresh.run("systemctl", "start", "nginx")
    source = ("--source", "sqlite:////var/lib/certfleet/certfleet.db", "--tls-ca", "/etc/certfleet/db-ca.pem")
    said = fresh.run("/opt/certfleet/bin/certfleet-agent", "init", "--system", *source, NAME)
    assert "key /etc/ssl/private/www.example.test.key" in said
    assert f"file /etc/ssl/certs/{NAME}.fullchain.crt = certificate, chain; the first run writes it" in said
    assert "note nginx: ssl_certificate = the fullchain file" in said
    assert "let the service's configuration name these files and the key, and do not reload it" in said
    assert "next: bring /etc/certfleet/db-ca.pem, the CA of the database server, from the issuer" in said
    assert "is an example" not in said
    assert "`certfleet-agent presets nginx`" in said
    text = fresh.path("/etc/certfleet/agent.toml").read_text(encoding="utf-8")
    (service,) = (line for line in text.splitlines() if line.startswith("service = "))
    assert service.startswith('service = "nginx"   # also found here: ')
    assert '"apache"' in service
    assert '\ntls_ca = "/etc/certfleet/db-ca.pem"' in text
    assert '\n# password_file = "' in text
    assert fresh.run("stat", "-c", "%U %a", f"/etc/ssl/private/{NAME}.key") == "root 600\n"
    assert "BEGIN CERTIFICATE REQUEST" in fresh.run("cat", f"/{NAME}.csr")
    assert fresh.show("certfleet-agent.timer", "ActiveState", "UnitFileState") == ("active", "enabled")
    fresh.write("/etc/certfleet/db-ca.pem", "here by now")
    assert "next: bring" not in fresh.run("/opt/certfleet/bin/certfleet-agent", "init", "--system")


def test_a_mail_host_in_one_command(fresh: Machine) -> None:
    """The operator says which services share the certificate: files of both; without that the others that run here are
    told."""
    fresh.run("ln", "-s", "/lib/systemd/system/postfix@.service", "/etc/systemd/system/")
    fresh.run("systemctl", "start", "nginx")
    init = ("/opt/certfleet/bin/certfleet-agent", "init", "--system", "--source", "sqlite:////srv/certfleet.db")
    said = fresh.run(*init, "--service", "postfix", "--service", "dovecot", NAME)
    text = fresh.path("/etc/certfleet/agent.toml").read_text(encoding="utf-8")
    assert f'\nname = "{NAME}"\n' in text
    assert '\nservice = ["postfix", "dovecot"]' in text
    assert f'# probe = ["smtp://{NAME}", "imaps://{NAME}"]' in text
    assert f"file /etc/ssl/private/{NAME}.postfix.pem = key, certificate, chain" in said
    assert f"file /etc/ssl/certs/{NAME}.fullchain.crt = certificate, chain" in said
    assert "name these files, and the key where its note says so, and do not reload it" in said  # Dovecot
    assert "running here too" not in said
    fresh.run("systemctl", "start", "postfix@-")
    said = fresh.run(*init, "www2.example.test")
    assert "note only nginx gets it; running here too: postfix." in said
    done = fresh.execute(*init, "--service", "exchange", "www3.example.test")
    assert (done.returncode, "there is no preset 'exchange'" in done.stderr) == (2, True)


@pytest.mark.soak
def test_a_host_without_its_source(fresh: Machine) -> None:
    """The option was forgotten: agent.toml names an example, which is said until somebody has changed it."""
    for _ in range(2):
        said = fresh.run("/opt/certfleet/bin/certfleet-agent", "init", "--system", NAME)
        assert "next: write where your database is into /etc/certfleet/agent.toml" in said
        assert "next: bring" not in said


@pytest.mark.soak
def test_a_host_whose_files_lie_elsewhere(fresh: Machine) -> None:
    """Once more after a change of agent.toml `init --system` keeps it, and the unit may write what it names now, and do
    what a preset's commands need; the entry of a further name is appended to it, for whoever may read it, and its key
    and CSR are made."""
    init = ("/opt/certfleet/bin/certfleet-agent", "init", "--system")
    fresh.run(*init, "--source", "sqlite:////srv/db/certfleet.db", NAME)
    assert "/srv/db" in fresh.show("certfleet-agent", "ReadWritePaths")[0]
    config = fresh.path("/etc/certfleet/agent.toml")
    assert "cap_sys_chroot" not in fresh.show("certfleet-agent", "CapabilityBoundingSet")[0]
    services = 'service = ["nginx", "freeradius", "proxmox"]'
    text = re.sub("^service = .*", services, config.read_text(encoding="utf-8"), flags=re.M)
    text += '[certificate.files]\nfullchain = "/etc/haproxy/certs/www.pem"\n'
    fresh.write("/etc/certfleet/agent.toml", text)
    said = fresh.run(*init, NAME)
    assert "kept     /etc/certfleet/agent.toml" in said
    assert "in mods-enabled/eap. Nothing is proven unless `probe` in agent.toml names a socket." in said
    assert "/etc/haproxy/certs" in fresh.show("certfleet-agent", "ReadWritePaths")[0]
    assert "/etc/pve" in fresh.show("certfleet-agent", "ReadWritePaths")[0]
    assert "cap_sys_chroot" in fresh.show("certfleet-agent", "CapabilityBoundingSet")[0]
    assert config.read_text(encoding="utf-8") == text
    fresh.run("chmod", "0640", "/etc/certfleet/agent.toml")
    said = fresh.run(*init, "other.example.test")
    assert "appended other.example.test to /etc/certfleet/agent.toml" in said
    assert "csr /other.example.test.csr (written)" in said
    assert fresh.run("stat", "-c", "%U %a", "/etc/certfleet/agent.toml") == "root 640\n"
    extended = config.read_text(encoding="utf-8")
    assert extended.startswith(text)
    assert 'name = "other.example.test"' in extended
    assert "kept     /etc/systemd/system/certfleet-agent.service.d/folders.conf" in fresh.run(*init)
    closed = 'certificate = []\n[source]\nurl = "sqlite:////srv/db/certfleet.db"\n'  # to which no entry can be appended
    fresh.write("/etc/certfleet/agent.toml", closed)
    fresh.run(*init, "third.example.test", code=2)
    assert config.read_text(encoding="utf-8") == closed


@pytest.mark.soak
def test_machines_without_systemd(fresh: Machine) -> None:
    """All but units and timer is done, and the line for cron is named."""
    hidden = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh")
    source = ("--source", "sqlite:////var/lib/certfleet/certfleet.db", NAME)
    own = ("--config", "/etc/certfleet-agent/agent.toml")
    for program, words in (("certfleet-issuer", ("--server", "192.0.2.53")), ("certfleet-agent", (*own, *source))):
        said = fresh.run(*hidden, f"/opt/certfleet/bin/{program}", "init", "--system", *words)
        assert f"no systemd runs here: for the daily run copy deploy/cron/{program} into /etc/cron.d" in said
        agents = f"with `/opt/certfleet/bin/certfleet-agent {' '.join(own)} run -q` as the command in it"
        assert (agents in said) is (program == "certfleet-agent")
        assert not fresh.path(f"/etc/systemd/system/{program}.timer").exists()
        assert fresh.run("readlink", f"/usr/local/bin/{program}") == f"/opt/certfleet/bin/{program}\n"
    assert fresh.path(f"/etc/ssl/private/{NAME}.key").exists()
    fresh.run("runuser", "-u", "certfleet", "--", "certfleet-issuer", "status")


@pytest.mark.soak
def test_an_issuer_that_is_a_host_too(fresh: Machine) -> None:
    """In the issuer's folder agent.toml is not written but in one of root's own, and said so. Every command finds it
    there, whatever the issuer's user puts into his; the unit reads it, and nothing warns."""
    fresh.run("/opt/certfleet/bin/certfleet-issuer", "init", "--system")
    agent = "/opt/certfleet/bin/certfleet-agent"
    source = ("--source", "sqlite:////var/lib/certfleet/certfleet.db", NAME)
    said = fresh.run(agent, "init", "--system", *source)
    words = "certfleet, to whom /etc/certfleet belongs, could make root run any command by /etc/certfleet/agent.toml"
    assert f"{words}: it goes to /etc/certfleet-agent/agent.toml" in said
    assert "wrote /etc/certfleet-agent/agent.toml" in said
    assert not fresh.path("/etc/certfleet/agent.toml").exists()
    fresh.write("/etc/certfleet/agent.toml", "no toml")
    assert "kept     /etc/certfleet-agent/agent.toml" in fresh.run(agent, "init", "--system", NAME)
    assert NAME in fresh.run(agent, "status", code=1)
    fresh.run("mv", "/etc/certfleet-agent/agent.toml", "/root")
    said = fresh.run("sh", "-c", f"{agent} init --system {NAME} 2>&1", code=1)
    assert "or use /etc/certfleet-agent/agent.toml, which is found without --config" in said
    fresh.run("mv", "/root/agent.toml", "/etc/certfleet-agent")
    fresh.run("systemctl", "start", "certfleet-agent", code=1)  # nothing is enrolled
    lines = [entry["MESSAGE"] for entry in fresh.journal("certfleet-agent")]
    assert any("not-enrolled" in line for line in lines), lines
    assert not any("root run any command" in line for line in lines)
    shown = fresh.show("certfleet-agent", "ExecStart")[0]
    assert "argv[]=/opt/certfleet/bin/certfleet-agent --config /etc/certfleet-agent/agent.toml run ;" in shown
    fresh.run("mv", "/etc/certfleet-agent", "/etc/moved there")
    moved = ["--config", "/etc/moved there/agent.toml"]
    fresh.run("/opt/certfleet/bin/certfleet-agent", *moved, "init", "--system")
    shown = fresh.show("certfleet-agent", "ExecStart")[0]
    assert "argv[]=/opt/certfleet/bin/certfleet-agent --config /etc/moved there/agent.toml run ;" in shown
    fresh.run("systemctl", "start", "certfleet-agent", code=1)


@pytest.mark.soak
def test_the_zone_is_one_script_for_the_name_server(fresh: Machine) -> None:
    """Piped into a root shell it serves the sub-zone, which takes updates by the key. Once more changes nothing but a
    key that is new."""
    fresh.run("ln", "-s", "/lib/systemd/system/named.service", "/etc/systemd/system/")
    fresh.run("systemctl", "start", "named")
    fresh.run("/opt/certfleet/bin/certfleet-issuer", "init", "--system", "--server", "127.0.0.1")
    words = ("/opt/certfleet/bin/certfleet-issuer", "zone", NAME, "--ns", "ns1.example.test", "--shell")
    script = fresh.run(*AS_CERTFLEET, *words)
    for _ in range(2):
        said = fresh.run("sh", stdin=script)
        assert f"_acme-challenge.{NAME}. IN NS ns1.example.test.\n" in said
    record = f"_acme-challenge.{NAME}"
    update = f"server 127.0.0.1\nupdate add {record} 60 TXT hello\nsend\n"
    fresh.run(*AS_CERTFLEET, "nsupdate", "-k", "/etc/certfleet/acme.key", stdin=update)
    assert fresh.run("dig", "+short", "@127.0.0.1", record, "TXT") == '"hello"\n'
    fresh.run("sh", "-c", "tsig-keygen -a hmac-sha256 certfleet > /etc/certfleet/acme.key")
    fresh.run("sh", stdin=fresh.run(*AS_CERTFLEET, *words))
    fresh.run(*AS_CERTFLEET, "nsupdate", "-k", "/etc/certfleet/acme.key", stdin=update.replace("hello", "new"))
    assert fresh.run("stat", "-c", "%U %G %a", "/etc/bind/certfleet.key") == "root bind 640\n"
    conf = fresh.path("/etc/bind/named.conf.local").read_text(encoding="utf-8")
    assert conf.count(f'zone "{record}"') == conf.count("certfleet.key") == 1


@pytest.mark.soak
def test_the_zone_script_beside_a_key_that_a_person_has_brought(fresh: Machine) -> None:
    """By another file name: BIND would not start with two keys of one name, so its configuration stays as it was."""
    fresh.run("/opt/certfleet/bin/certfleet-issuer", "init", "--system", "--server", "127.0.0.1")
    fresh.run("sh", "-c", "tsig-keygen -a hmac-sha256 certfleet > /etc/bind/acme.key")
    place = fresh.path("/etc/bind/named.conf.local")
    place.write_text('include "/etc/bind/acme.key";\n', encoding="utf-8")
    words = ("/opt/certfleet/bin/certfleet-issuer", "zone", NAME, "--ns", "ns1.example.test", "--shell")
    done = fresh.execute("sh", stdin=fresh.run(*AS_CERTFLEET, *words))
    assert (done.returncode, "named.conf.local is as it was" in done.stderr) == (1, True)
    assert place.read_text(encoding="utf-8") == 'include "/etc/bind/acme.key";\n'
    assert [one.name for one in place.parent.glob("named.conf.local*")] == ["named.conf.local"]


@pytest.mark.soak
def test_only_root_sets_up_a_machine(fresh: Machine) -> None:
    """Anybody else is told so, and nothing has changed."""
    for program in ("certfleet-issuer", "certfleet-agent"):
        words = ("runuser", "-u", "nobody", "--", f"/opt/certfleet/bin/{program}", "init", "--system")
        fresh.run(*words, code=1)
    assert not fresh.path("/etc/certfleet").exists()


@pytest.mark.soak
def test_a_database_in_the_mariadb_of_the_machine(fresh: Machine) -> None:
    """Made with its account by one option; a run by the unit uses it."""
    fresh.run("ln", "-s", "/lib/systemd/system/mariadb.service", "/etc/systemd/system/")
    fresh.run("install", "-d", "-o", "mysql", "-g", "mysql", "/run/mysqld", "/var/lib/mysql")
    fresh.run("systemctl", "start", "mariadb")
    said = fresh.run("/opt/certfleet/bin/certfleet-issuer", "init", "--system", "--mariadb")
    assert "made     database certfleet in MariaDB" in said
    assert "certs" in fresh.run("mariadb", "certfleet", "-e", "SHOW TABLES").split()
    fresh.run("systemctl", "start", "certfleet-issuer")
    assert fresh.show("certfleet-issuer", "Result", "ExecMainStatus") == ("success", "0")
    words = ("/opt/certfleet/bin/certfleet-issuer", "status")
    assert "nothing is enrolled" in fresh.run(*AS_CERTFLEET, *words)
    said = fresh.run("sh", "-c", f"{' '.join(words)} 2>&1", code=1)  # root is another user to the socket
    assert "runuser -u certfleet" in said
