"""Presets: every shipped one says what it must, one's own overrule it key by key, and commands fit the host."""

import secrets
import shutil
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.host.presence import presence
from agent.model.certificate import Certificate, Command, Rights, Service
from agent.model.presence import Finder, Presence
from agent.rules.activation import asking_for_its_end
from agent.settings.config import AgentSettings, load_settings, resolve
from agent.settings.preset import Preset, Presets
from common.config import parse
from common.errors import ConfigError
from tests.agent.host import Host
from tests.servers.process import wait_until

CONFIG = Path("agent.toml")
NAMES = Presets(CONFIG).names
ENTRY = '[source]\nurl = "sqlite:////x.db"\n[[certificate]]\nname = "www.example.com"\nkey = "/k.pem"\n'
SHIPPED = """
    apache nginx postfix dovecot exim openldap freeradius haproxy proftpd vsftpd postgresql mariadb cockpit tomcat esxi
    generic
    mosquitto redis ejabberd prosody coturn rabbitmq samba stunnel hitch unbound bind-dot mumble lighttpd cups
    radsecproxy
    proxmox gitlab grafana jenkins minio webmin asterisk
"""


def test_names_of_processes_are_those_that_the_kernel_knows() -> None:
    """It keeps 15 octets of each (proc(5), comm)."""
    presets = Presets(CONFIG)
    assert not [word for name in NAMES for word in getattr(presets.load(name), "processes", ()) if len(word) > 15]


# As the packages of Debian 12 have them: the program, and the name of the unit or init script.
DEBIAN = {
    "apache": ("apache2", "/usr/sbin/apachectl", "apache2"),
    "nginx": ("nginx", "/usr/sbin/nginx", "nginx"),
    "postfix": ("postfix", "/usr/sbin/postfix", "postfix"),
    "dovecot": ("dovecot-core", "/usr/sbin/dovecot", "dovecot"),
    "exim": ("exim4-daemon-light", "/usr/sbin/exim", "exim4"),
    "openldap": ("slapd", "/usr/sbin/slapd", "slapd"),
    "freeradius": ("freeradius", "/usr/sbin/freeradius", "freeradius"),
    "haproxy": ("haproxy", "/usr/sbin/haproxy", "haproxy"),
    "proftpd": ("proftpd-core", "/usr/sbin/proftpd", "proftpd"),
    "vsftpd": ("vsftpd", "/usr/sbin/vsftpd", "vsftpd"),
    "postgresql": ("postgresql-common", "/usr/bin/pg_ctlcluster", "postgresql"),
    "mariadb": ("mariadb-server-core", "/usr/sbin/mariadbd", "mariadb"),
    "cockpit": ("cockpit-ws", "/usr/lib/cockpit/cockpit-tls", "cockpit"),
    "tomcat": ("tomcat10-common", "/usr/share/tomcat10/bin/catalina.sh", "tomcat10"),
    "mosquitto": ("mosquitto", "/usr/sbin/mosquitto", "mosquitto"),
    "redis": ("redis-server", "/usr/bin/redis-server", "redis-server"),
    "ejabberd": ("ejabberd", "/usr/sbin/ejabberdctl", "ejabberd"),
    "prosody": ("prosody", "/usr/bin/prosody", "prosody"),
    "coturn": ("coturn", "/usr/bin/turnserver", "coturn"),
    "rabbitmq": ("rabbitmq-server", "/usr/sbin/rabbitmqctl", "rabbitmq-server"),
    "samba": ("samba", "/usr/sbin/samba", "samba-ad-dc"),
    "stunnel": ("stunnel4", "/usr/bin/stunnel4", "stunnel4"),
    "hitch": ("hitch", "/usr/sbin/hitch", "hitch"),
    "unbound": ("unbound", "/usr/sbin/unbound", "unbound"),
    "bind-dot": ("bind9", "/usr/sbin/named", "named"),
    "mumble": ("mumble-server", "/usr/sbin/murmurd", "mumble-server"),
    "lighttpd": ("lighttpd", "/usr/sbin/lighttpd", "lighttpd"),
    "cups": ("cups-daemon", "/usr/sbin/cupsd", "cups"),
    "radsecproxy": ("radsecproxy", "/usr/sbin/radsecproxy", "radsecproxy"),
}


def preset(name: str) -> Preset:
    found = Presets(CONFIG).load(name)
    assert found is not None
    return found


