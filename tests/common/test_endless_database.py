"""A database, or somebody on the way to it, that sends without end and fast: memory has a bound on either side."""

import contextlib
import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from agent.host.waits import Waits
from agent.model.errors import SourceError
from agent.source.mysql import MysqlSource
from agent.source.open import open_source
from agent.source.sqlite import SqliteSource
from common.database_url import MysqlAddress
from common.deadline import Allowance
from issuer.model.config import DatabaseSettings
from issuer.model.errors import StoreError
from issuer.store.database import Database
from tests.agent.accounts import Agents
from tests.agent.host import NAME, TABLES
from tests.servers.database import SqliteDatabase
from tests.servers.line import Line
from tests.servers.sql_server import SqlDatabase, SqlServer
from tests.servers.stopwatch import Stopwatch

_MOST = 100  # packets of 16 MB


@pytest.fixture
def flood() -> Iterator[tuple[int, list[int]]]:
    """A port that greets with packets that go on and on; and how many somebody took."""
    taken: list[int] = []

    def talk(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    for number in range(_MOST):
                        connection.sendall(b"\xff\xff\xff" + bytes([number]))
                        connection.sendall(b"x" * 0xFFFFFF)
                        taken.append(number)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=talk, args=(server,), daemon=True)
        thread.start()
        yield server.getsockname()[1], taken
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def _agent(port: int, _: Path) -> None:
    MysqlSource(MysqlAddress("agent", (("127.0.0.1", port),), "certfleet"), "secret", None, Waits(), 4.0).marks([NAME])


def _issuer(port: int, folder: Path) -> None:
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text("secret")
    url = f"mysql+pymysql://issuer@127.0.0.1:{port}/certfleet"
    Database(DatabaseSettings(url, password)).read(lambda connection: connection.info)


@pytest.mark.parametrize("ask", [_agent, _issuer])
def test_a_greeting_without_end(flood: tuple[int, list[int]], tmp_path: Path, ask: Callable[[int, Path], None]) -> None:
    """Before TLS anybody on the way may answer: the first packet that is too long is not read."""
    port, taken = flood
    with pytest.raises((SourceError, StoreError), match="longer than any good one"):
        ask(port, tmp_path)
    assert len(taken) < 2


