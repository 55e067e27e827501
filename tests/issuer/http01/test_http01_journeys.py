"""http-01 from `populate --webroot` to a stored certificate: a real nginx, a real sshd, a real CA that looks itself."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from issuer import run
from issuer.webroot.webroots import Webroots
from tests.issuer.box import Box
from tests.issuer.crash.killer import killed_run
from tests.issuer.http01.conftest import NAME, Remote
from tests.issuer.shared_order import SharedOrder, SlowSweep
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority
from tests.servers.ca_proxy import CaProxy
from tests.servers.lab import Lab
from tests.servers.nginx import Nginx
from tests.servers.process import wait_until

ZONE = "example.test"


@dataclass(frozen=True, slots=True)
class Site:
    """A web site with its root, the issuer that validates it, and the CA."""

    box: Box
    lab: Lab
    root: Path

    def dns(self, *records: str) -> None:
        self.lab.bind.static_zone(ZONE, records)
        self.lab.bind.reconfigure()

    def populate(self, *names: str, webroot: str = "") -> None:
        words = ["populate", names[0], "--csr", "-", "--webroot", webroot or str(self.root)]
        self.box.ok(*words, stdin=csr(names))
        self.box.ok("enable", names[0])

    def clean(self) -> bool:
        """Nothing is left in the webroot or in the journal."""
        return not list(self.root.rglob("*")) and not self.box.database.query("SELECT * FROM challenges")

    def files(self) -> list[Path]:
        """The challenges that are out."""
        return sorted(self.root.glob(".well-known/acme-challenge/[!.]*"))

    def ca_log(self) -> str:
        return (self.lab.pebble.folder / "pebble.log").read_text(encoding="utf-8", errors="replace")

    def ca_has_orders(self) -> bool:
        """Has the CA ever been asked for anything?"""
        return "order-plz" in self.ca_log() or "orders in the db" in self.ca_log()

    def ca_looked(self) -> bool:
        """Has the CA been told that it may validate anything?"""
        return "Attempting to validate" in self.ca_log()

    def names(self) -> set[str]:
        [crt] = self.box.row(NAME, "crt")
        alternative = x509.load_pem_x509_certificate(crt).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        return set(alternative.value.get_values_for_type(x509.DNSName))


@pytest.fixture
def site(box: Box, lab: Lab, folder: Path) -> Site:
    """The web site's name points here, but no web server runs yet."""
    box.document["webroot"] = {"http_port": lab.pebble.http_port, "propagation_timeout": "1s"}
    box.write(dns={"resolvers": [lab.bind.endpoint]})
    made = Site(box, lab, folder)
    made.dns("www A 127.0.0.1", "shop A 127.0.0.1", "example.test. A 127.0.0.1", "central A 127.0.0.1")
    return made


def web_server(site: Site, root: Path) -> Nginx:
    """nginx serving *root* where the CA looks."""
    folder = site.box.folder / f"nginx-{root.name}"
    files = Authority("Web").issue(["localhost"]).write(folder / "tls")
    return Nginx(folder, files.fullchain, files.key, http_webroot=root, http_port=site.lab.pebble.http_port)


@pytest.fixture
def nginx(site: Site) -> Iterator[Nginx]:
    """A web server that serves the webroot, as it should be."""
    with web_server(site, site.root) as server:
        yield server


@pytest.fixture
def misled(site: Site, tmp_path: Path) -> Iterator[Nginx]:
    """A web server that serves another folder than webroot_path says."""
    other = tmp_path / "other"
    other.mkdir()
    with web_server(site, other) as server:
        yield server


@pytest.mark.usefixtures("nginx")
def test_a_certificate_through_a_local_webroot(site: Site) -> None:
    """One name, one file, one certificate; nothing is left and no zone was needed."""
    site.populate(NAME)
    assert site.box.row(NAME, "certbot", "webroot_path") == ("Y", str(site.root))
    outcome = site.box.ok("run")
    assert f"{NAME}: stored" in outcome.out
    assert site.ca_has_orders()
    assert site.ca_looked()
    assert site.names() == {NAME}
    assert site.clean()