def has(**presences: Presence) -> Finder:
    """A host that has a service by the first of its names in *presences*."""

    def find(units: Sequence[str], programs: Sequence[str]) -> Presence:
        return next((presences[one] for one in units if one in presences), Presence(program=next(iter(programs), "")))

    return find


def certificate(text: str, config: Path = CONFIG, **presences: Presence) -> Certificate:
    (one,) = resolve(parse(AgentSettings, tomllib.loads(ENTRY + text), "agent.toml"), config, has(**presences))
    return one


def service(text: str, config: Path = CONFIG, **presences: Presence) -> Service:
    (one,) = certificate(text, config, **presences).services
    return one


def words(*lines: str) -> tuple[Command, ...]:
    return tuple(tuple(line.split()) for line in lines)


def test_every_preset_of_the_list_is_there() -> None:
    """None is forgotten, and none has come unseen."""
    assert sorted(SHIPPED.split()) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_preset_is_whole(name: str) -> None:
    """It can be used by its name alone, but for a probe that it cannot know; it says its traps, how it is found and
    how it is told; every place in its commands is filled."""
    found = preset(name)
    one = certificate(f'service = "{name}"\n' + ("probe = []" if found.probe is None else ""))
    assert found.traps
    assert all(trap.endswith((".", ":")) for trap in found.traps)
    assert one.files
    (told,) = one.services
    assert found.programs or name in {"generic", "minio"}
    assert told.activate or name in {"generic", "minio", "exim"}  # which see new files by themselves
    assert isinstance(found.activate, tuple) or found.units
    commands = (*told.check, *told.activate, *told.verify, *told.start)
    assert not any("{" in word for command in commands for word in command)
    assert not any(file.at_first.mode is not None and file.at_first.mode & 0o7 for file in one.files if file.holds_key)


@pytest.mark.parametrize("name", DEBIAN)
def test_debian_has_what_a_preset_looks_for(name: str) -> None:
    """The first of its units and programs that Debian has is the one meant; where the package is installed here, it is
    found."""
    _, program, unit = DEBIAN[name]
    found = preset(name)
    assert found.units[0] == unit
    named = [one for one in found.programs if one in {program, Path(program).name}]
    assert named
    if Path(program).exists():
        assert presence(found.units, found.programs).program == named[0]


def test_every_preset_of_a_service_of_debian_is_compared() -> None:
    """The others are appliances, or come from elsewhere."""
    foreign = {"esxi", "generic", "proxmox", "gitlab", "grafana", "jenkins", "minio", "webmin", "asterisk"}
    assert set(NAMES) - DEBIAN.keys() == foreign


@pytest.mark.parametrize(
    ("presence", "activate", "start", "is_up"),
    [
        (
            Presence("apache2", "apache2", "apachectl"),
            "systemctl reload apache2",
            "systemctl start apache2",
            "systemctl is-active --quiet apache2",
        ),
        (
            Presence("", "apache2", "apachectl"),
            "service apache2 reload",
            "service apache2 start",
            "service apache2 status",
        ),
        (Presence("", "", "apache2ctl"), "apache2ctl graceful", "apache2ctl start", ""),
    ],
    ids=["systemd", "init script", "neither"],
)
def test_commands_fit_the_host(presence: Presence, activate: str, start: str, is_up: str) -> None:
    """By systemd where it has the unit, else by the init script, else by the daemon's own command."""
    found = service('service = "apache"', apache2=presence)
    assert (found.activate, found.start) == (words(activate), words(start))
    assert found.is_up == (words(is_up) if is_up else ())
    assert found.check == words(f"{presence.program} configtest")
    assert bool(found.jobs) is bool(found.was_stopped) is bool(presence.unit)
    assert bool(found.has_ended)
    assert bool(service('service = "apache"\nactivate = "restart"', apache2=presence).has_ended) is bool(presence.unit)


def test_a_service_without_a_unit_has_ended_when_no_process_is_left(tmp_path: Path) -> None:
    """By the names of its processes, whichever of them it has."""
    name = "web-" + secrets.token_hex(4)
    program = shutil.copy("/bin/sleep", tmp_path / name)
    (command,) = asking_for_its_end("reload", Presence(script="web"), ("no-such-web", name))

    def has_ended() -> bool:
        return subprocess.run(command, check=False).returncode == 0

    wait_until(has_ended, "no other process ends while it asks")
    with subprocess.Popen([program, "60"]) as process:
        wait_until(lambda: not has_ended(), "the kernel names it, a moment after Popen returns")
        assert not any(has_ended() for _ in range(5))
        process.kill()
    wait_until(has_ended, "it is gone")


