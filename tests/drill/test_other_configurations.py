"""Services that are set up in other ways than those of the drill, on the daemons as Debian ships them."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.deploy.machine import Machine
from tests.drill.daemon import FULLCHAIN, KEY, NAME, Daemon
from tests.drill.database import MARIADB, POSTGRESQL
from tests.drill.directory import FREERADIUS, OPENLDAP, SAMBA
from tests.drill.drill import AGENT, OTHERS, Drill
from tests.drill.ftp import PROFTPD
from tests.drill.messaging import MUMBLE
from tests.drill.proxies import HITCH, UNBOUND
from tests.drill.web import CUPS, HAPROXY, TOMCAT
from tests.servers import systemd
from tests.servers.network import Network
from tests.servers.systemd import why_not

COPY = "/etc/ldap/tls.key"


@pytest.fixture
def one(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """The daemon of the test's parameter, with its first certificate."""
    if reason := why_not():
        pytest.skip(reason)
    daemon: Daemon = request.param
    with Network([]), Machine(tmp_path_factory.mktemp("other") / "machine") as machine:
        yield Drill(machine, daemon)


def on(daemon: Daemon) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("one", [pytest.param(daemon, id=daemon.name)], indirect=True)


@pytest.mark.soak
@on(OPENLDAP)
def test_a_key_that_the_service_may_not_read(one: Drill) -> None:
    """A copy of the key in a file of one's own has the preset's rights while it is new. One that is closed to slapd's
    user would end it at its restart, as one of another certificate would: that is seen before, and said by `check`
    too."""
    files = f'[certificate.files]\nfullchain = "{FULLCHAIN}"\n'
    files += f'[[certificate.combined]]\npath = "{COPY}"\nparts = ["key"]\n'
    one.configure(files)
    one.run()
    assert one.machine.run("stat", "-c", "%a %U %G", COPY).strip() == "640 root openldap"
    told, before, serves = one.told(), one.live(), one.present
    one.configure(files + 'owner = "root"\ngroup = "root"\nmode = "0600"\n')
    one.offer()
    done = one.run(well=False)
    assert done.certificate["state"] == "failed"
    assert f"openldap runs as openldap, who may not read {COPY}; rolled back" in done.certificate["detail"]
    assert (one.told(), one.live()) == (told, before)
    assert one.shows(serves)
    one.configure(f'mode = "0600"\n{files}')
    assert f"who may not read {FULLCHAIN}; rolled back" in one.run(well=False).certificate["detail"]
    assert one.shows(serves)
    one.configure(files, others=True)
    for name in OTHERS:
        one.offer(name, one.csr_of(name))
    one.run()
    told, before, serves, other = one.told(), one.live(), one.offer(), f"/etc/ssl/certs/{OTHERS[0]}.pem"
    one.machine.run("chmod", "0600", other)
    found = {line["name"]: line for line in one.run(well=False).json["certificates"]}
    assert f"openldap runs as openldap, who may not read {other}: its restart may end it" in found[NAME]["detail"]
    assert (one.told(), one.live()) == (told, before)
    one.machine.run("chmod", "0644", other)
    one.run()
    assert one.shows(serves)
    one.machine.run("sh", "-c", f"rm {other} && mkdir {other}")
    serves = one.offer()
    found = {line["name"]: line for line in one.run(well=False).json["certificates"]}
    assert (found[NAME]["state"], found[OTHERS[0]]["state"]) == ("installed", "failed")
    assert one.shows(serves)
    one.machine.run("rmdir", other)
    one.configure(files)
    one.machine.run("chown", "root:root", COPY)
    assert f"may not read {COPY}: its next start or reload fails;" in one.machine.run(AGENT, "check", code=1)


@pytest.mark.drill
@on(OPENLDAP)
def test_the_keys_own_file_is_closed_to_the_service(one: Drill) -> None:
    """Where the service has the key's own file, only its restart shows that it cannot read that: then it is said."""
    modify = f"dn: cn=config\nchangetype: modify\nreplace: olcTLSCertificateKeyFile\nolcTLSCertificateKeyFile: {KEY}\n"
    one.machine.run("chgrp", "openldap", KEY)
    one.machine.run("chmod", "0640", KEY)
    one.machine.run("chmod", "0711", "/etc/ssl/private")
    one.machine.run("ldapmodify", "-Q", "-Y", "EXTERNAL", "-H", "ldapi:///", stdin=modify)
    one.machine.run("chmod", "0600", KEY)
    one.configure(f'[certificate.files]\nfullchain = "{FULLCHAIN}"\n', "3s")
    one.offer()
    doubt = f"openldap runs as openldap, who may not read {KEY}"
    assert f"{doubt}: its next start or reload fails, if its" in one.machine.execute(AGENT, "check").stdout
    done = one.run(well=False)
    assert done.certificate["state"] == "broken"
    assert doubt in done.certificate["detail"]
    one.machine.run("chmod", "0640", KEY)
    one.run()
    assert one.reported()[0] == "installed", NAME