@pytest.mark.usefixtures("nginx")
def test_alternative_names_of_one_site(site: Site) -> None:
    """Each name has its own file in the one webroot."""
    names = (NAME, ZONE, f"shop.{ZONE}")
    site.populate(*names)
    site.box.ok("run")
    assert site.names() == set(names)
    assert site.clean()


@pytest.mark.usefixtures("nginx")
def test_a_certificate_through_a_remote_webroot(site: Site, remote: Remote) -> None:
    """The same over SFTP, with alternative names, over one connection."""
    site.box.write(webroot=remote.settings)
    site.populate(NAME, f"shop.{ZONE}", webroot=remote.sshd.url(site.root))
    site.box.ok("run")
    assert site.names() == {NAME, f"shop.{ZONE}"}
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
    site.box.fails("run", says=[NAME, "webroot_path is empty"])
    assert not site.ca_has_orders()
    site.box.database.execute(f"UPDATE certs SET webroot_path = '{site.root}/'")  # noqa: S608
    site.box.ok("issue", NAME)
    assert site.clean()


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


@pytest.mark.usefixtures("misled")
def test_without_a_look_of_our_own(site: Site) -> None:
    """With fetch = false the CA finds out, and the files go all the same."""
    site.box.write(webroot={"fetch": False})
    site.populate(NAME)
    site.box.fails("run", says=["the CA could not validate", NAME])
    assert site.ca_looked()
    assert site.clean()


def test_a_web_server_that_is_down(site: Site) -> None:
    """Nobody listens: the verdict names the address."""
    site.populate(NAME)
    site.box.fails("run", says=[f"{NAME} at 127.0.0.1: connection refused"])
    assert not site.ca_looked()
    assert site.clean()


