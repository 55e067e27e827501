"""The probe on the real daemons: each shows the same as it does to `openssl s_client`, and a new certificate later."""

import hashlib
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from common.probe.addresses import addresses
from common.probe.document import facts
from common.probe.look import look
from common.probe.survey import survey
from common.probe.target import parse_target
from common.probe.view import KeyType, Seen, View, key_type_in, key_type_of
from tests.servers.apache import Apache
from tests.servers.authority import Authority, Issued
from tests.servers.dovecot import Dovecot
from tests.servers.haproxy import Haproxy
from tests.servers.mariadb import MariaDB
from tests.servers.nginx import Nginx
from tests.servers.postfix import Postfix
from tests.servers.postgresql import Postgresql
from tests.servers.process import program, wait_until
from tests.servers.proftpd import Proftpd
from tests.servers.prosody import Prosody
from tests.servers.service import STARTTLS, Service, asked
from tests.servers.slapd import Slapd

SECONDS = 15.0
NAME = "localhost"


@pytest.fixture
def authority() -> Authority:
    """An intermediate, so that chains have two certificates."""
    return Authority("Test Root").intermediate("Test Intermediate")


@pytest.fixture
def issued(authority: Authority) -> Issued:
    return authority.issue([NAME])


def seen(target: str, key_type: KeyType = "") -> View:
    """One look at the only address of a target."""
    parsed = parse_target(target)
    (address,) = addresses(parsed)
    return look(parsed, address, parsed.server_name or NAME, SECONDS, key_type)


def by_openssl(service: Service, scheme: str) -> View:
    """The same in what `openssl s_client` prints."""
    printed = service.asked(scheme)
    blocks = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", printed, re.DOTALL)
    version = re.search(r"^New, (TLSv[\d.]+), Cipher is", printed, re.MULTILINE)
    assert version is not None, printed
    # the last block is the leaf once more, as "Server certificate"
    count = len(re.findall(r"^ *\d+ s:", printed, re.MULTILINE))
    chain = tuple(ssl_der(block) for block in blocks[:count])
    return View(Seen.SERVED, "", chain, version[1])


FIELDS = ("names", "issuer", "serial", "not_before", "not_after", "sha256", "key", "tls", "chain", "staple")


def told(target: str) -> dict[str, Any]:
    """What `probe --json` says of the only certificate that is shown."""
    (one,) = survey([parse_target(target)], [NAME], lambda _: {}, time.time())
    document = facts(one, time.time())
    document |= {"chain": [link["subject"] for link in document["chain"]], "staple": document["staple"]["there"]}
    return {field: document[field] for field in FIELDS}


def told_by_openssl(printed: str) -> dict[str, Any]:
    """The same by what `openssl s_client -status` has *printed*, and `openssl x509`."""
    leaf = subprocess.run(
        [
            *["openssl", "x509", "-noout", "-serial", "-dates", "-fingerprint", "-sha256", "-issuer", "-text"],
            "-dateopt",
            "iso_8601",
        ],
        input=printed.encode(),
        capture_output=True,
        check=True,
    ).stdout.decode()
    kind, bits = one_of(r"Public Key Algorithm: (\S+)", leaf), one_of(r"Public-Key: \((\d+) bit\)", leaf)
    return {
        "names": sorted(re.findall(r"(?:DNS|IP Address):([^,\s]+)", leaf)),
        "issuer": one_of(r"^issuer=CN = (.+)$", leaf),
        "serial": one_of(r"^serial=(\S+)$", leaf),
        "not_before": one_of(r"^notBefore=(.+)$", leaf).replace(" ", "T"),
        "not_after": one_of(r"^notAfter=(.+)$", leaf).replace(" ", "T"),
        "sha256": one_of(r"Fingerprint=(\S+)$", leaf).replace(":", "").lower(),
        "key": {"id-ecPublicKey": f"ECDSA secp{bits}r1"}[kind],
        "tls": one_of(r"^New, (TLSv[\d.]+), Cipher is", printed),
        "chain": re.findall(r"^ *[1-9]\d* s:CN = (.+)$", printed, re.MULTILINE),
        "staple": "OCSP response: no response sent" not in printed,
    }