@pytest.mark.drill
@on(POSTGRESQL)
def test_what_its_log_says_of_a_key(one: Drill) -> None:
    """PostgreSQL refuses a key of its own that its group reads, goes on with the old one, and only its log says why."""
    rights = 'owner = "postgres"\ngroup = "postgres"\nmode = "0640"\n'
    one.configure(
        f'[certificate.files]\nfullchain = "{FULLCHAIN}"\n[[certificate.combined]]\n'
        f'path = "/etc/ssl/{NAME}.postgresql.key"\nparts = ["key"]\n{rights}',
        "3s",
    )
    one.offer()
    done = one.run(well=False)
    assert done.certificate["state"] == "failed"
    assert f'private key file "/etc/ssl/{NAME}.postgresql.key" has group or world access' in done.certificate["detail"]
    assert done.certificate["hint"].startswith("mend what its log says; for its traps see `certfleet-agent presets po")
    assert one.shows(one.present)


@pytest.mark.drill
@on(HAPROXY)
def test_a_configuration_in_several_files(one: Drill) -> None:
    """HAProxy runs with more files than the preset's check reads, which fails before anything is new: the hint says
    what is at fault."""
    main, more = "/etc/haproxy/haproxy.cfg", "/etc/haproxy/conf.d"
    one.machine.write(f"{more}/app.cfg", "backend app\n  server one 127.0.0.1:80\n")
    one.machine.run("sed", "-i", "s/http-request return.*/default_backend app/", main)
    one.machine.write("/etc/default/haproxy", f'CONFIG="{main} -f {more}"\n')
    one.machine.run("systemctl", "restart", "haproxy")
    new = one.offer()
    done = one.run(well=False)
    assert "the service's configuration was broken before: `haproxy -c -f" in done.certificate["detail"]
    assert "other files than that command reads, name them in `check` of agent.toml" in done.certificate["hint"]
    one.configure(f'check = ["haproxy", "-c", "-f", "{main}", "-f", "{more}"]\n')
    one.run()
    assert one.shows(new)


@pytest.mark.drill
@on(replace(MARIADB, probe=()))
def test_looks_that_a_server_counts_as_failed(one: Drill) -> None:
    """MariaDB counts each look from another address than 127.0.0.1, and blocks the address in the end, for all programs
    of this host: the preset looks there, whatever the name's own address."""
    limit = "[mariadbd]\nbind_address = *\nmax_connect_errors = 3\n"
    one.machine.write("/etc/mysql/mariadb.conf.d/91-limit.cnf", limit)
    one.machine.run("systemctl", "restart", "mariadb")
    one.machine.run("mariadb", "--execute", "CREATE USER app@'%'")
    one.machine.run("ip", "address", "add", "198.51.100.7", "dev", "lo")
    one.machine.write("/etc/hosts", f"127.0.0.1 localhost systemd-test\n198.51.100.7 {NAME}\n")
    for _ in range(4):
        new = one.offer()
        one.run()
        assert one.shows(new)
    one.machine.run("mariadb", "--user=app", f"--host={NAME}", "--skip-ssl", "--execute", "SELECT 1")


@pytest.mark.drill
@pytest.mark.parametrize("one", [pytest.param(one, id=one.name) for one in (HITCH, UNBOUND)], indirect=True)
def test_a_key_that_root_reads_for_its_service(one: Drill) -> None:
    """Hitch reads its files as root at each reload, Unbound when it starts, although others of their processes run as
    users of their own: a file for root alone is no fault."""
    key = 'parts = ["key"]\n' if one.daemon.live == FULLCHAIN else 'parts = ["key", "certificate", "chain"]\n'
    path = f"/etc/ssl/{NAME}.{one.daemon.preset}.{'key' if one.daemon.live == FULLCHAIN else 'pem'}"
    files = f'[certificate.files]\nfullchain = "{FULLCHAIN}"\n' if one.daemon.live == FULLCHAIN else ""
    one.configure(
        f'{files}[[certificate.combined]]\npath = "{path}"\n{key}owner = "root"\ngroup = "root"\nmode = "0600"\n'
    )
    new = one.offer()
    one.run()
    assert one.machine.run("stat", "-c", "%a %U %G", path).strip() == "600 root root"
    assert one.shows(new)
    assert "may not read" not in one.machine.execute(AGENT, "check").stdout


_STORE, _PASSWORD, _SHOP = "/etc/tomcat10/shop.p12", "/etc/certfleet/store.password", "shop.example.test"
_SHOP_HOST = (
    f'<SSLHostConfig hostName="{_SHOP}"><Certificate certificateKeystoreFile="{_STORE}"'
    ' certificateKeystorePassword="geheim" certificateKeystoreType="PKCS12"/></SSLHostConfig>'
)
_SHOP_ENTRY = (
    f'[[certificate]]\nname = "{_SHOP}"\nkey = "{KEY}"\nservice = "tomcat"\nsettle = "30s"\n'
    f'probe = ["https://{_SHOP}:8443?connect=127.0.0.1"]\n'
    f'[[certificate.keystore]]\npath = "{_STORE}"\npassword_file = "{_PASSWORD}"\n'
)


