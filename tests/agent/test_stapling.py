"""`check` reads how Apache, nginx and HAProxy staple: real daemons show their configuration, `openssl ocsp` answers."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from agent.commands.stapling import stapling_lines
from agent.host.configuration import content_of, end_of, environment_of, output_of, texts_of
from agent.host.responders import ways_to
from agent.settings.config import load_settings
from common.check_line import BAD, OK, WARN, Level, Line
from tests.servers.apache import MODULES, Apache
from tests.servers.authority import Authority, Issued
from tests.servers.haproxy import Haproxy
from tests.servers.nginx import Nginx
from tests.servers.ports import LOOPBACK, free_port, release_port
from tests.servers.process import ServerFailed, program, wait_until
from tests.servers.responder import Responder
from tests.servers.revocation import answered_at, response
from tests.servers.stopwatch import Stopwatch

MUST_STAPLE = x509.TLSFeature([x509.TLSFeatureType.status_request])
CACHE = f"LoadModule socache_shmcb_module {MODULES}/mod_socache_shmcb.so\n"
SAFE = "SSLStaplingReturnResponderErrors off\nSSLStaplingFakeTryLater off\nSSLStaplingResponderTimeout 1\n"


@dataclass(frozen=True)
class Ground:
    """An authority with its responder, and certificates: one that names the responder, one that names none, one that
    must be served with a staple."""

    authority: Authority
    responder: Responder
    named: Issued
    silent: Issued
    must: Issued


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    root = Authority("Root")
    authority = root.intermediate("Intermediate")
    port = free_port()
    url = f"http://{LOOPBACK}:{port}/"
    named = authority.issue(["localhost"], more=[answered_at(url)])
    must = authority.issue(["localhost"], more=[answered_at(url), MUST_STAPLE])
    silent = authority.issue(["localhost"])
    known = [named.certificate, must.certificate]
    folder = tmp_path_factory.mktemp("responder")
    (folder / "index.txt.attr").write_text("unique_subject = no\n")
    with Responder(folder, authority, port, good=known) as responder:
        yield Ground(authority, responder, named, silent, must)
    release_port(port)


def found(folder: Path, service: str, check: list[str]) -> list[Line]:
    """The findings of `check` about stapling for one service."""
    config = folder / "agent.toml"
    lines = [f'state_dir = "{folder}"', "[source]", f'url = "sqlite:///{folder}/none.db"', "[[certificate]]"]
    lines += ['name = "www.example.org"', f'key = "{folder}/privkey.pem"', f'service = "{service}"', f"check = {check}"]
    config.write_text(
        "\n".join([*lines, 'probe = "https://www.example.org"', "[certificate.files]", 'fullchain = "/tmp/x"'])
    )
    settings, _ = load_settings(config)
    return list(stapling_lines(settings, config))


def kinds(lines: list[Line]) -> set[tuple[Level, str]]:
    return {(line.level, line.kind) for line in lines}


def apache(folder: Path, issued: Issued, more: str) -> Apache:
    files = issued.write(folder / "tls")
    return Apache(folder, files.fullchain, files.key, more=more)


def ask_for_staple(port: int) -> None:
    """A handshake of a client that wants one; however long that takes."""
    command = [program("openssl", "openssl"), "s_client", "-connect", f"{LOOPBACK}:{port}", "-status"]
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)


def line_of(folder: Path, name: str, words: str) -> str:
    """Where a file has these words, as findings say it."""
    lines = (folder / name).read_text().splitlines()
    return f"{folder / name}:{next(number for number, line in enumerate(lines, start=1) if words in line)}"


def test_apache_all_is_well(tmp_path: Path, ground: Ground) -> None:
    more = f"{CACHE}SSLStaplingCache shmcb:{tmp_path}/staple(32768)\nSSLUseStapling on\n{SAFE}"
    with apache(tmp_path, ground.named, more) as server:
        lines = found(tmp_path, "apache", server.check)
    assert kinds(lines) == {(OK, "stapling")}, lines


def test_apache_the_certificate_names_no_responder(tmp_path: Path, ground: Ground) -> None:
    """The line to delete stands in an included file."""
    (tmp_path / "own.conf").write_text("# ours\n<IfModule mod_ssl.c>\nSSLUseStapling on\n</IfModule>\n")
    more = f"{CACHE}SSLStaplingCache shmcb:{tmp_path}/staple(32768)\nInclude {tmp_path}/own.conf\n"
    server = apache(tmp_path, ground.silent, more)
    (line,) = found(tmp_path, "apache", server.check)
    server.close()
    assert (line.level, line.kind) == (WARN, "stapling-without-responder")
    assert line.sentence.startswith(f"{tmp_path}/own.conf:3 turns stapling on")
    assert f"delete `SSLUseStapling` in {tmp_path}/own.conf:3" in line.hint


def test_apache_whose_responder_hangs(tmp_path: Path, ground: Ground) -> None:
    """A real handshake waits for it; the log has the symptom, and the finding says how long this host waited."""
    more = f"{CACHE}SSLStaplingCache shmcb:{tmp_path}/staple(32768)\nSSLUseStapling on\nSSLStaplingResponderTimeout 1\n"
    with apache(tmp_path, ground.named, more) as server:
        ground.responder.freeze()
        try:
            ask_for_staple(server.port)
            lines = found(tmp_path, "apache", server.check)
        finally:
            ground.responder.thaw()
    assert {(BAD, "responder-away"), (WARN, "stapling-not-safe"), (WARN, "stapling-symptom")} <= kinds(lines), lines
    away = next(line for line in lines if line.kind == "responder-away")
    assert "IPv4: no answer within 1 s" in away.sentence
    assert line_of(tmp_path, "apache2.conf", "SSLUseStapling") in away.hint
    unsafe = next(line for line in lines if line.kind == "stapling-not-safe")
    assert "SSLStaplingReturnResponderErrors off" in unsafe.hint
    assert "SSLStaplingResponderTimeout" not in unsafe.hint
    assert any("AH01941" in line.sentence for line in lines)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("SSLUseStapling on\n" + SAFE, "there is no SSLStaplingCache: the next start fails"),
        (
            f"SSLStaplingCache shmcb:/tmp/staple(32768)\nSSLUseStapling on\n{SAFE}",
            "needs the module socache_shmcb_module, which is not loaded",
        ),
    ],
    ids=["no cache", "no module"],
)
def test_apache_that_would_not_start(tmp_path: Path, ground: Ground, more: str, says: str) -> None:
    """Found before: it is no Apache that runs."""
    server = apache(tmp_path, ground.named, more)
    lines = found(tmp_path, "apache", server.check)
    with pytest.raises(ServerFailed), server:
        pass
    server.close()
    assert [line.kind for line in lines if line.level == BAD] == ["stapling-cache"], lines
    assert says in lines[0].sentence


def test_apache_cache_without_a_folder(tmp_path: Path, ground: Ground) -> None:
    more = f"{CACHE}SSLStaplingCache shmcb:{tmp_path}/gone/staple(32768)\nSSLUseStapling on\n{SAFE}"
    (line,) = found(tmp_path, "apache", apache(tmp_path, ground.named, more).check)
    assert (line.level, line.kind) == (WARN, "stapling-cache")
    assert f"no folder {tmp_path}/gone" in line.sentence


def test_must_staple_without_stapling(tmp_path: Path, ground: Ground) -> None:
    (line,) = found(tmp_path, "apache", apache(tmp_path, ground.must, "").check)
    assert (line.level, line.kind) == (BAD, "must-staple")
    assert "stapling is not on" in line.sentence


def nginx(folder: Path, issued: Issued, more: str) -> Nginx:
    files = issued.write(folder / "tls")
    return Nginx(folder, files.fullchain, files.key, more=more)


def test_nginx_all_is_well(tmp_path: Path, ground: Ground) -> None:
    with nginx(tmp_path, ground.must, "ssl_stapling on;") as server:
        lines = found(tmp_path, "nginx", server.check)
    assert kinds(lines) == {(OK, "stapling")}, lines


def test_nginx_whose_certificate_names_no_responder(tmp_path: Path, ground: Ground) -> None:
    """The switch stands around the server, in a file that a pattern includes."""
    server = nginx(tmp_path, ground.silent, f"include {tmp_path}/parts/*.conf;")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "tls.conf").write_text("\n\nssl_stapling on;\n")
    (line,) = found(tmp_path, "nginx", server.check)
    server.close()
    assert (line.level, line.kind) == (WARN, "stapling-without-responder")
    assert f"delete `ssl_stapling` in {tmp_path}/parts/tls.conf:3" in line.hint


def test_nginx_whose_responder_is_gone_and_comes_back(tmp_path: Path, ground: Ground) -> None:
    """Gone: turn it off. Off: it is still gone. It answers again: turn it on again."""
    on = nginx(tmp_path / "on", ground.named, "ssl_stapling on;")
    off = nginx(tmp_path / "off", ground.named, "ssl_stapling off;")
    ground.responder.stop()
    try:
        (gone,) = found(tmp_path / "on", "nginx", on.check)
        (still,) = found(tmp_path / "off", "nginx", off.check)
    finally:
        ground.responder.start()
    (again,) = found(tmp_path / "off", "nginx", off.check)
    assert (gone.level, gone.kind) == (BAD, "responder-away")
    assert "IPv4: connection refused" in gone.sentence
    assert (still.level, still.kind) == (OK, "stapling-off")
    assert (again.level, again.kind) == (WARN, "stapling-again")
    assert line_of(tmp_path / "off", "nginx.conf", "ssl_stapling") in again.hint
    for server in (on, off):
        server.close()


def ended(ground: Ground, issued: Issued) -> bytes:
    """A staple that was good until last week."""
    since = datetime.now(UTC) - timedelta(days=14)
    return response(ground.authority, issued.certificate, since=since, for_days=7)


def test_nginx_stale_staple(tmp_path: Path, ground: Ground) -> None:
    staple = tmp_path / "staple.der"
    server = nginx(tmp_path, ground.named, f"ssl_stapling on; ssl_stapling_file {staple};")
    staple.write_bytes(ended(ground, ground.named))
    (old,) = found(tmp_path, "nginx", server.check)
    staple.write_bytes(response(ground.authority, ground.silent.certificate))
    (foreign,) = found(tmp_path, "nginx", server.check)
    staple.write_bytes(response(ground.authority, ground.named.certificate))
    (good,) = found(tmp_path, "nginx", server.check)
    server.close()
    assert (old.level, old.kind) == (WARN, "stale-staple")
    assert "it ended at" in old.sentence
    assert "it is about another certificate" in foreign.sentence
    assert good.level == OK


def test_haproxy_stale_staple(ground: Ground, tmp_path: Path) -> None:
    """It lies beside the certificate; of a must-staple certificate it matters more."""
    with Haproxy(ground.must) as server:
        staple = server.tls / "combined.pem.ocsp"
        check = [word for word in server.check if word != "-q"]
        (missing,) = found(tmp_path, "haproxy", check)
        staple.write_bytes(ended(ground, ground.must))
        (stale,) = found(tmp_path, "haproxy", check)
        staple.write_bytes(response(ground.authority, ground.must.certificate))
        (good,) = found(tmp_path, "haproxy", check)
    assert (missing.level, missing.kind) == (BAD, "must-staple")
    assert (stale.level, stale.kind) == (BAD, "stale-staple")
    assert str(staple) in stale.sentence
    assert good.level == OK


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """In containers a log is /dev/stdout; nobody writes into a pipe."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert end_of(str(pipe)) == ""
    assert texts_of([str(tmp_path), "/nonexistent", "/dev/zero"]) == {}
    with pytest.raises(OSError, match="not a regular file"):
        content_of(str(pipe))


