"""http-01 where something is in the way: it is found before the CA is asked, and said."""

import json

import pytest

from tests.issuer.box import Box
from tests.issuer.http01.conftest import NAME, Remote
from tests.issuer.http01.site import ZONE, Site
from tests.issuer.signing_requests import csr
from tests.servers.nginx import Nginx


def test_a_missing_webroot_costs_no_order(site: Site) -> None:
    """A mistyped folder is found before the CA hears of the certificate, and is not made."""
    missing = site.root / "htlm"
    site.populate(NAME, webroot=str(missing))
    site.box.fails("run", says=[f"the webroot {missing} does not exist", "typing mistake"])
    assert not missing.exists()
    assert not site.ca_has_orders()
    assert site.clean()


def test_an_unknown_host_costs_no_order(site: Site, remote: Remote) -> None:
    """A host key that is not pinned ends the attempt before the CA hears of it, and before anything is written."""
    remote.pin("# nobody")
    site.box.write(webroot=remote.settings)
    site.populate(NAME, webroot=remote.sshd.url(site.root))
    site.box.fails("run", says=["is not pinned", remote.sshd.fingerprint(), str(remote.host_keys)])
    assert not site.ca_has_orders()
    assert site.clean()


@pytest.mark.usefixtures("misled")
def test_a_server_that_serves_another_folder(site: Site) -> None:
    """The issuer sees the 404 itself: the CA is never asked to look, so no failed validation is counted there."""
    site.populate(NAME, f"shop.{ZONE}")
    says = ["does not serve the challenge", f"{NAME} at 127.0.0.1: HTTP 404", f"shop.{ZONE} at 127.0.0.1", "plain http"]
    site.box.fails("run", says=says)
    assert [state for state, _ in site.box.orders()] == ["FAILED"]
    assert not site.ca_looked()
    assert site.clean()


def test_without_a_look_of_our_own(site: Site, misled: Nginx) -> None:
    """With fetch = false the CA finds out, and the files go all the same. The web server's own log shows whom it
    answered with what, and `check` looks whether it can be read."""
    log, away = misled.folder / "access.log", misled.folder / "no.log"
    site.box.write(webroot={"fetch": False, "access_logs": [str(log)]})
    site.populate(NAME)
    asked = f"our web server was asked for {NAME} by 127.0.0.1 at 2"
    site.box.fails("run", says=["the CA could not validate", NAME, asked, "(404, LetsEncrypt-Pebble"])
    assert site.ca_looked()
    assert site.clean()
    [row] = json.loads(site.box.run("status", "--json").out)["certificates"]
    assert asked in row["failure"]["asked"]
    assert asked not in row["failure"]["why"]
    site.box.write(webroot={"access_logs": [str(log), str(away)]})
    site.box.fails("check", says=[f"access log: {log} is usable", f"{away} cannot be read: No such file or directory"])


def test_a_web_server_that_is_down(site: Site) -> None:
    """Nobody listens: the verdict names the address."""
    site.populate(NAME)
    site.box.fails("run", says=[f"{NAME} at 127.0.0.1: connection refused"])
    assert not site.ca_looked()
    assert site.clean()


@pytest.mark.usefixtures("nginx")
def test_one_address_of_two_lags(site: Site) -> None:
    """Two addresses, one web server: the CA might look at the other one, so it is not asked."""
    site.dns("www A 127.0.0.1", "www A 127.0.0.3")
    site.populate(NAME)
    site.box.fails("run", says=[f"{NAME} at 127.0.0.3: connection refused"])
    assert not site.ca_looked()
    assert site.clean()


@pytest.mark.usefixtures("nginx")
def test_an_ipv6_address_that_is_out_of_reach(site: Site) -> None:
    """An AAAA record that this machine cannot reach is a warning; the CA, which can, decides."""
    site.dns("www A 127.0.0.1", "www AAAA fe80::1")
    site.populate(NAME)
    outcome = site.box.run("run")
    assert "webserver.no_route" in outcome.err
    assert site.ca_looked()
    assert site.clean()


def test_wildcards_are_refused(site: Site) -> None:
    """At populate, and in a row that was made by hand, before the CA hears of it."""
    names = [ZONE, f"*.{ZONE}"]
    words = ["populate", ZONE, "--csr", "-"]
    site.box.refused(*words, "--webroot", str(site.root), code=2, says=["wildcard", "dns-01"], stdin=csr(names))
    site.box.ok(*words, stdin=csr(names))
    site.box.ok("enable", ZONE)
    site.box.database.execute(f"UPDATE certs SET certbot = 'Y', webroot_path = '{site.root}'")  # noqa: S608
    site.box.ok("adopt", ZONE, "--yes")
    site.box.fails("run", says=["wildcard", "dns-01"])
    assert not site.ca_has_orders()


@pytest.mark.parametrize("path", ["html", "/", "ftp://u@h/html", "sftp://h/html", "sftp://u:secret@h/html", "/a/../b"])
def test_populate_refuses_what_is_no_webroot(lone_box: Box, path: str) -> None:
    """A sentence, exit code 2, and nothing in the table; a password is not repeated."""
    before = lone_box.contents()
    words = ["populate", NAME, "--csr", "-", "--webroot", path]
    outcome = lone_box.refused(*words, code=2, says=["webroot_path"], stdin=csr([NAME]))
    assert "secret" not in outcome.err
    assert lone_box.contents() == before
