"""http-01 from `populate --webroot` to a stored certificate: a real nginx, a real sshd, a real CA that looks itself."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from tests.issuer.http01.conftest import NAME, Remote
from tests.issuer.http01.site import ZONE, Site
from tests.issuer.signing_requests import csr
from tests.servers.nginx import Nginx
from tests.servers.process import wait_until


@pytest.mark.usefixtures("nginx")
def test_a_certificate_through_a_local_webroot(site: Site) -> None:
    """One name, one file, one certificate; nothing is left and no zone was needed."""
    site.populate(NAME)
    assert site.box.row(NAME, "certbot", "webroot_path") == ("Y", str(site.root))
    outcome = site.box.ok("run")
    assert f"{NAME}: stored" in outcome.out
    assert site.ca_has_orders()
    assert site.ca_looked()
    assert site.names(NAME) == {NAME}
    assert site.clean()


@pytest.mark.usefixtures("nginx")
def test_alternative_names_of_one_site(site: Site) -> None:
    """Each name has its own file in the one webroot."""
    names = (NAME, ZONE, f"shop.{ZONE}")
    site.populate(*names)
    site.box.ok("run")
    assert site.names(NAME) == set(names)
    assert site.clean()


@pytest.mark.usefixtures("nginx")
def test_a_certificate_through_a_remote_webroot(site: Site, remote: Remote) -> None:
    """The same over SFTP, with alternative names, over one connection."""
    site.box.write(webroot=remote.settings)
    site.populate(NAME, f"shop.{ZONE}", webroot=remote.sshd.url(site.root))
    site.box.ok("run")
    assert site.names(NAME) == {NAME, f"shop.{ZONE}"}
    assert site.clean()
    assert remote.sshd.logins() == 1


@pytest.mark.usefixtures("nginx")
def test_both_kinds_in_one_run(site: Site) -> None:
    """A row with certbot = 'Y' and one with certbot = 'N' side by side."""
    other = site.box.enrol("mail.example.test")
    site.populate(NAME)
    outcome = site.box.ok("run")
    assert f"{NAME}: stored" in outcome.out
    assert f"{other}: stored" in outcome.out
    assert site.clean()
    assert site.box.txt(other) == set()


@pytest.mark.usefixtures("nginx")
def test_a_row_of_the_old_system(site: Site) -> None:
    """certbot = 'Y' and webroot_path as the table of old has them; without a webroot_path it is told what is wrong."""
    site.box.ok("populate", NAME, "--csr", "-", stdin=csr([NAME]))
    site.box.ok("enable", NAME)
    site.box.database.execute("UPDATE certs SET certbot = 'Y'")
    site.box.ok("adopt", NAME, "--yes")
    site.box.fails("run", says=[NAME, "webroot_path is empty"])
    assert not site.ca_has_orders()
    site.box.database.execute(f"UPDATE certs SET webroot_path = '{site.root}/'")  # noqa: S608
    site.box.ok("adopt", NAME, "--yes")
    site.box.ok("issue", NAME)
    assert site.clean()


@contextmanager
def redirecting(nginx: Nginx) -> Iterator[list[str]]:
    """A web server of 127.0.0.2 that sends validation to the central host, and the paths that it was asked for."""
    target, asked = f"http://central.{ZONE}:{nginx.http_port}", []
    with ExitStack() as running:
        listener = running.enter_context(socket.create_server(("127.0.0.2", nginx.http_port or 0)))

        def redirect() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    asked.append(connection.recv(65536).split(b" ")[1].decode())
                    head = f"HTTP/1.1 302 Found\r\nLocation: {target}{asked[-1]}\r\nContent-Length: 0\r\n\r\n"
                    connection.sendall(head.encode())

        thread = threading.Thread(target=redirect, daemon=True)
        thread.start()
        running.callback(thread.join, 10)
        running.callback(listener.shutdown, socket.SHUT_RDWR)
        yield asked


def test_redirects_to_a_central_host(site: Site, nginx: Nginx) -> None:
    """A web server that sends validation to another name: we follow as the CA does, and both are satisfied."""
    site.dns("www A 127.0.0.2", "central A 127.0.0.1")
    with redirecting(nginx):
        site.populate(NAME)
        site.box.ok("run")
    assert site.clean()


def test_a_redirect_inside_without_a_private_ca(site: Site, nginx: Nginx, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ca_bundle the CA is a public one, which reaches no address of ours: nor do we look there for it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(site.lab.pebble.ca_file))
    site.box.document["webroot"]["propagation_timeout"] = "1s"
    site.box.write(acme={"ca_bundle": ""})
    site.dns("www A 127.0.0.2", "central A 127.0.0.1")
    with redirecting(nginx) as asked:
        site.populate(NAME)
        site.box.fails("run", says=["an address that is not public", "a private CA whose [acme] ca_bundle"])
    assert asked
    assert site.clean()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.usefixtures("misled")
def test_files_belong_to_the_site_s_owner(site: Site) -> None:
    """While the CA may look, file and folders have the webroot's owner and are readable, nothing more."""
    os.chown(site.root, 33, 33)
    site.box.write(webroot={"propagation_timeout": "10m"})
    site.populate(NAME)
    process = site.box.start("run")
    wait_until(lambda: bool(site.files()), "the file is out")
    statuses = [path.stat() for path in site.root.rglob("*")]
    assert {(status.st_uid, status.st_gid) for status in statuses} == {(33, 33)}
    assert sorted(oct(status.st_mode & 0o7777) for status in statuses) == ["0o644", "0o755", "0o755"]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
