"""A database that is down, read-only, full or not migrated: a sentence, an exit code, and nothing lost."""

import math
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from issuer.model.config import DatabaseSettings
from issuer.model.errors import StoreError
from issuer.store import database
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from tests.issuer.box import ROOT, Box
from tests.issuer.signing_requests import csr
from tests.servers.bind import Bind
from tests.servers.ca_proxy import CaProxy, problem, times
from tests.servers.database import SqliteDatabase
from tests.servers.lab import Lab
from tests.servers.mysql import MAKES
from tests.servers.process import wait_until
from tests.servers.sql_server import SqlDatabase, SqlServer

NAME = "www.example.test"
# mounts that end with the process; an ordinary user needs a namespace in which he is root
PRIVATE_MOUNTS = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
READS = (["status"], ["run"], ["db", "status"])
WRITES = (
    ["populate", "other.example.test", "--csr", "-"],
    *(["enable", NAME], ["disable", NAME], ["remove", NAME, "--yes"], ["issue", NAME]),
)


@pytest.fixture(scope="module", params=MAKES)
def own_server(request: pytest.FixtureRequest) -> Iterator[SqlServer]:
    """A server that may be stopped without disturbing other tests."""
    with MAKES[request.param]() as server:
        yield server


@pytest.fixture
def server_box(lab: Lab, own_server: SqlServer, tmp_path: Path) -> Box:
    """A box over a server of its own, with one certificate enrolled."""
    box = Box(tmp_path / "box", own_server.create_database(), bind=lab.bind, pebble=lab.pebble)
    box.set_up()
    box.enrol(NAME)
    return box


def database_of(box: Box) -> SqlDatabase:
    assert isinstance(box.database, SqlDatabase)
    return box.database


def test_a_database_server_that_is_down(server_box: Box) -> None:
    """Every command says where the database should be and what to check, exit code 1; nothing is ordered."""
    server = database_of(server_box).server
    before = server_box.contents()
    server.stop()
    try:
        for words in (*READS, *WRITES):
            says = [f"the database at localhost:{server.port} did not do its work", "Connection refused"]
            says += ["check that the server runs"]
            server_box.refused(*words, code=1, says=says, stdin=csr(["other.example.test"]))
    finally:
        server.start()
    assert server_box.contents() == before
    server_box.ok("run")


def test_a_socket_that_nobody_listens_at(lone_box: Box) -> None:
    """There is no host and no port to look at: the hint names the socket."""
    socket = lone_box.folder / "mysqld.sock"
    lone_box.write(database={"url": f"mysql+pymysql://certfleet@localhost/certfleet?unix_socket={socket}"})
    child = lone_box.start("status")  # apart: PyMySQL leaves a socket open that did not connect
    _, err = child.communicate(timeout=60)
    assert (child.returncode, f"check that the server runs, that its socket is {socket}" in err) == (1, True), err
    assert "host and port" not in err


def test_a_database_that_goes_away_in_the_middle(server_box: Box, lab: Lab, tmp_path: Path) -> None:
    """Stopped while an order waits for DNS: the run ends with the reason, and the next one finishes the same order."""
    server = database_of(server_box).server
    with Bind(tmp_path / "secondary", secondary_of=lab.bind, lag_seconds=math.inf) as secondary:
        server_box.write(dns={"nameservers": [secondary.endpoint]})
        process = server_box.start("run")
        wait_until(lambda: [state for state, _ in server_box.orders()] == ["PUBLISHED"], "it is published")
        server.stop()
        secondary.refresh()
        try:
            out, err = process.communicate(timeout=60)
        finally:
            server.start()
        assert process.returncode == 1
        assert "Traceback" not in out + err
        assert f"{NAME}: failed: the database at localhost:{server.port} did not do its work" in err
        [(state, url)] = server_box.orders()
        assert state == "PUBLISHED"
        server_box.ok("run")
    assert server_box.orders() == [("STORED", url)]
    assert server_box.txt(NAME) == set()
    assert server_box.database.query("SELECT COUNT(*) FROM challenges") == [(0,)]


@pytest.mark.soak
def test_a_server_that_restarts_in_the_middle(server_box: Box, lab: Lab, tmp_path: Path) -> None:
    """The run stays for the next attempt, as after any failure, and finishes the same order."""
    server = database_of(server_box).server
    with Bind(tmp_path / "secondary", secondary_of=lab.bind, lag_seconds=math.inf) as secondary:
        server_box.write(dns={"nameservers": [secondary.endpoint]}, renewal={"retry": ["2s"], "max_run": "60s"})
        process = server_box.start("run")
        wait_until(lambda: [state for state, _ in server_box.orders()] == ["PUBLISHED"], "it is published")
        [(_, url)] = server_box.orders()
        server.stop()
        secondary.refresh()
        assert process.stdout is not None
        assert "failed; next attempt" in process.stdout.readline()
        server.start()
        out, err = process.communicate(timeout=60)
    assert f"{NAME}: stored" in out, err
    assert process.returncode == 0
    assert server_box.orders() == [("STORED", url)]
    assert server_box.txt(NAME) == set()