@pytest.mark.drill
@on(TOMCAT)
def test_a_keystore_beside_the_files_of_another_name(one: Drill, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tomcat is a Java among others. Its user may not read the keystore: no certificate restarts it then. The keystore
    has another password than its connector: Tomcat's log says only of the other files that it has read them, which is
    no reason."""
    monkeypatch.setattr(systemd, "SECONDS", 240)  # Tomcat gets its time with each of three tries
    end = "</SSLHostConfig></Connector>"
    one.machine.run("sed", "-i", f"s|{end}|</SSLHostConfig>{_SHOP_HOST}</Connector>|", "/etc/tomcat10/server.xml")
    one.machine.write(_PASSWORD, "geheim", mode=0o600)
    csr = one.csr_of(_SHOP)
    one.configure(_SHOP_ENTRY)
    one.offer(_SHOP, csr)
    one.run()
    one.machine.run("chown", "root:root", _STORE)
    one.machine.run("chmod", "0600", _STORE)
    closed, told = f"tomcat runs as tomcat, who may not read {_STORE}", one.told()
    assert f"{closed}: its next start or reload fails;" in one.machine.run(AGENT, "check", code=1)
    for name, of in ((NAME, b""), (_SHOP, csr)):
        one.offer(name, of)
        found = {line["name"]: line for line in one.run(well=False).json["certificates"]}
        assert found[NAME]["detail"].startswith(f"{closed}: its restart may end it")
        assert (one.told(), one.shows(one.present)) == (told, True)
    assert found[_SHOP]["detail"] == f"{closed}; rolled back, all is as it was"
    one.machine.run("chgrp", "tomcat", _STORE)
    one.machine.run("chmod", "0640", _STORE)
    new = one.present = one.offer()
    one.run("--retry")
    assert (one.told(), one.shows(new)) == (told + 1, True)
    one.machine.write(_PASSWORD, "another", mode=0o600)
    one.offer()
    one.offer(_SHOP, csr)
    found = {line["name"]: line for line in one.run("--retry", well=False).json["certificates"]}
    assert {line["state"] for line in found.values()} == {"failed"}
    assert not [line for line in found.values() if "its log says" in line["detail"]]
    assert one.shows(new)


@pytest.mark.drill
@on(SAMBA)
def test_a_key_that_others_may_read(one: Drill) -> None:
    """A domain controller runs on with a key that somebody has opened to a group, and does not start with it: it is not
    restarted for a new certificate."""
    one.machine.run("chmod", "0640", KEY)
    told, before = one.told(), one.live()
    one.offer()
    done = one.run(well=False)
    assert done.certificate["state"] == "failed"
    assert f"{KEY} must be root's, with mode 0600" in done.certificate["detail"]
    assert (one.told(), one.live()) == (told, before)
    assert one.shows(one.present)
    one.machine.run("chmod", "0600", KEY)
    one.run()


@pytest.mark.drill
@on(FREERADIUS)
def test_what_its_check_says(one: Drill) -> None:
    """The reason stands alone; that its user may not read the key's own file too is a doubt beside it."""
    one.configure(f'[certificate.files]\nchain = "{FULLCHAIN}"\n', "3s")
    one.offer()
    done = one.run(well=False)
    detail = done.certificate["detail"]
    assert "key values mismatch" in detail
    assert f"freeradius runs as freerad, who may not read {KEY}, which its configuration may name" in detail
    assert "License" not in detail
    assert done.certificate["hint"].startswith("mend what it says;")


_REASONS = ((CUPS, "do not match"), (MUMBLE, "Failed to find certificate"), (PROFTPD, "key values mismatch"))


@pytest.mark.drill
@pytest.mark.parametrize(
    ("one", "reason"), [pytest.param(one, reason, id=one.name) for one, reason in _REASONS], indirect=["one"]
)
def test_the_log_that_has_the_reason(one: Drill, reason: str) -> None:
    """Some services write it into a file of their own, and not to the journal: it is quoted from there, or people are
    sent there."""
    if one.daemon is PROFTPD:
        one.machine.write("/etc/proftpd/conf.d/tlslog.conf", "TLSLog /var/log/proftpd/tls.log\n")
        one.machine.run("systemctl", "restart", "proftpd")
    one.configure(f'[certificate.files]\nchain = "{one.daemon.live}"\n', "3s")
    one.offer()
    found = one.run(well=False).certificate
    words = found["hint"].split("; ")
    logs = [word for word in words if word.startswith("/var/log/")]
    assert reason in found["detail"] or reason in one.machine.run("cat", *logs)
    assert one.shows(one.present)
