"""nginx and Apache serve what they are given, and fail as the real ones do."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509

from tests.servers.apache import Apache
from tests.servers.authority import Authority, Files
from tests.servers.nginx import Nginx
from tests.servers.process import ServerFailed, accepts_tcp, wait_until

ROOT = Path(__file__).parents[2]


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
