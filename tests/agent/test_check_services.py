"""`check` asks the services' own checks, which refuse today what a run would meet at night."""

import subprocess

import pytest

from tests.agent.host import NAME, Host
from tests.agent.vhosts import Vhosts
from tests.servers.apache import Apache
from tests.servers.nginx import Nginx
from tests.servers.postfix import Postfix


def lines_of_service(host: Host) -> list[str]:
    """The lines of `check` about the service, whose commands stand in agent.toml."""
    return [line for line in host.agent("check").out.splitlines() if " commands: " in line and "programs" not in line]


def test_an_nginx_whose_configuration_somebody_broke(host: Host, nginx: Nginx) -> None:
    """Before the first install and after it; the run then says the same. Once that is mended all is well."""
    host.offer_new()
    passes = ["ok   commands: the service passes its own check"]
    assert lines_of_service(host) == passes
    conf = nginx.folder / "nginx.conf"
    good = conf.read_text()
    conf.write_text(good.replace("access_log off;", "acces_log off;"))
    (first,) = lines_of_service(host)
    assert first.startswith("bad  commands: the check of the service fails today: `")
    assert 'unknown directive "acces_log"' in first
    assert host.agent("check").code == 1
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "failed")
    assert 'unknown directive "acces_log"' in done.certificate["detail"]
    conf.write_text(good)
    assert lines_of_service(host) == passes
    assert host.run().code == 0
    conf.write_text(good.replace("access_log off;", "acces_log off;"))
    assert lines_of_service(host) == [first]


@pytest.mark.soak
def test_an_apache_and_a_postfix(host: Host, apache: Apache) -> None:
    """A configuration that names a module or a right that is not there."""
    conf = apache.folder / "apache2.conf"
    conf.write_text(f"{conf.read_text()}WSGIScriptAlias / /srv/app\n")
    (line,) = lines_of_service(host)
    assert line.startswith("bad  commands: ")
    assert "Invalid command 'WSGIScriptAlias'" in line
    with Postfix(host.authority.issue([NAME])) as postfix:
        files = (
            f'[[certificate.combined]]\npath = "{postfix.tls}/combined.pem"\nparts = ["key", "certificate", "chain"]'
        )
        probe = [postfix.target("smtp").replace("localhost", NAME)]
        host.configure(check=postfix.check, activate=postfix.activate, probe=probe, files=files)
        assert lines_of_service(host) == ["ok   commands: the service passes its own check"]
        subprocess.run(["postconf", "-c", postfix.check[2], "mail_owner=nobodyx"], check=True)
        (line,) = lines_of_service(host)
        assert line.startswith("bad  commands: the check of the service fails today: ")


def test_a_service_that_waits_for_a_first_file(host: Host, nginx: Nginx) -> None:
    """A new virtual host, whose certificate is not there yet, is no fault; the others wait with it, so it is told."""
    vhosts = Vhosts(host, nginx, 2)
    vhosts.write()
    vhosts.offer()
    new = vhosts.names[1]
    vhosts.file(new).unlink()
    vhosts.commands()
    (line,) = lines_of_service(host)
    assert vhosts.commands() == ["check"]
    assert line.startswith(f"warn commands: its check fails while the files of {new} are missing: ")
    assert host.agent("check").code == 0
    assert host.run().code == 0
    assert lines_of_service(host) == ["ok   commands: the service passes its own check"]


def test_a_check_that_names_no_file(host: Host, nginx: Nginx) -> None:
    """As that of HAProxy where a folder is empty: before the first file is there that may be all that it misses."""
    quiet = ["sh", "-c", '"$@" 2>/dev/null', "sh", *nginx.check]
    host.served_by(nginx, check=quiet)
    host.offer_new()
    host.fullchain.unlink()
    (line,) = lines_of_service(host)
    assert line.startswith(f"warn commands: its check fails while the files of {NAME} are missing: ")
    assert host.run().code == 0
    assert lines_of_service(host) == ["ok   commands: the service passes its own check"]
