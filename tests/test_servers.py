"""The servers the other tests rely on do what they promise."""

import math
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.query
import dns.rcode
import dns.tsig
import dns.tsigkeyring
import dns.update
import pymysql
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.verification import PolicyBuilder, Store

from tests.servers import mariadb_folder
from tests.servers.apache import Apache
from tests.servers.authority import Authority, Files
from tests.servers.bind import Bind
from tests.servers.database import Database
from tests.servers.lab import Lab
from tests.servers.mariadb import MariaDatabase, MariaDB
from tests.servers.network import Network
from tests.servers.nginx import Nginx
from tests.servers.pebble import Pebble
from tests.servers.ports import free_port, release_port
from tests.servers.process import MissingProgram, Process, ServerFailed, accepts_tcp, program, wait_until

ROOT = Path(__file__).parents[1]
ZONE = "shop.example.test"
CHALLENGE = f"_acme-challenge.{ZONE}"


def update(bind: Bind, key: Path, zone: str, owner: str, value: str, *, rdtype: str = "TXT") -> str:
    """Send one signed update and say how the server answered it."""
    words = key.read_text(encoding="ascii").replace('"', " ").replace(";", " ").split()
    name, algorithm, secret = (words[words.index(word) + 1] for word in ("key", "algorithm", "secret"))
    message = dns.update.UpdateMessage(zone, keyring=dns.tsigkeyring.from_text({name: (algorithm, secret)}))
    message.replace(f"{owner}.", 1, rdtype, value)
    return dns.rcode.to_text(dns.query.tcp(message, bind.address, port=bind.port, timeout=5).rcode())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network")
def test_a_network_of_ones_own() -> None:
    """Inside, every port is free on the addresses asked for and nothing leads out; afterwards all is as before."""
    link = Path("/proc/thread-self/ns/net")
    before = os.readlink(link)
    with Network(["127.0.1.1", "fd00:53::1"]):
        assert os.readlink(link) != before
        for family, address in ((socket.AF_INET, "127.0.1.1"), (socket.AF_INET6, "fd00:53::1")):
            with socket.create_server((address, 53), family=family) as server:
                assert server.getsockname()[1] == 53
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, pytest.raises(OSError, match="unreachable"):
            probe.connect(("192.0.2.1", 53))
        assert subprocess.run(["readlink", link], capture_output=True, check=True).stdout.decode().strip() != before
    assert os.readlink(link) == before


def test_a_port_is_never_given_out_twice() -> None:
    """Another process is not offered a port this one holds, and may have it once it is released."""
    port = free_port()
    script = f"from tests.servers.ports import _promise; print(_promise({port}))"

    def offered_elsewhere() -> str:
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert offered_elsewhere() == "False"
    release_port(port)
    assert offered_elsewhere() == "True"


def test_a_missing_program_is_named_with_its_package() -> None:
    """Who lacks a server is told what to install."""
    with pytest.raises(MissingProgram, match="install the Debian package bind9-nowhere"):
        program("named-nowhere", "bind9-nowhere")


def test_a_server_that_ends_shows_its_log(tmp_path: Path) -> None:
    """A server that dies while it is waited for fails at once, with what it said last."""
    process = Process(["/bin/sh", "-c", "echo the reason why; exit 3"], tmp_path / "log")
    process.start()
    with pytest.raises(ServerFailed, match="the reason why"):
        process.wait_tcp("127.0.0.1", 1)


def test_a_server_that_ends_is_reaped_at_once(tmp_path: Path) -> None:
    """Nobody has to look: a dead server takes no signals, and what it had started is gone."""
    process = Process(["/bin/sh", "-c", "sleep 600 & echo $! && exec sleep 0.01"], tmp_path / "log")
    process.start()
    pid = process.pid
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the process is reaped")
    worker = int((tmp_path / "log").read_text(encoding="ascii"))
    wait_until(lambda: not command_line(worker), "its worker is ended")
    process.stop()