def test_a_file_that_another_program_keeps_locked(lone_box: Box) -> None:
    """Looking goes on beside it; what writes gives up after a while, and says how to find the other program."""
    lone_box.populate(NAME)
    assert isinstance(lone_box.database, SqliteDatabase)
    with closing(sqlite3.connect(lone_box.database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        lone_box.ok("status")
        ours = Database(DatabaseSettings(lone_box.database.url), locked_seconds=0.2)
        with pytest.raises(StoreError, match="database is locked") as caught:
            Certificates(ours).set_enabled([NAME], enabled=True, now=1)
        assert "fuser" in caught.value.hint
    lone_box.ok("enable", NAME)


def test_a_read_only_server(server_box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """With read_only on, looking works and every change is refused with the hint at the primary; nothing is ordered."""
    server = database_of(server_box).server
    before = server_box.contents()
    monkeypatch.setattr(database, "_TRIES", 3)  # a switch-over is waited for in test_read_only_servers.py
    server.read_only(True)
    try:
        server_box.ok("status")
        for words in WRITES:
            says = ["read-only", "start or name the primary"]
            server_box.refused(*words, code=1, says=says, stdin=csr(["other.example.test"]))
        server_box.fails("run", says=["read-only"])
    finally:
        server.read_only(False)
    assert server_box.contents() == before
    server_box.ok("run")


def test_a_password_that_is_wrong(server_box: Box) -> None:
    """The server's own word and where to look; the password is not repeated."""
    secret = server_box.folder / "password"
    secret.touch(mode=0o600)
    secret.write_text("not-this-one\n", encoding="ascii")
    server_box.write(database={"password_file": str(secret)})
    outcome = server_box.refused("status", code=1, says=["Access denied", "check user, password_file"])
    assert "not-this-one" not in outcome.err


@pytest.mark.parametrize("words", [*READS, *WRITES], ids=" ".join)
def test_a_database_that_was_not_migrated(tmp_path: Path, words: list[str]) -> None:
    """Before the first `db upgrade` every command says that it is needed."""
    box = Box(tmp_path / "box", SqliteDatabase(tmp_path))
    box.ok("init")
    outcome = box.run(*words, stdin=csr(["other.example.test"]))
    assert outcome.code == 1
    assert "run `certfleet-issuer db upgrade`" in outcome.out + outcome.err


def test_a_file_that_is_no_database(lone_box: Box, tmp_path: Path) -> None:
    """A SQLite file that is something else is told so, and left as it is."""
    file = tmp_path / "other.db"
    lone_box.write(database={"url": f"sqlite:///{file}"})
    file.write_bytes(b"this is not a database, by any means" * 100)
    before = file.read_bytes()
    for words in (["status"], ["db", "upgrade"], ["run"]):
        lone_box.refused(*words, code=1, says=[str(file), "file is not a database"])
    assert file.read_bytes() == before


def test_a_folder_that_is_not_there(lone_box: Box) -> None:
    """A SQLite file in a folder that does not exist is not made by a command that only looks."""
    lone_box.write(database={"url": f"sqlite:///{lone_box.folder}/absent/certfleet.db"})
    lone_box.refused("status", code=1, says=["unable to open database file", "check that the folder exists"])
    assert not (lone_box.folder / "absent").exists()


def test_a_file_that_is_not_there(lone_box: Box) -> None:
    """Only `db upgrade` makes a SQLite file, and nobody else may read it; who looks is told so and makes none."""
    file = lone_box.folder / "new.db"
    lone_box.write(database={"url": f"sqlite:///{file}"})
    says = ["unable to open", "there is no such file yet: run `certfleet-issuer db upgrade`"]
    for words in READS[:2]:
        lone_box.refused(*words, code=1, says=says)
    lone_box.fails("db", "status", says=["revision none, this certfleet needs"])
    assert not file.exists()
    lone_box.ok("db", "upgrade")
    assert file.stat().st_mode & 0o777 == 0o600


def in_a_mount_namespace(box: Box, script: str, *, stdin: bytes = b"") -> "subprocess.CompletedProcess[str]":
    """A shell script in which `issuer` is the command, free to mount: root, in a namespace that ends with it."""
    issuer = f'issuer() {{ "{sys.executable}" -c "from issuer.cli import main; main()" --config "{box.config}" "$@"; }}'
    done = subprocess.run(
        [*PRIVATE_MOUNTS, "sh", "-c", f"set -e\n{issuer}\n{script}"],
        input=stdin,
        capture_output=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=120,
        check=False,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in out + err, err
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


@pytest.mark.soak
def test_a_sqlite_file_on_a_read_only_file_system(lone_box: Box, tmp_path: Path) -> None:
    """Every change is refused with what to do, although root looks past file modes; the file stays as it is."""
    lone_box.populate(NAME)
    place = tmp_path / "place"
    place.mkdir()
    shutil.copy(tmp_path / "certfleet.db", place / "certfleet.db")
    lone_box.write(database={"url": f"sqlite:///{place}/certfleet.db"})
    before = (place / "certfleet.db").read_bytes()
    mount = f'mount --bind "{place}" "{place}" && mount -o remount,ro,bind "{place}"'
    for words in ("disable www.example.test", "issue www.example.test", "remove www.example.test --yes"):
        done = in_a_mount_namespace(lone_box, f"{mount}\nissuer {words}")
        assert done.returncode == 1, done.stderr
        assert done.stderr.startswith("error: the database at"), done.stderr
        assert f"what to do: {place}/certfleet.db is yours: look at its mode and attributes (lsattr)" in done.stderr
    assert (place / "certfleet.db").read_bytes() == before


def test_a_disk_that_is_full(lone_box: Box, tmp_path: Path) -> None:
    """On a full file system the command says so, and what was stored before is still there."""
    place = tmp_path / "place"
    place.mkdir()
    lone_box.write(database={"url": f"sqlite:///{place}/certfleet.db"})
    done = in_a_mount_namespace(
        lone_box,
        f"""mount -t tmpfs -o size=1200k tmpfs "{place}"
issuer db upgrade
issuer populate {NAME} --csr -
dd if=/dev/zero of="{place}/filler" bs=4k 2>/dev/null || true
for number in 1 2 3 4 5 6 7 8 9 10 11 12; do issuer enable {NAME} || break; done
rm "{place}/filler"
issuer status
""",
        stdin=csr([NAME]),
    )
    assert done.returncode == 0, done.stderr
    assert "disk is full" in done.stderr or "disk I/O error" in done.stderr
    assert "what to do: free space on that file system" in done.stderr
    assert "waiting for its first certificate" in done.stdout or "disabled" in done.stdout


def test_a_failure_that_the_database_refuses_to_hold(proxied: Box, proxy: CaProxy) -> None:
    """Words of the CA that a column does not take: the order is over all the same, and nothing is left in the zone."""
    proxied.enrol(NAME)
    proxied.database.execute(
        "CREATE TRIGGER picky BEFORE UPDATE OF last_error ON certs BEGIN SELECT RAISE(ABORT, 'not in latin1'); END"
    )
    proxy.before.append(times(9, "/finalize-order/", problem("unauthorized", "нет", 403)))
    outcome = proxied.fails("run", says=["нет", "failure.unrecorded", "not in latin1"])
    assert outcome.err.count("failure.unrecorded") == 1
    assert [state for state, _ in proxied.orders()] == ["FAILED"]
    assert proxied.txt(NAME) == set()


def test_a_state_folder_that_cannot_be_written(lone_box: Box) -> None:
    """`run` needs its lock file; without it nothing is begun."""
    lone_box.populate(NAME)
    place = lone_box.state_dir
    done = in_a_mount_namespace(
        lone_box, f'mount --bind "{place}" "{place}" && mount -o remount,ro,bind "{place}"\nissuer run'
    )
    assert done.returncode == 1
    assert "error: cannot write" in done.stderr
    assert "Read-only file system" in done.stderr
    assert lone_box.orders() == []


def test_a_sqlite_file_that_is_replaced(lone_box: Box) -> None:
    """A process that runs on, as the daemon does, finds what was restored; without a file it does not seem well."""
    assert isinstance(lone_box.database, SqliteDatabase)
    path = lone_box.database.path
    lone_box.populate(NAME)
    lone_box.database.execute(f"VACUUM INTO '{path}.backup'")
    lone_box.ok("remove", NAME, "--yes")
    with closing(Database(DatabaseSettings(lone_box.database.url))) as opened:
        certificates = Certificates(opened)
        assert list(certificates.all()) == []
        for part in ("", "-wal", "-shm"):
            Path(f"{path}{part}").unlink(missing_ok=True)
        with pytest.raises(StoreError, match="unable to open"):
            list(certificates.all())
        Path(f"{path}.backup").rename(path)
        assert [row.name for row in certificates.all()] == [NAME]