@pytest.mark.parametrize(
    "script",
    ["sleep 1000 & echo $! >PID; sleep 1000", "echo $$ >PID; exec yes", "sleep 1000 & echo $! >PID"],
    ids=["hangs", "no-end", "left-behind"],
)
def test_a_command_that_does_not_end(script: str, tmp_path: Path) -> None:
    """Neither it nor what it has started holds `check` up, fills memory or stays."""
    pid = tmp_path / "pid"
    watch = Stopwatch()
    assert output_of(["sh", "-c", script.replace("PID", str(pid))], 1) == ""
    assert watch.seconds() < 20
    state = Path(f"/proc/{int(pid.read_text())}/stat")

    def ended() -> bool:
        try:
            return state.read_text().split()[2] == "Z"
        except (FileNotFoundError, ProcessLookupError):
            return True

    wait_until(ended, "the end of what it started")


@pytest.mark.parametrize("host", ["a..example", f"{'a' * 64}.example", "\xe9" * 64], ids=["empty", "long", "encoded"])
def test_a_responder_that_is_no_host(host: str) -> None:
    """Its name stands in a certificate; nobody is asked, and nothing is waited for."""
    watch = Stopwatch()
    ways = ways_to(f"http://{host}/", b"", 5)
    assert [way.problem for way in ways] == ["that is no http URL of a host"] * 2
    assert watch.seconds() < 4