def command_line(pid: int) -> bytes:
    """What a process runs; nothing when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def test_a_server_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Killing the tests leaves nothing running."""
    port = free_port()
    script = (
        "import os, signal; from pathlib import Path; from tests.servers.bind import Bind;"
        f"Bind(Path({str(tmp_path)!r}), port={port}).start();"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: not accepts_tcp("127.0.0.1", port), "named has ended")
    release_port(port)


def test_an_authority_makes_chains_that_verify() -> None:
    """A strict verifier accepts leaf and intermediate, for DNS names and addresses, and refuses an expired leaf."""
    root = Authority("Test Root")
    below = root.intermediate("Test Intermediate")
    verifier = PolicyBuilder().store(Store([root.certificate])).build_server_verifier(x509.DNSName("www.example.test"))
    issued = below.issue(["www.example.test", "127.0.0.1"])
    assert len(verifier.verify(issued.certificate, [below.certificate])) == 3
    assert issued.chain_pem == below.pem
    assert root.issue(["a.test"]).chain_pem == b""
    old = below.issue(["www.example.test"], days=1, not_before=datetime.now(UTC) - timedelta(days=2))
    with pytest.raises(x509.verification.VerificationError):
        verifier.verify(old.certificate, [below.certificate])


def test_an_authority_takes_keys_and_writes_them_closed(tmp_path: Path) -> None:
    """A given key is used, and its file is readable by its owner only."""
    key = rsa.generate_private_key(65537, 2048)
    issued = Authority("Test Root").issue(["a" * 60 + ".example.test"], key=key)
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert issued.certificate.public_key().public_bytes(*spki) == key.public_key().public_bytes(*spki)
    files = issued.write(tmp_path)
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    assert files.fullchain.read_bytes() == issued.fullchain_pem


def test_bind_lets_a_key_write_its_name_and_nothing_else(bind: Bind) -> None:
    """The update-policy allows TXT at the challenge name; another name, type or zone is refused."""
    key = bind.tsig_key("shop", "hmac-sha512")
    other = bind.tsig_key("other")
    bind.static_zone("example.test", ["www A 127.0.0.1"])
    bind.dynamic_zone(ZONE, "shop")
    bind.dynamic_zone("_acme-challenge.www.example.test", "shop")
    bind.reconfigure()
    assert update(bind, key, ZONE, CHALLENGE, "one") == "NOERROR"
    assert bind.txt(CHALLENGE) == {"one"}
    assert update(bind, key, ZONE, f"www.{ZONE}", "one") == "REFUSED"
    assert update(bind, key, ZONE, CHALLENGE, "127.0.0.1", rdtype="A") == "REFUSED"
    assert update(bind, other, ZONE, CHALLENGE, "two") == "REFUSED"
    assert update(bind, key, "example.test", "_acme-challenge.example.test", "one") == "REFUSED"
    own = "_acme-challenge.www.example.test"
    assert update(bind, key, own, own, "three") == "NOERROR"
    assert bind.txt(own) == {"three"}
    bind.restart()
    assert bind.txt(CHALLENGE) == {"one"}


def test_bind_takes_a_hundred_zones_at_once(bind: Bind) -> None:
    """Many zones cost one reconfiguration."""
    bind.tsig_key("acme")
    for number in range(100):
        bind.dynamic_zone(f"z{number}.example.test", "acme")
    bind.reconfigure()
    assert all(bind.serial(f"z{number}.example.test") == 1 for number in range(100))


def test_a_rewritten_static_zone_is_served_at_once(bind: Bind) -> None:
    """Describing a hand-written zone again replaces it, however soon."""
    for value in ("one", "two", "three"):
        bind.static_zone("example.test", [f'@ TXT "{value}"'])
        bind.reconfigure()
        assert bind.txt("example.test") == {value}


