"""Services that are set up in other ways than those of the drill, on the daemons as Debian ships them."""

from collections.abc import Iterator

import pytest

from tests.deploy.machine import Machine
from tests.drill.daemon import FULLCHAIN, KEY, NAME, Daemon
from tests.drill.database import POSTGRESQL
from tests.drill.directory import OPENLDAP
from tests.drill.drill import AGENT, Drill
from tests.drill.proxies import HITCH, UNBOUND
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


@on(OPENLDAP)
def test_a_key_that_the_service_may_not_read(one: Drill) -> None:
    """A copy of the key in a file of one's own has the preset's rights while it is new. One that is closed to slapd's
    user would end it at its restart: that is seen before, and said by `check` too."""
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