@pytest.mark.parametrize("where", ["local", "sftp"])
def test_a_killed_run_is_finished_by_the_next(
    site: Site, where: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """kill -9 with the files out: the next run goes on with the same order, and takes files and folders away."""
    webroot = str(site.root)
    if where == "sftp":
        remote: Remote = request.getfixturevalue("remote")
        site.box.write(webroot=remote.settings)
        webroot = remote.sshd.url(site.root)
    site.box.write(webroot={"propagation_timeout": "10m"})
    site.populate(NAME, f"shop.{ZONE}", webroot=webroot)
    process = site.box.start("run")
    wait_until(lambda: [state for state, _ in site.box.orders()] == ["PUBLISHED"], "the files are out")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert len(site.files()) == 2
    assert site.files()[0].stat().st_mode & 0o777 == 0o644
    with web_server(site, site.root):
        site.box.ok("run")
    assert [state for state, _ in site.box.orders()] == ["STORED"]
    assert site.clean()


@pytest.mark.usefixtures("misled")
def test_a_killed_run_that_fails_later_leaves_nothing(site: Site) -> None:
    """kill -9 with the file out, then a run in which the challenge fails: the file is gone after it."""
    site.box.write(webroot={"propagation_timeout": "10m"})
    site.populate(NAME)
    process = site.box.start("run")
    wait_until(lambda: [state for state, _ in site.box.orders()] == ["PUBLISHED"], "the file is out")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert site.files()
    site.box.database.execute("UPDATE orders SET deadline = 1")  # as if the ten minutes had passed
    site.box.fails("run", says=["HTTP 404"])
    assert site.clean()


def test_another_machine_finishes_and_the_first_one_tidies_up(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 with the file out in a folder of this machine: the issuer of another one, where that folder is empty,
    goes on with the order, and leaves to the first one what only that can remove."""
    site.box.write(webroot={"propagation_timeout": "10m"})
    site.populate(NAME)
    process = site.box.start("run")
    wait_until(lambda: [state for state, _ in site.box.orders()] == ["PUBLISHED"], "the file is out")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    site.box.database.execute("UPDATE orders SET lease_until = 1")  # as if ten minutes had passed
    there = site.root.rename(tmp_path / "html-of-the-first")
    site.root.mkdir()
    second = Box(tmp_path / "second", site.box.database, bind=site.lab.bind, pebble=site.lab.pebble)
    second.document |= {part: site.box.document[part] for part in ("webroot", "dns")}
    second.write(acme={"account_key": str(site.box.state_dir / "account.pem")})
    second.ok("init")
    with web_server(site, there), monkeypatch.context() as elsewhere:
        elsewhere.setattr(socket, "gethostname", lambda: "issuer2")
        outcome = second.ok("run")
    assert f"was written on {socket.gethostname()}, and only there it can be removed" in outcome.err
    assert [state for state, _ in site.box.orders()] == ["STORED"]
    site.root.rmdir()
    there.rename(site.root)
    assert len(site.files()) == 1
    site.box.ok("run")
    assert site.clean()


def test_a_host_that_is_away_when_files_should_go(site: Site, remote: Remote) -> None:
    """What cannot be taken back stays in the journal, and the next run takes it back."""
    site.box.write(webroot=remote.settings | {"propagation_timeout": "8s"})
    site.populate(NAME, webroot=remote.sshd.url(site.root))
    process = site.box.start("run")
    wait_until(lambda: bool(site.files()), "the file is out")
    remote.sshd.stop()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "connection refused" in err
    assert site.files()
    remote.sshd.start()
    site.box.fails("run", says=[f"{NAME}: failed; next attempt"])  # it waits for its moment, and tidies up
    assert site.clean()


def test_redirects_to_a_central_host(site: Site, nginx: Nginx) -> None:
    """A web server that sends validation to another name: we follow as the CA does, and both are satisfied."""
    site.dns("www A 127.0.0.2", "central A 127.0.0.1")
    target = f"http://central.{ZONE}:{nginx.http_port}"
    with ExitStack() as running:
        listener = running.enter_context(socket.create_server(("127.0.0.2", nginx.http_port or 0)))

        def redirect() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    path = connection.recv(65536).split(b" ")[1].decode()
                    head = f"HTTP/1.1 302 Found\r\nLocation: {target}{path}\r\nContent-Length: 0\r\n\r\n"
                    connection.sendall(head.encode())

        thread = threading.Thread(target=redirect, daemon=True)
        thread.start()
        running.callback(thread.join, 10)
        running.callback(listener.shutdown, socket.SHUT_RDWR)
        site.populate(NAME)
        site.box.ok("run")
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


def test_a_file_that_a_new_order_writes_again_is_not_swept(
    site: Site, proxy: CaProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CA gives the order of a removed name to the same name enrolled again, so the same file is written, while it is
    still being taken back: the certificate is stored at the first try, and nothing is left."""
    site.box.write(acme={"directory": proxy.directory, "ca_bundle": str(proxy.ca_file)})
    proxy.after.append(SharedOrder())
    with web_server(site, site.root):
        site.populate(NAME)
        assert killed_run(site.box, "issuer.webroot.webroots:Webroots.unseen", "before", 1) < 0
        assert len(site.files()) == 1
        site.box.database.execute("UPDATE orders SET lease_until = 0")
        site.box.ok("remove", NAME, "--yes")
        site.populate(NAME)
        slow = SlowSweep()
        proxy.before.append(slow)
        monkeypatch.setattr(Webroots, "withdraw", slow.slowly(Webroots.withdraw))
        monkeypatch.setattr(run, "_HEAD_START", 0.2)
        assert f"{NAME}: stored" in site.box.ok("run").out
    assert site.box.row(NAME, "count_fail_update") == (0,)
    assert len({url for _, url in site.box.orders(NAME)}) == 1, "the CA gave the same order"
    assert site.clean()