def test_whose_environment_counts(open_folder: Path) -> None:
    """That of a program which root or we have started: a local user may call one of his own as he likes, also so that
    the kernel cuts its name within a letter."""
    sleep = shutil.which("sleep") or ""
    program, odd = (shutil.copy(sleep, open_folder / name) for name in ("stapling-test", "вебсервер"))
    with subprocess.Popen([odd, "60"]) as other:
        for user in (None, 65534) if os.geteuid() == 0 else (None,):
            process = subprocess.Popen([program, "60"], env={"WHERE": "/x"}, user=user)
            try:
                wait_until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "stapling-test\n", "it runs")  # noqa: B023
                assert environment_of(["stapling-test"]) == ({} if user else {"WHERE": "/x"})
            finally:
                process.kill()
                process.wait()
        other.kill()


def test_nginx_that_does_not_show_its_configuration(tmp_path: Path) -> None:
    """Before the first certificate its test fails, for a file that is not there: the finding names the command that
    says so."""
    program = tmp_path / "nginx"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "nginx.toml").write_text(f'programs = "{program}"\n')
    (line,) = found(tmp_path, "nginx", [str(program), "-t"])
    assert (line.level, line.kind) == (WARN, "stapling-unreadable")
    assert (
        f"see what `{program} -t -T` says: before the first run a file may be missing; run `check` as root" in line.hint
    )