@pytest.mark.parametrize(
    ("presence", "restart"),
    [
        (
            Presence("postgresql", "postgresql", "pg_ctlcluster"),
            ["systemctl reset-failed postgresql", "systemctl restart postgresql"],
        ),
        (Presence("", "postgresql", "pg_ctlcluster"), ["service postgresql restart"]),
    ],
    ids=["systemd", "init script"],
)
def test_what_is_gone_is_restarted(presence: Presence, restart: list[str]) -> None:
    """Debian's unit postgresql is up while the server that it stands for is gone: to start it does nothing."""
    assert service('service = "postgresql"', postgresql=presence).restart == words(*restart)


def test_a_socket_that_systemd_gave_up_listens_again() -> None:
    """Before its service is restarted; where there is no socket unit, none is asked for."""
    found = service('service = "cockpit"', cockpit=Presence("cockpit", has_socket=True)).restart
    assert [command[0] for command in found] == ["systemctl", "sh", "systemctl"]
    assert found[1][-1] == "cockpit.socket"
    assert "start" in found[1][2]


def test_entries_that_differ_in_time_and_proof_have_one_service(tmp_path: Path) -> None:
    """It is told once for all: with the longest time of any, every proof and every log. Another command makes another
    service."""
    more = [
        "logs = []\n",
        'settle = "2m"\nverify = ["a"]\nlogs = "/{0}.log"\n',
        'verify = [["b"], ["a"]]\nlogs = []\n',
        'activate = ["other"]\n',
    ]
    entry = '[[certificate]]\nname = "{0}.test"\nkey = "/k"\nservice = "nginx"\n{1}'
    entry += '[certificate.files]\nfullchain = "/{0}"\n'
    file = tmp_path / "agent.toml"
    entries = (entry.format(number, one.replace("{0}", str(number))) for number, one in enumerate(more))
    file.write_text(f'[source]\nurl = "sqlite:///x"\n{"".join(entries)}')
    first, second, third, other = (one.services[0] for one in load_settings(file)[1])
    assert first == second == third
    assert (first.settle, first.verify, first.logs) == (120, words("a", "b"), ("/1.log",))
    assert other != first
    assert (other.settle, other.verify) == (0, ())


def test_the_operator_says_reload_or_restart() -> None:
    """The action goes the host's way, with the unit of the preset; commands are taken as they are."""
    unit = Presence("nginx", "nginx", "nginx")
    text = 'service = "nginx"\nactivate = '
    assert service(text + '"restart"', nginx=unit).activate == words("systemctl restart nginx")
    signal = "systemctl kill --kill-who=main --signal=SIGUSR2 nginx"
    assert service(text + '"SIGUSR2"', nginx=unit).activate == words(signal)
    assert service(text + '["a", "b"]', nginx=unit).activate == words("a b")


def test_who_reads_the_key_of_a_service() -> None:
    """Its preset's user, unless that is root, by any of its processes where they have no name of their own; nobody
    knows of one that is told by commands of agent.toml."""
    assert certificate('service = "openldap"').services[0].may_read[3:] == ("openldap", "slapd")
    assert certificate('service = "tomcat"').services[0].may_read[3:] == ("tomcat", "")
    assert certificate('service = "nginx"').services[0].may_read == ()
    assert (
        certificate('service = "openldap"\nactivate = ["docker", "exec", "ldap", "reload"]').services[0].may_read == ()
    )


def test_where_a_service_says_what_it_does_not_take() -> None:
    """The journal of its unit, where it has one, and its own files; one of agent.toml takes the place of these."""
    unit = Presence("nginx", "nginx", "nginx")
    found = service('service = "nginx"', nginx=unit)
    (journal,) = found.journal
    assert (journal[3], *journal[-2:]) == ("journalctl", "--unit=nginx", "--unit=nginx@*")
    assert found.logs == ("/var/log/nginx/error.log",)
    own = service('service = "nginx"\nlogs = ["/var/log/{name}.log", "/b"]', nginx=unit)
    assert (own.journal, own.logs) == ((journal,), ("/var/log/www.example.com.log", "/b"))