def test_secondaries_follow_lag_or_wait(bind: Bind, tmp_path: Path) -> None:
    """One secondary follows at once, one lags by two seconds, one waits until it is told."""
    key = bind.tsig_key("acme")
    bind.dynamic_zone(ZONE, "acme")
    bind.reconfigure()
    with (
        Bind(tmp_path / "prompt", secondary_of=bind) as prompt,
        Bind(tmp_path / "late", secondary_of=bind, lag_seconds=2) as late,
        Bind(tmp_path / "told", secondary_of=bind, lag_seconds=math.inf) as told,
    ):
        update(bind, key, ZONE, CHALLENGE, "value")
        changed = time.monotonic()
        wait_until(lambda: prompt.txt(CHALLENGE) == {"value"}, "the prompt secondary has the value", 1.5)
        assert late.txt(CHALLENGE) == set()
        wait_until(lambda: late.txt(CHALLENGE) == {"value"}, "the late secondary has the value")
        assert time.monotonic() - changed == pytest.approx(2, abs=0.9)
        assert told.txt(CHALLENGE) == set()
        told.refresh()
        assert told.txt(CHALLENGE) == {"value"}


def test_secondaries_get_zones_described_later(bind: Bind, tmp_path: Path) -> None:
    """A zone added to a running primary reaches its secondary with the same reconfiguration."""
    with Bind(tmp_path / "secondary", secondary_of=bind) as secondary:
        bind.static_zone("late.test", ['@ TXT "here"'])
        bind.reconfigure()
        assert secondary.txt("late.test") == {"here"}


