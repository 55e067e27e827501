"""A challenge type is a file of its own and one line: here every command meets a third one."""

import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from issuer.commands import challenge_types
from tests.issuer.alpn01 import PROTOCOL, Alpn01, AlpnServers, certificate
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority
from tests.servers.ca_proxy import CaProxy, in_directory
from tests.servers.lab import Lab

NAME, OTHER = "www.example.test", "shop.example.test"


class TlsServer(socketserver.ThreadingTCPServer):
    """Shows the newest certificate of *folder* for the name that is asked for, and its everyday one without any."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, port: int, folder: Path, everyday: Path) -> None:
        super().__init__(("127.0.0.1", port), socketserver.BaseRequestHandler)
        self._folder = folder
        self._context = _context(everyday)
        self._context.sni_callback = self._switch

    def _switch(self, connection: ssl.SSLObject, name: str | None, _context_: ssl.SSLContext) -> None:
        found = sorted(self._folder.glob(f"{name}.*.pem"))
        if found:
            connection.context = _context(found[-1])

    def finish_request(self, request: Any, _address: Any) -> None:
        with suppress(OSError), self._context.wrap_socket(request, server_side=True) as secured:
            secured.recv(1)


def _context(pem: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(pem)
    made.set_alpn_protocols([PROTOCOL])
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the TLS server looks for certificates for validation."""
    made = tmp_path / "alpn"
    made.mkdir()
    return made