GNUTLS_FIELDS = ("issuer", "serial", "not_before", "not_after", "sha256", "tls", "chain")


def told_by_gnutls(service: Service, scheme: str) -> dict[str, Any]:
    """The same by `gnutls-cli`, which shares neither a TLS library nor STARTTLS with us, as far as it tells."""
    starttls = STARTTLS.get(scheme, scheme)
    command = [program("gnutls-cli", "gnutls-bin"), "--insecure", "--print-cert"]
    command += [f"--starttls-proto={starttls}"] if starttls else []
    printed = subprocess.run(
        [*command, "-p", str(service.ports[scheme]), NAME],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    ).stdout
    leaf = one_of(r"Certificate\[0\] info:\n - (.+)", printed)
    block = one_of(r"(-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----)", printed)
    return {
        "issuer": one_of(r"issuer `CN=([^']+)'", leaf),
        "serial": one_of(r"serial 0x(?:00)?([0-9a-f]+)", leaf).upper(),
        "not_before": one_of(r"activated `([^']+) UTC'", leaf).replace(" ", "T") + "Z",
        "not_after": one_of(r"expires `([^']+) UTC'", leaf).replace(" ", "T") + "Z",
        "sha256": hashlib.sha256(ssl_der(block)).hexdigest(),
        "tls": "TLSv" + one_of(r"Description: \(TLS([\d.]+)", printed),
        "chain": re.findall(r"Certificate\[[1-9]\d*\] info:\n - subject `CN=([^']+)'", printed),
    }


def one_of(pattern: str, text: str) -> str:
    """The first group of what fits."""
    found = re.search(pattern, text, re.MULTILINE)
    assert found is not None, (pattern, text)
    return found[1]


def ssl_der(block: str) -> bytes:
    return x509.load_pem_x509_certificate(block.encode()).public_bytes(Encoding.DER)


@pytest.mark.sampled
@pytest.mark.parametrize("kind", [Postfix, Dovecot, Slapd, Proftpd, Postgresql, Prosody, Haproxy])
def test_a_daemon_shows_what_openssl_sees(kind: type[Service], authority: Authority, issued: Issued) -> None:
    """And `gnutls-cli`: leaf, chain and version of TLS for each protocol of the daemon; and after its own activate the
    new certificate on every socket."""
    second = authority.issue([NAME])
    with kind(issued) as service:
        for scheme in service.schemes:
            view = seen(service.target(scheme))
            assert view == by_openssl(service, scheme), scheme
            assert b"".join(map(pem, view.shown)) == issued.fullchain_pem
            document = told(service.target(scheme))
            assert document == told_by_openssl(service.asked(scheme, "-status"))
            assert {field: document[field] for field in GNUTLS_FIELDS} == told_by_gnutls(service, scheme), scheme
        assert not service.check or run(service.check) == 0
        service.put(second)
        assert run(service.activate) == 0
        for scheme in service.schemes:
            wait_until(partial(shows, service.target(scheme), second), f"the new one by {scheme}", SECONDS)


def pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def shows(target: str, issued: Issued) -> bool:
    """Is this the leaf shown now?"""
    return pem(seen(target).shown[0]) == issued.cert_pem


def run(command: list[str]) -> int:
    return subprocess.run(command, check=False, capture_output=True, timeout=20).returncode


def test_mariadb_after_its_handshake(mariadb: MariaDB) -> None:
    """The certificate that a client with TLS gets, as `openssl s_client` sees it. It greets hosts alone that some
    account may come from."""
    mariadb.create_database()
    view = seen(f"mysql://{NAME}:{mariadb.port}?connect={mariadb.host}")
    assert view.seen is Seen.SERVED, view
    leaf = x509.load_der_x509_certificate(view.shown[0])
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(mariadb.ca_file.read_bytes()))
    document = told(f"mysql://{NAME}:{mariadb.port}?connect={mariadb.host}")
    assert document == told_by_openssl(asked(mariadb.port, "mysql", "-status")) | {"staple": None}  # it has none at all


