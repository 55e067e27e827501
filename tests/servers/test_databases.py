"""A database of a test is its own, behind verified TLS, and its server stops, starts and crashes on demand."""

import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pymysql
import pytest

from tests.servers import sql_folder
from tests.servers.authority import Authority
from tests.servers.database import Database
from tests.servers.mariadb import MariaDB
from tests.servers.mysql import MAKES
from tests.servers.replicated import Replicated
from tests.servers.sql_server import SqlServer

ROOT = Path(__file__).parents[2]


def test_a_database_is_empty_and_reachable(database: Database) -> None:
    """Both engines give a test its own database; what it writes is there for the next connection."""
    database.execute("CREATE TABLE t (a INTEGER)")
    database.execute("INSERT INTO t VALUES (7)")
    assert list(database.query("SELECT a FROM t")) == [(7,)]
    assert database.url.startswith("sqlite:////") or "@localhost:" in database.url


def test_a_server_wants_tls_and_can_be_verified(sql_server: SqlServer) -> None:
    """A database's user gets in by verified TLS, not without TLS, and the wrong authority is noticed."""
    database = sql_server.create_database()
    with database.connect(ssl.create_default_context(cafile=str(database.tls_ca))) as connection:
        cursor = connection.cursor()
        cursor.execute("SHOW STATUS LIKE 'Ssl_version'")
        assert cursor.fetchall() == (("Ssl_version", "TLSv1.3"),)
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        database.connect(None)
    stranger = ssl.create_default_context(cadata=Authority("Stranger").pem.decode())
    with pytest.raises(pymysql.err.OperationalError, match="CERTIFICATE_VERIFY_FAILED"):
        database.connect(stranger)
    assert stat.S_IMODE(database.password_file.stat().st_mode) == 0o600


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_a_second_server_stops_starts_crashes_and_refuses_writes(make: type[SqlServer]) -> None:
    """Committed rows survive a stop and a crash; read_only binds the database's user."""
    with make(options=["--max-connections=11"]) as server:
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
        with database.connect(trust) as connection, connection.cursor() as cursor:
            with pytest.raises(pymysql.err.OperationalError, match="read-only"):
                cursor.execute("INSERT INTO t VALUES (2)")
            server.read_only(False)
            cursor.execute("INSERT INTO t VALUES (3)")
    assert not server.folder.exists()


def test_a_replica_follows_and_becomes_the_primary(tmp_path: Path) -> None:
    """What the primary has, the replica gets; a switch-over loses nothing, and leaves the former primary behind."""
    with Replicated(tmp_path) as pair:
        database = pair.create_database(replica_first=False)
        name = database.url.rpartition("/")[2]
        pair.primary.sql("CREATE TABLE t AS SELECT 1 AS a", name)
        former = pair.primary
        pair.switch_over()
        assert pair.primary is not former
        pair.primary.sql("INSERT INTO t VALUES (2)", name)
        assert database.query("SELECT a FROM t") == [(1,), (2,)]
        assert former.sql("SELECT a, @@read_only FROM t", name) == [(1, 1)]


def test_what_a_killed_mariadb_left_is_removed_by_the_next(mariadb: MariaDB) -> None:
    """A folder whose process was killed is removed, one in use is not."""
    script = (
        "import os, signal; from tests.servers.sql_folder import make_folder;"
        "print(make_folder('test'), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True, timeout=30)
    abandoned = Path(done.stdout.decode().strip())
    sql_folder.remove_folder(sql_folder.make_folder("test"))
    assert abandoned.name.startswith(sql_folder.PREFIX)
    assert not abandoned.exists()
    assert mariadb.sql("SELECT 1") == [(1,)]