@pytest.fixture
def drip() -> Iterator[int]:
    """A port that greets a byte at a time, for ever."""
    over = threading.Event()

    def greet(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"\xff\xff\x00\x00")
            while not over.wait(0.05):
                connection.sendall(b"x")

    def talk(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=greet, args=(server.accept()[0],)).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=talk, args=(server,))
        thread.start()
        yield server.getsockname()[1]
        over.set()
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("ask", [_agent, _issuer])
def test_a_greeting_that_drips(
    drip: int, tmp_path: Path, ask: Callable[[int, Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No wait is long, and the whole of it is: it ends at its time limit, and is not tried eight times."""
    monkeypatch.setattr("common.mysql_connection._LOGIN_SECONDS", 1.0)
    watch = Stopwatch()
    with pytest.raises((SourceError, StoreError), match="no answer within 1 s"):
        ask(drip, tmp_path)
    assert watch.seconds() < 7


def test_rows_without_end_from_a_server(sql_server: SqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A view in place of the real one, with as many rows of a name as anybody may read; the bound is 16 MB as
    shipped."""
    monkeypatch.setattr("agent.source.mysql._LONGEST_ANSWER", 500_000)
    agents = Agents(sql_server.create_database(), tmp_path)
    settings = agents.settings()
    digits = " UNION ALL ".join(f"SELECT {digit} AS n" for digit in range(10))
    places = ", ".join(f"({digits}) AS t{place}" for place in range(8))
    cells = "1 AS ts_last_update, 2 AS ts_expire, NULL AS crt, NULL AS ca, NULL AS rolled_back, NULL AS statement"
    view = f"CREATE OR REPLACE VIEW agent_certs AS SELECT '{NAME}' AS name, {cells}"
    agents.execute(f"{view} FROM {places}")
    with contextlib.closing(open_source(settings, Path("x"))) as source:
        with pytest.raises(SourceError, match="longer than any good one"):
            source.marks([NAME])
        agents.execute(view)
        assert source.marks([NAME])


def test_rows_without_end_from_a_file(tmp_path: Path) -> None:
    """The same in SQLite: no more rows are taken than names were asked for."""
    database = SqliteDatabase(tmp_path)
    for statement in TABLES.split(";"):
        database.execute(statement)
    database.execute(
        "INSERT INTO certs (name, crt, ts_last_update, ts_expire) VALUES ('www.example.test', 'leaf', 1, 2)"
    )
    database.execute("ALTER TABLE certs RENAME TO held")
    endless = "WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up) SELECT held.* FROM up CROSS JOIN held"
    database.execute(f"CREATE VIEW certs AS {endless}")
    source = SqliteSource(database.path, Waits(), 5.0)
    assert list(source.marks([NAME])) == [NAME]
    offer = source.fetch(NAME)
    assert offer is not None
    assert offer.leaf_pem == b"leaf"


class _Dripping(Line):
    """Lets the first octets of each connection pass, which are those of a login; from then on one each twentieth of a
    second comes back."""

    def _pump(self, source: socket.socket, target: socket.socket, way: str) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1000):
                if way == "up" or passed < 10_000:
                    target.sendall(data)
                else:
                    for octet in data:
                        target.sendall(bytes([octet]))
                        time.sleep(0.05)
                passed += len(data)


def test_an_answer_that_drips_after_the_login(sql_server: SqlServer, tmp_path: Path) -> None:
    """Within TLS no record of it is ever whole. An agent has its limit for the question, and the issuer one for all
    tries together."""
    made, agents = sql_server.create_database(), Agents(sql_server.create_database(), tmp_path)
    assert isinstance(made, SqlDatabase)
    with _Dripping(("127.0.0.1", sql_server.port)) as line:
        url = made.url.replace(f":{sql_server.port}/", f":{line.port}/")
        issuer = Database(DatabaseSettings(url, made.password_file, made.tls_ca), patience=1.5)
        issuer._servers._options["read_timeout"] = 1
        assert issuer.read(lambda connection: connection.scalar(sa.text("SELECT 1"))) == 1
        watch = Stopwatch()
        with pytest.raises(StoreError, match="the connection was lost: The read operation timed out"):
            issuer.read(lambda connection: connection.scalar(sa.text("SELECT REPEAT('x', 100000)")))
        assert watch.seconds() < 15
        agents.execute(f"INSERT INTO certs (name, crt) VALUES ('{NAME}', REPEAT('x', 60000))")  # noqa: S608
        settings = agents.settings()
        settings = dataclasses.replace(settings, url=settings.url.replace(f":{sql_server.port}/", f":{line.port}/"))
        with contextlib.closing(open_source(settings, Path("x"))) as source:
            assert isinstance(source, MysqlSource)
            source._patience = 1.5
            assert list(source.marks([NAME])) == [NAME]
            watch = Stopwatch()
            with pytest.raises(SourceError, match="no answer within"):
                source.fetch(NAME)
            assert watch.seconds() < 15


def test_the_second_server_where_the_first_one_drips(sql_server: SqlServer, tmp_path: Path) -> None:
    """An answer that is not whole in time is that of a connection that broke: the question goes to the other server."""
    made = sql_server.create_database()
    assert isinstance(made, SqlDatabase)
    with _Dripping(("127.0.0.1", sql_server.port)) as line:
        url = made.url.replace(f":{sql_server.port}/", f":{line.port},localhost:{sql_server.port}/")
        issuer = Database(DatabaseSettings(url, made.password_file, made.tls_ca))
        issuer._servers._options["answer_seconds"] = 1.0
        answer = issuer.read(lambda connection: connection.scalar(sa.text("SELECT REPEAT('x', 50000)")))
        assert len(str(answer)) == 50000
        assert line.met


def test_slow_answers_have_a_limit_together(
    sql_server: SqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each comes before its own deadline. When all together took too long, nothing is asked any more within the hour,
    and usual answers go on not being counted."""
    monkeypatch.setattr("common.mysql_connection._USUAL_SECONDS", 0.2)
    for side in ("issuer.store", "agent.source"):
        monkeypatch.setattr(f"{side}.mysql.SLOW_SECONDS", 0.5)
    made, agents = sql_server.create_database(), Agents(sql_server.create_database(), tmp_path)
    assert isinstance(made, SqlDatabase)
    issuer = Database(DatabaseSettings(made.url, made.password_file, made.tls_ca))
    agents.execute(f"CREATE OR REPLACE VIEW agent_certs AS SELECT '{NAME}' AS name, 1 AS ts_last_update, SLEEP(0.5) AS"
                   " ts_expire, 'Y' AS enable")  # fmt: skip
    with contextlib.closing(open_source(agents.settings(), Path("x"))) as source:
        slow: list[Callable[[], object]] = [
            lambda: issuer.read(lambda connection: connection.scalar(sa.text("SELECT SLEEP(0.5)"))),
            lambda: source.marks([NAME]),
        ]
        for ask in slow:
            ask()
            with pytest.raises((StoreError, SourceError), match="its slow answers took"):
                for _ in range(3):
                    ask()
            watch = Stopwatch()
            with pytest.raises((StoreError, SourceError), match="within an hour"):
                ask()
            assert watch.seconds() < 0.4


def test_an_allowance_counts_waits_side_by_side_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight workers that wait for the same minute have waited for a minute; after an hour it is whole again."""
    now = [0.0]
    monkeypatch.setattr("common.deadline.time.monotonic", lambda: now[0])
    allowance = Allowance(100.0)
    now[0] = 60.0
    for _ in range(8):
        allowance.spend(60.0)
    now[0] = 90.0
    allowance.spend(50.0)
    assert not allowance.spent
    now[0] = 120.0
    allowance.spend(10.0)
    assert allowance.spent
    now[0] = 3601.0
    assert not allowance.spent