@pytest.mark.sampled
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_service_behind_a_balancer(issued: Issued, version: str) -> None:
    """It answers whom the PROXY header comes from, and nobody else; HTTPS and STARTTLS."""
    postfix_option = "smtpd_upstream_proxy_protocol = haproxy"
    with Haproxy(issued) as haproxy:
        target = f"https://{NAME}:{haproxy.behind}?connect=127.0.0.1"
        assert seen(f"{target}&proxy={version}").seen is Seen.SERVED
        assert seen(target).seen is Seen.NO_TLS
    if version == "v2":
        with BehindProxy(issued, postfix_option) as postfix:
            assert seen(f"{postfix.target('smtp')}&proxy=v2").seen is Seen.SERVED


class BehindProxy(Postfix):
    """A Postfix that openssl cannot be asked about."""

    def _ready(self) -> bool:
        return seen(f"{self.target('smtp')}&proxy=v1").seen is Seen.SERVED


CLIENT_WANTED = "SSLProtocol {}\nSSLVerifyClient require\nSSLVerifyDepth 3\nSSLCACertificateFile {}"


@pytest.mark.parametrize(("setting", "version"), [("TLSv1.2", "TLSv1.2"), ("TLSv1.3", "TLSv1.3")])
def test_apache_that_wants_a_client_certificate(
    authority: Authority, issued: Issued, tmp_path: Path, setting: str, version: str
) -> None:
    """It has shown its own before it refuses us."""
    files, roots = issued.write(tmp_path / "tls"), authority.write(tmp_path / "roots")
    apache = Refusing(tmp_path / "apache", files.fullchain, files.key, more=CLIENT_WANTED.format(setting, roots))
    with apache:
        view = seen(f"https://{NAME}:{apache.port}?connect=127.0.0.1")
    assert (view.seen, view.version) == (Seen.SERVED, version), view
    assert b"".join(map(pem, view.shown)) == issued.fullchain_pem


class Refusing(Apache):
    """An Apache that no handshake of the tests' own comes to an end with."""

    def _ready(self) -> bool:
        return seen(f"https://{NAME}:{self.port}?connect=127.0.0.1").seen is not Seen.DOWN


@pytest.mark.soak
def test_others_that_want_a_client_certificate(authority: Authority, issued: Issued, tmp_path: Path) -> None:
    """HAProxy, slapd (GnuTLS) and Postfix, in TLS 1.2 as well."""
    roots = authority.write(tmp_path / "roots")
    roots.chmod(0o644)
    tmp_path.chmod(0o755)
    with Haproxy(issued, f"verify required ca-file {roots} ssl-max-ver TLSv1.2") as haproxy:
        assert (haproxy_view := seen(haproxy.target())).seen is Seen.SERVED, haproxy_view
    demanding = ("TLSVerifyClient demand", "TLSCipherSuite NORMAL:-VERS-TLS1.3")
    with Slapd(issued, *demanding) as slapd:
        for scheme in slapd.schemes:
            assert (view := seen(slapd.target(scheme))).seen is Seen.SERVED, view
            assert view.version == "TLSv1.2"
    with Postfix(issued, "smtpd_tls_req_ccert = yes", "smtpd_tls_security_level = encrypt") as postfix:
        assert (view := seen(postfix.target("smtps"))).seen is Seen.SERVED, view


@pytest.mark.soak
def test_a_wrong_key_is_not_served(authority: Authority, issued: Issued) -> None:
    """Postfix with another key than its certificate's has no STARTTLS any more: it answers, and shows nothing."""
    with Postfix(issued) as postfix:
        files = postfix.tls / "combined.pem"
        files.write_bytes(authority.issue([NAME]).key_pem + issued.fullchain_pem)
        assert run(postfix.activate) == 0
        wait_until(lambda: seen(postfix.target("smtp")).seen is Seen.NO_TLS, "STARTTLS is gone", SECONDS)
        assert "answers STARTTLS" in seen(postfix.target("smtp")).problem


