"""Certificates for IP addresses (RFC 8738): ordered as such, validated by a file there, installed and probed."""

from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from tests.agent.host import Host
from tests.issuer.box import Box
from tests.issuer.http01.conftest import NAME
from tests.issuer.http01.site import Site
from tests.issuer.signing_requests import csr
from tests.servers.nginx import Nginx

ADDRESS = "127.0.0.1"
OF_BOTH = csr([NAME], other_names=[x509.IPAddress(ip_address(ADDRESS))])


@pytest.mark.usefixtures("nginx")
def test_an_address_alone_from_the_key_to_the_socket(site: Site, tmp_path: Path) -> None:
    """The agent asks for it, the issuer obtains it, the agent installs it and sees it on the socket."""
    host = Host(tmp_path / "host", ADDRESS)
    host.make_key()
    host.put_placeholder()
    request = (host.folder / "host.csr").read_bytes()
    said = site.box.ok("populate", ADDRESS, "--csr", "-", "--webroot", str(site.root), stdin=request)
    assert (f"{ADDRESS}: enrolled" in said.out, said.err) == (True, "")
    site.box.ok("enable", ADDRESS)
    assert "CAA" not in site.box.ok("check", ADDRESS).out
    site.box.ok("run")
    assert site.names(ADDRESS) == {ADDRESS}
    assert site.ca_looked()
    assert site.clean()
    with Nginx(tmp_path / "tls", host.fullchain, host.key) as server:
        target = f"https://{ADDRESS}:{server.port}"
        host.roots.write_bytes(site.lab.pebble.root())
        host.configure(check=server.check, activate=server.activate, probe=[target])
        crt, ca = site.box.row(ADDRESS, "crt", "ca")
        host.offer(crt, ca)
        done = host.run()
        assert (done.code, done.certificate["state"]) == (0, "installed"), done.out
        [seen] = host.agent("probe", target, "--json").json["targets"]
        assert (seen["names"], seen["host_covered"]) == ([ADDRESS], True)
    again = host.agent("request", ADDRESS, "--key", str(host.key), "--csr", "host.csr")
    assert "was there already" in again.out


@pytest.mark.usefixtures("nginx")
@pytest.mark.parametrize("ways", [[], ["--by", f"{NAME}=dns-01"]])
def test_a_name_and_an_address_in_one_order(site: Site, ways: list[str]) -> None:
    """Both by files, or the name by its zone."""
    site.box.add_zone(NAME)
    site.lab.bind.reconfigure()
    site.box.ok("populate", NAME, "--csr", "-", "--webroot", str(site.root), *ways, stdin=OF_BOTH)
    site.box.ok("enable", NAME)
    site.box.ok("run")
    assert site.names(NAME) == {NAME, ADDRESS}
    site.box.ok("reissue", NAME)
    assert site.clean()


def test_dns_cannot_validate_an_address(box: Box) -> None:
    """Refused at the door with the reason; a row that another program enrolled is told by `check`, and ordered at no
    CA."""
    box.add_zone(NAME)
    assert box.bind is not None
    box.bind.reconfigure()
    why = f"{ADDRESS} is an IP address, and dns-01 cannot validate addresses"
    box.refused("populate", NAME, "--csr", "-", code=2, says=[why, "--by NAME=/webroot"], stdin=OF_BOTH)
    box.ok("populate", NAME, "--csr", "-", "--webroot", "/var/www/html", stdin=OF_BOTH)
    box.ok("enable", NAME)
    box.database.execute("UPDATE certs SET certbot = 'N', webroot_path = NULL")
    box.ok("adopt", NAME, "--yes")
    assert f"bad  {ADDRESS}: {why}" in box.run("check", NAME, "--wait", "1s").out
    box.fails("run", says=[f"{NAME}: failed", why])
    assert box.database.query("SELECT * FROM orders") == []


def test_the_address_is_one_of_the_names(lone_box: Box) -> None:
    """NAME may be any of them, and no address of another certificate; a wrong spelling is read."""
    six = csr([], other_names=[x509.IPAddress(ip_address("2001:db8::7"))])
    way = ("--webroot", "/var/www/html")
    lone_box.refused("populate", ADDRESS, "--csr", "-", *way, code=1, says=[f"is not for {ADDRESS}"], stdin=six)
    lone_box.ok("populate", "2001:DB8:0::7", "--csr", "-", *way, stdin=six)
    assert lone_box.row("2001:db8::7", "certbot") == ("Y",)
    lone_box.refused("populate", "fe80::1%eth0", "--csr", "-", code=2, says=["address of one link"])