def test_every_key_overrules_its_own_alone() -> None:
    """One key of agent.toml changes just what it says."""
    plain = service('service = "dovecot"')
    own = service('service = "dovecot"\nverify = ["v"]\nstart = ["s"]\nstarts_stopped = true\nsettle = "2m"')
    assert (own.verify, own.start, own.starts_stopped, own.settle) == (words("v"), words("s"), True, 120)
    assert (own.check, own.activate, own.is_up) == (plain.check, plain.activate, plain.is_up)


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("", ["/etc/ssl/certs/www.example.com.fullchain.crt", "/etc/ldap/www.example.com.openldap.key"]),
        ('[certificate.files]\nfullchain = "/f"', ["/f"]),
        (
            '[[certificate.combined]]\npath = "/c"\nparts = "key"',
            ["/etc/ssl/certs/www.example.com.fullchain.crt", "/c"],
        ),
    ],
)
def test_a_copy_of_the_key_is_made_for_who_names_no_file(text: str, paths: list[str]) -> None:
    """Whoever names files of his own gets no copy of his key that he did not name."""
    assert [str(file.path) for file in certificate('service = "openldap"\n' + text).files] == paths


def test_this_machine_is_not_asked_for_another() -> None:
    """MariaDB is asked at 127.0.0.1; where it runs on a host without an agent, at its name."""
    text = 'service = "mariadb"\n'
    remote = 'host = "ssh://root@db1.example.test"\nssh_host_keys = "/k"\nssh_key_file = "/s"\n'
    remote += '[certificate.files]\nfullchain = "/f"'
    (own,), (far,) = certificate(text).probes, certificate(text + remote).probes
    assert (own.connect_host, far.connect_host) == ("127.0.0.1", "www.example.com")


def test_rights_of_a_preset_are_for_a_new_file() -> None:
    """Those of agent.toml are for a live one too; what a file says itself goes before what the certificate says."""
    (public, key) = certificate('service = "openldap"').files
    assert (public.at_first, public.owner, public.mode) == (Rights(), "", None)
    assert (key.at_first, key.group, key.mode) == (Rights("", "openldap", 0o640), "", None)
    text = 'service = "openldap"\ngroup = "ldap"\nmode = "0600"\n'
    (_, key) = certificate(text).files
    assert (key.group, key.mode) == ("ldap", 0o600)
    (mine,) = certificate(text + '[certificate.files]\nfullchain = "/f"\nmode = "0644"').files
    assert (mine.group, mine.mode) == ("ldap", 0o644)


@pytest.mark.parametrize(
    ("text", "path", "problem"),
    [
        ('service = "generic"', "certificate[0].probe", "generic has no usual socket"),
        ('activate = "reload"\nprobe = []', "certificate[0].activate", "needs a service"),
        ('service = "nginx"\nactivate = "relaod"', "certificate[0].activate", 'must be "reload", "restart"'),
        (
            'service = "nginx"\nmode = "0644"\n[[certificate.combined]]\npath = "/p"\nparts = "key"',
            "certificate[0].mode",
            "0644 would open the private key",
        ),
        (
            'service = "nginx"\n[[certificate.keystore]]\npath = "/p"\npassword_file = "/w"\nmode = "0644"',
            "certificate[0].keystore[0].mode",
            "0644 would open the private key",
        ),
        (
            'service = "nginx"\n[[certificate.keystore]]\npath = "/p"\npassword_file = "/w"\nformat = "pem"',
            "certificate[0].keystore[0].format",
            "must be one of pkcs12, jks",
        ),
    ],
)
def test_what_cannot_be_meant_is_named(text: str, path: str, problem: str) -> None:
    """Each with its path in the file."""
    with pytest.raises(ConfigError) as caught:
        certificate(text)
    assert any(one.path == path and problem in one.problem for one in caught.value.findings), caught.value.findings


def test_presets_shows_what_this_host_has(host: Host) -> None:
    """Here no systemd runs, and nginx has an init script: shown with the reason."""
    (host.config.parent / "presets").mkdir()
    (host.config.parent / "presets" / "nginx.toml").write_text('units = "none-of-these"\nproven = "here"\n')
    shown = host.agent("presets", "nginx").out
    assert "activate  nginx -s reload\n" in shown
    assert "why       reload, by the daemon's own command: neither systemd nor an init script has it here" in shown
    assert "proven    here\n" in shown