def test_pebble_answers_with_trust_and_forgets_its_root(lab: Lab) -> None:
    """The directory is served with a certificate its own CA file verifies; a restart makes a new root."""
    root = x509.load_pem_x509_certificate(lab.pebble.root())
    x509.load_pem_x509_certificate(lab.pebble.intermediate()).verify_directly_issued_by(root)
    trust = ssl.create_default_context(cafile=str(lab.pebble.ca_file))
    with (
        socket.create_connection(("127.0.0.1", lab.pebble.port), timeout=5) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        secured.sendall(b"GET /dir HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert secured.recv(4096).startswith(b"HTTP/1.0 200 OK")
    lab.pebble.stop()
    lab.pebble.start()
    assert lab.pebble.root() != root.public_bytes(Encoding.PEM)


def test_pebble_offers_other_roots_when_asked(tmp_path: Path) -> None:
    """Alternate roots and Pebble's own defaults are a matter of parameters."""
    with Pebble(tmp_path, "127.0.0.1:1", nosleep=None, nonce_reject=None, alternate_roots=1) as pebble:
        assert pebble.root(1) != pebble.root(0)


def test_a_database_is_empty_and_reachable(database: Database) -> None:
    """Both engines give a test its own database; what it writes is there for the next connection."""
    database.execute("CREATE TABLE t (a INTEGER)")
    database.execute("INSERT INTO t VALUES (7)")
    assert list(database.query("SELECT a FROM t")) == [(7,)]
    assert database.url.startswith("sqlite:////") or "@localhost:" in database.url


def connect(database: MariaDatabase, context: ssl.SSLContext | None) -> "pymysql.Connection[pymysql.cursors.Cursor]":
    """Log in as the database's own user, with this trust or without TLS."""
    return pymysql.connect(
        host=database.server.host,
        port=database.server.port,
        user=database.user,
        password=database.password_file.read_text(encoding="utf-8").strip(),
        database=database.name,
        ssl=context,
        ssl_disabled=context is None,
    )


def test_mariadb_wants_tls_and_can_be_verified(mariadb: MariaDB) -> None:
    """A database's user gets in by verified TLS, not without TLS, and the wrong authority is noticed."""
    database = mariadb.create_database()
    with connect(database, ssl.create_default_context(cafile=str(database.tls_ca))) as connection:
        cursor = connection.cursor()
        cursor.execute("SHOW STATUS LIKE 'Ssl_version'")
        assert cursor.fetchall() == (("Ssl_version", "TLSv1.3"),)
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        connect(database, None)
    stranger = ssl.create_default_context(cadata=Authority("Stranger").pem.decode())
    with pytest.raises(pymysql.err.OperationalError, match="CERTIFICATE_VERIFY_FAILED"):
        connect(database, stranger)
    assert stat.S_IMODE(database.password_file.stat().st_mode) == 0o600


def test_a_second_mariadb_stops_starts_crashes_and_refuses_writes() -> None:
    """Committed rows survive a stop and a crash; read_only binds the database's user."""
    with MariaDB(options=["--max-connections=11"]) as server:
        database = server.create_database("named_database")
        database.execute("CREATE TABLE t (a INT)")
        server.stop()
        with pytest.raises(OSError):
            database.query("SELECT 1")
        server.start()
        database.execute("INSERT INTO t VALUES (1)")
        server.kill()
        server.start()
        assert database.query("SELECT a, @@max_connections FROM t") == [(1, 11)]
        server.read_only(True)
        trust = ssl.create_default_context(cafile=str(database.tls_ca))
        with connect(database, trust) as connection, connection.cursor() as cursor:
            with pytest.raises(pymysql.err.OperationalError, match="read-only"):
                cursor.execute("INSERT INTO t VALUES (2)")
            server.read_only(False)
            cursor.execute("INSERT INTO t VALUES (3)")
    assert not server.folder.exists()


def test_what_a_killed_mariadb_left_is_removed_by_the_next(mariadb: MariaDB) -> None:
    """A folder whose process was killed is removed, one in use is not."""
    script = (
        "import os, signal; from tests.servers.mariadb_folder import make_folder;"
        "print(make_folder('test'), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True, timeout=30)
    abandoned = Path(done.stdout.decode().strip())
    mariadb_folder.remove_folder(mariadb_folder.make_folder("test"))
    assert abandoned.name.startswith(mariadb_folder.PREFIX)
    assert not abandoned.exists()
    assert mariadb.sql("SELECT 1") == [(1,)]


@pytest.fixture
def authority() -> Authority:
    """An intermediate, so that chains have two certificates."""
    return Authority("Test Root").intermediate("Test Intermediate")


def run(command: list[str]) -> int:
    """Run what an agent would run."""
    return subprocess.run(command, check=False, capture_output=True, timeout=20).returncode


def serves(server: Nginx | Apache, certificate: x509.Certificate) -> bool:
    """Whether a client gets this certificate now; a server that is just starting may refuse it."""
    try:
        return server.served() == certificate
    except OSError:
        return False


@pytest.mark.parametrize("kind", [Nginx, Apache])
def test_web_servers_take_a_new_certificate(
    kind: type[Nginx] | type[Apache], authority: Authority, tmp_path: Path
) -> None:
    """Each serves what lies in the files at the start, and after `activate` what lies there then."""
    first, second = (authority.issue(["localhost"]) for _ in range(2))
    files = first.write(tmp_path / "tls")
    with kind(tmp_path / "server", files.fullchain, files.key) as server:
        assert server.served() == first.certificate
        second.write(tmp_path / "tls")
        assert run(server.check) == 0
        assert run(server.activate) == 0
        wait_until(lambda: serves(server, second.certificate), "the new certificate is served")
    assert not server.alive()


def mismatched(authority: Authority, folder: Path) -> Files:
    """A certificate beside a key that is not its own."""
    files = authority.issue(["localhost"]).write(folder)
    files.key.write_bytes(authority.issue(["localhost"]).key_pem)
    return files


def test_nginx_refuses_a_wrong_key_and_goes_on(authority: Authority, tmp_path: Path) -> None:
    """nginx's check notices a key that does not fit, and a reload keeps the old certificate."""
    first = authority.issue(["localhost"])
    files = first.write(tmp_path / "tls")
    with Nginx(tmp_path / "nginx", files.fullchain, files.key) as server:
        mismatched(authority, tmp_path / "tls")
        assert run(server.check) == 1
        run(server.activate)
        assert server.alive()
        assert server.served() == first.certificate


def test_apache_accepts_a_wrong_key_and_dies_of_it(authority: Authority, tmp_path: Path) -> None:
    """Apache's check is content, the restart ends it; with the old files `activate` brings it back, `stop` ends it."""
    first = authority.issue(["localhost"])
    files = first.write(tmp_path / "tls")
    server = Apache(tmp_path / "apache", files.fullchain, files.key)
    with server:
        mismatched(authority, tmp_path / "tls")
        assert run(server.check) == 0
        assert run(server.activate) == 0
        wait_until(lambda: not server.alive(), "apache2 has died of the wrong key")
        first.write(tmp_path / "tls")
        assert run(server.activate) == 0
        wait_until(lambda: serves(server, first.certificate), "apache2 is back")
    assert not server.alive()


def test_apache_just_started_in_the_background_is_stopped(authority: Authority, tmp_path: Path) -> None:
    """`stop` ends an Apache that `activate` has started a moment ago."""
    files = authority.issue(["localhost"]).write(tmp_path / "tls")
    with Apache(tmp_path / "apache", files.fullchain, files.key) as server:
        os.kill(int((tmp_path / "apache" / "pid").read_text(encoding="ascii")), signal.SIGTERM)
        wait_until(lambda: not server.alive(), "apache2 has ended")
        assert run(server.activate) == 0
    with pytest.raises(ServerFailed):
        wait_until(lambda: accepts_tcp("127.0.0.1", server.port), "apache2 comes back after all", 0.3)


def test_apache_started_by_activate_after_a_stop_is_stopped(authority: Authority, tmp_path: Path) -> None:
    """`close` ends also an Apache that only `activate` has started, without `start`."""
    files = authority.issue(["localhost"]).write(tmp_path / "tls")
    with Apache(tmp_path / "apache", files.fullchain, files.key) as server:
        server.stop()
        assert run(server.activate) == 0
        wait_until(server.alive, "apache2 is back")
    assert not accepts_tcp("127.0.0.1", server.port)


def test_apache_in_the_background_ends_with_the_tests(authority: Authority, tmp_path: Path) -> None:
    """An Apache that `activate` has started is ended too when the tests are killed."""
    files = authority.issue(["localhost"]).write(tmp_path / "tls")
    script = (
        "import os, signal, subprocess; from pathlib import Path; from tests.servers.apache import Apache;"
        "from tests.servers.process import wait_until;"
        f"server = Apache(*map(Path, {[str(tmp_path / 'apache'), str(files.fullchain), str(files.key)]!r}));"
        "server.start(); server._process.stop(); subprocess.run(server.activate);"
        "wait_until(server.alive, 'apache2 is back');"
        "print(server.port, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True, timeout=30)
    port = int(done.stdout.split()[-1])
    wait_until(lambda: not accepts_tcp("127.0.0.1", port), "apache2 in the background has ended")


def test_nginx_serves_a_webroot_over_plain_http(authority: Authority, tmp_path: Path) -> None:
    """What lies in the webroot is served at the http-01 path, from folders closed to other accounts."""
    files = authority.issue(["localhost"]).write(tmp_path / "tls")
    challenges = tmp_path / "web" / ".well-known" / "acme-challenge"
    challenges.mkdir(parents=True)
    (challenges / "token").write_text("token.thumbprint", encoding="ascii")
    with Nginx(tmp_path / "nginx", files.fullchain, files.key, http_webroot=tmp_path / "web") as server:
        assert server.http_port is not None
        with closing(socket.create_connection(("127.0.0.1", server.http_port), timeout=5)) as connection:
            connection.sendall(b"GET /.well-known/acme-challenge/token HTTP/1.0\r\n\r\n")
            with connection.makefile("rb") as answer:
                assert answer.read().endswith(b"token.thumbprint")
    assert os.listdir(challenges) == ["token"]