@pytest.fixture
def place(box: Box, lab: Lab, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a row says to be validated by the third type, which is known by one line; no TLS server runs yet."""
    monkeypatch.setattr(challenge_types, "CHALLENGE_TYPES", {**challenge_types.CHALLENGE_TYPES, Alpn01(): AlpnServers})
    lab.bind.static_zone("example.test", ["www A 127.0.0.1", "shop A 127.0.0.1"])
    lab.bind.reconfigure()
    box.document["webroot"] = {"propagation_timeout": "1s"}
    box.write(dns={"resolvers": [lab.bind.endpoint]})
    return f"alpn://127.0.0.1:{lab.pebble.http_port}{folder}"


@pytest.fixture
def tls(lab: Lab, place: str, folder: Path, tmp_path: Path) -> Iterator[TlsServer]:
    """The TLS server, running where the CA looks."""
    files = Authority("Everyday").issue(["localhost"]).write(tmp_path / "tls")
    everyday = tmp_path / "everyday.pem"
    everyday.write_bytes(files.fullchain.read_bytes() + files.key.read_bytes())
    with TlsServer(lab.pebble.http_port, folder, everyday) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def enrol(box: Box, place: str, *names: str) -> None:
    said = box.ok("populate", names[0], "--csr", "-", "--webroot", place, stdin=csr(names)).out
    assert "when its TLS server takes certificates from that folder" in said
    box.ok("enable", names[0])


def left(box: Box, folder: Path) -> bool:
    """Is an answer left in the world or in the journal?"""
    return bool(list(folder.iterdir()) or box.database.query("SELECT * FROM challenges"))


@pytest.mark.usefixtures("tls")
def test_from_enrolment_to_a_stored_certificate(box: Box, place: str, folder: Path) -> None:
    """Beside a row of dns-01: a real CA validates two names; nothing is left; `status` and `remove` know the type."""
    enrol(box, place, NAME, OTHER)
    zone = box.enrol("mail.example.test")
    outcome = box.ok("run")
    assert f"{NAME}: stored" in outcome.out
    assert f"{zone}: stored" in outcome.out
    assert not left(box, folder)
    validated = {
        row["name"]: row["validated_by"] for row in box.ok("status", NAME, zone, "--json").report()["certificates"]
    }
    assert validated == {NAME: "tls-alpn-01", zone: "dns-01"}
    assert f"tls-alpn-01 through {place}" in box.ok("status", NAME).out
    assert f"the TLS server of {NAME}, {OTHER} may still speak" in box.ok("remove", NAME, "--yes").out


def test_check_looks_where_the_type_says(box: Box, place: str, request: pytest.FixtureRequest) -> None:
    """Its findings for each certificate; what two certificates share is put to the test once."""
    enrol(box, place, NAME)
    enrol(box, place, OTHER)
    down = box.run("check", "--json")
    assert down.code == 1
    [finding] = [each for each in down.report()["findings"] if each["subject"] == place]
    assert "does not speak acme-tls/1" in finding["finding"]
    request.getfixturevalue("tls")
    findings = [(each["subject"], each["finding"]) for each in box.ok("check", "--json").report()["findings"]]
    assert findings.count((place, "it speaks acme-tls/1")) == 1
    assert {name for name, finding in findings if "certificates for validation can be put" in finding} == {NAME, OTHER}
    assert not [finding for name, finding in findings if name.startswith("zone ")]


def test_caa_is_asked_by_its_name(proxied: Box, proxy: CaProxy, lab: Lab, place: str) -> None:
    """RFC 8657: what CAA allows for dns-01 only is forbidden to it."""
    proxy.after.append(in_directory(meta={"caaIdentities": ["ca.test"]}))
    restricted = 'www CAA 0 issue "ca.test; validationmethods=dns-01"'
    lab.bind.static_zone("example.test", ["www A 127.0.0.1", restricted])
    lab.bind.reconfigure()
    enrol(proxied, place, NAME)
    assert "does not allow validation by tls-alpn-01" in proxied.run("check", NAME).out


def test_the_lists_of_types_have_it(proxied: Box, proxy: CaProxy, place: str) -> None:
    """That of `egress` and that of `zone --method`."""
    proxy.after.append(in_directory(meta={"caaIdentities": ["ca.test"]}))
    enrol(proxied, place, NAME)
    inwards = proxied.run("egress", "--json").report()["in"]
    assert [(one["host"], one["port"]) for one in inwards] == [(NAME, 443)]
    assert "validationmethods=tls-alpn-01" in proxied.ok("zone", "--caa", NAME, "--method", "tls-alpn-01").out


def test_by_hand(box: Box, place: str, folder: Path, request: pytest.FixtureRequest) -> None:
    """`challenges` says in the words of the type what to publish, `solve` looks as it does, a person's answer stays."""
    enrol(box, place, NAME)
    told = box.ok("challenges", NAME).out
    [entry] = box.ok("challenges", NAME, "--json").report()
    assert entry["type"] == "tls-alpn-01"
    assert f"{NAME}: a certificate with the acmeIdentifier {entry['value']} for acme-tls/1" in told
    assert not left(box, folder)
    request.getfixturevalue("tls")
    assert f"not there yet: {NAME}: No <" in box.run("solve", NAME).out
    mine = folder / f"{NAME}.mine.pem"
    mine.write_bytes(certificate(NAME, entry["value"]))
    box.ok("solve", NAME)
    assert "stored" in box.ok("request", NAME).out
    assert list(folder.iterdir()) == [mine]


def test_an_answer_that_nobody_shows(box: Box, place: str, folder: Path) -> None:
    """The type's own error, in the run and in `status`; the CA is not asked to look, and the answer is taken back."""
    enrol(box, place, NAME)
    box.fails("run", says=[NAME, "the TLS server shows no answer", "Connection refused", "start it"])
    assert "alpn: the TLS server shows no answer" in box.run("status", NAME).out
    assert not left(box, folder)


def test_left_by_a_dead_process(box: Box, place: str, folder: Path) -> None:
    """The next run takes back what the journal names."""
    value = "ab" * 32
    (folder / f"{NAME}.{value[:16]}.pem").write_bytes(certificate(NAME, value))
    columns = "order_id, type, identifier, authorization_url, url, owner, zone, value, created_at"
    values = f"0, 'tls-alpn-01', '{NAME}', 'https://ca.test/a', 'https://ca.test/c', '{NAME}', '{place}', '{value}', 1"
    box.database.execute(f"INSERT INTO challenges ({columns}) VALUES ({values})")  # noqa: S608
    box.ok("run")
    assert not left(box, folder)


def test_what_the_type_refuses(box: Box, place: str) -> None:
    """A wildcard is refused when it is enrolled, and by the journey where an old script has written the row."""
    wild = "*.example.test"
    box.refused(
        *("populate", wild, "--csr", "-", "--webroot", place),
        stdin=csr([wild]),
        code=2,
        says=["tls-alpn-01 validates none", "validate it by dns-01"],
    )
    box.populate(wild)
    box.database.execute(f"UPDATE certs SET certbot = 'Y', webroot_path = '{place}'")  # noqa: S608
    box.ok("adopt", wild, "--yes")
    box.fails("run", says=["tls-alpn-01 validates none"])