def test_no_anonymous_cipher_is_offered(issued: Issued) -> None:
    """Postfix offers them, and here prefers its own order."""
    with Postfix(issued, "tls_preempt_cipherlist = yes", "smtpd_tls_protocols = >=TLSv1.2, <=TLSv1.2") as postfix:
        view = seen(postfix.target("smtp"))
    assert (view.seen, view.version, len(view.shown)) == (Seen.SERVED, "TLSv1.2", 2), view


PROTOCOLS = {"both": "", "old": "ssl_protocols TLSv1.2;", "new": "ssl_protocols TLSv1.3;"}


@pytest.fixture
def pairs(authority: Authority) -> dict[KeyType, Issued]:
    """Two certificates for one name."""
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return {"rsa": authority.issue([NAME], rsa_key), "ecdsa": authority.issue([NAME])}


@contextmanager
def two_pairs(pairs: dict[KeyType, Issued], folder: Path, protocols: str) -> Iterator[tuple[Nginx, str]]:
    """An nginx with both, and a target for it."""
    one, other = (issued.write(folder / key_type) for key_type, issued in pairs.items())
    more = f"ssl_certificate {other.fullchain}; ssl_certificate_key {other.key}; {PROTOCOLS[protocols]}"
    with Nginx(folder / "nginx", one.fullchain, one.key, more=more) as nginx:
        yield nginx, f"https://{NAME}:{nginx.port}?connect=127.0.0.1"


@pytest.mark.parametrize("protocols", ["both", "old", "new"])
def test_each_type_of_key_is_asked_for(pairs: dict[KeyType, Issued], tmp_path: Path, protocols: str) -> None:
    """nginx has an RSA and an ECDSA certificate for one name."""
    with two_pairs(pairs, tmp_path, protocols) as (nginx, target):
        for key_type, issued in pairs.items():
            view = seen(target, key_type)
            assert (view.seen, pem(view.shown[0])) == (Seen.SERVED, issued.cert_pem)
        assert nginx.alive()


def test_a_type_that_is_not_shown(issued: Issued, tmp_path: Path) -> None:
    """In TLS 1.3 alone no cipher says that there is none: it is unknown, not wrong, and the service is there."""
    files = issued.write(tmp_path / "tls")
    with Nginx(tmp_path / "nginx", files.fullchain, files.key, more=PROTOCOLS["new"]) as nginx:
        view = seen(f"https://{NAME}:{nginx.port}?connect=127.0.0.1", "rsa")
    assert (view.seen, view.listens) == (Seen.UNKNOWN, True)
    assert view.problem.endswith("shows no RSA certificate (it ends the handshake (handshake failure))")


def test_a_service_with_one_type_shows_it_to_all(issued: Issued, tmp_path: Path) -> None:
    """Asked for RSA, it shows the ECDSA certificate that it has: another certificate, and so it is judged."""
    files = issued.write(tmp_path / "tls")
    with Nginx(tmp_path / "nginx", files.fullchain, files.key) as nginx:
        view = seen(f"https://{NAME}:{nginx.port}?connect=127.0.0.1", "rsa")
    assert (view.seen, pem(view.shown[0])) == (Seen.SERVED, issued.cert_pem)


def test_types_of_keys(pairs: dict[KeyType, Issued]) -> None:
    """Seen without the library for X.509, in certificates and in keys of all forms."""
    for key_type, issued in pairs.items():
        assert key_type_of(ssl_der(issued.cert_pem.decode())) == key_type
        assert key_type_in(issued.key_pem) == key_type
        old_form = subprocess.run(
            ["openssl", "pkey", "-traditional"], input=issued.key_pem, capture_output=True, check=True
        ).stdout
        assert key_type_in(old_form) == key_type
    assert key_type_in(b"") == ""
    assert key_type_in(b"-----BEGIN PRIVATE KEY-----\n?!\n-----END PRIVATE KEY-----") == ""
