"""Agents that come to one server at the same moment: none locks another out, and none gives up where it can wait."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from agent.host.waits import Waits
from agent.model.errors import SourceError
from agent.model.offer import Mark
from agent.model.result import Installed, Outcome, Result
from agent.source.mysql import MysqlSource
from agent.source.open import open_source
from common.database_url import MysqlAddress
from common.files import read_password
from tests.agent.accounts import Agents
from tests.servers.line import Line

CROWD = 24


def a_result(name: str) -> Result:
    return Result(name, Outcome.INSTALLED, "", installed=Installed("f" * 64, "01", 123, Mark(99, 77), {}, ""))


def test_first_reports_at_once_do_not_lock_each_other(agents: Agents) -> None:
    """No deadlock: none has to be tried again."""

    def deadlocks() -> int:
        query = "SELECT COUNT FROM information_schema.INNODB_METRICS WHERE NAME = 'lock_deadlocks'"  # of both makes
        ((found,),) = agents.server.sql(query)
        return int(str(found))

    settings, before, refused = agents.settings(), deadlocks(), dict[str, SourceError]()
    start = threading.Barrier(CROWD)

    def tell(number: int) -> None:
        with closing(open_source(settings, Path("x"))) as source:
            source.moment()
            start.wait(60)
            refused.update(source.report([a_result(f"host{number:02d}.b")], f"host{number:02d}", 456))

    threads = [threading.Thread(target=tell, args=(number,)) for number in range(CROWD)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == {}
    assert agents.database.query("SELECT COUNT(*) FROM installations") == [(CROWD,)]
    assert deadlocks() == before


def test_a_report_that_loses_a_deadlock_is_tried_again(agents: Agents) -> None:
    """As InnoDB says it, twice, raised by a trigger; all reports of the transaction are there at the end."""
    agents.database.execute("CREATE TABLE tries (number INT) ENGINE=MyISAM")  # which no rollback empties
    agents.database.execute("""
        CREATE TRIGGER loses BEFORE INSERT ON installations FOR EACH ROW BEGIN
            INSERT INTO tries VALUES (1);
            IF NEW.name = 'b.b' AND (SELECT COUNT(*) FROM tries) < 5 THEN
                SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'Deadlock found';
            END IF;
        END""")
    with closing(open_source(agents.settings(), Path("x"))) as source:
        assert source.report([a_result("a.b"), a_result("b.b")], "host1", 456) == {}
    assert agents.database.query("SELECT TRIM(name) FROM installations ORDER BY name") == [("a.b",), ("b.b",)]
    assert agents.database.query("SELECT COUNT(*) FROM tries") == [(6,)]


@pytest.fixture
def two(agents: Agents) -> Iterator[tuple[MysqlSource, MysqlSource]]:
    """Two agents of an account that may have one connection, of which the first has it."""
    settings = agents.settings()
    user = settings.url.split("//")[1].split("@")[0]
    agents.server.sql(f"ALTER USER `{user}`@`%` WITH MAX_USER_CONNECTIONS 1")
    assert settings.password_file is not None
    password = read_password(settings.password_file)
    address = MysqlAddress(user, ((agents.server.host, agents.server.port),), agents.database.name)
    with ExitStack() as opened:
        first, second = (
            opened.enter_context(closing(MysqlSource(address, password, settings.tls_ca, Waits(), patience)))
            for patience in (60.0, 8.0)
        )
        first.moment()
        yield first, second


def test_an_agent_waits_until_the_server_has_room(two: tuple[MysqlSource, MysqlSource]) -> None:
    """It is let in as soon as another one has gone."""
    first, second = two
    leaving = threading.Timer(0.3, first.close)
    leaving.start()
    assert second.moment() is not None
    leaving.join()


class LateGreeting(Line):
    """The server greets nobody until *late* clients have called, as one whose queue of connections is full."""

    def __init__(self, server: tuple[str, int], late: int) -> None:
        super().__init__(server)
        self._late, self._end = late, threading.Event()

    def serve(self, client: socket.socket) -> None:
        if self.met <= self._late:
            self._end.wait(30)
            return
        super().serve(client)

    def __exit__(self, *raised: Any) -> None:
        self._end.set()
        super().__exit__(*raised)


def source_behind(line: Line, agents: Agents, patience: float) -> MysqlSource:
    """That of an agent with an account of its own, whose connections pass over *line*."""
    settings = agents.settings()
    user = settings.url.split("//")[1].split("@")[0]
    assert settings.password_file is not None
    address = MysqlAddress(user, (("localhost", line.port),), agents.database.name)
    return MysqlSource(address, read_password(settings.password_file), settings.tls_ca, Waits(), patience)


def test_a_login_without_an_answer_is_tried_again(agents: Agents) -> None:
    """The first of them is not greeted, the second is."""
    with (
        LateGreeting((agents.server.host, agents.server.port), late=1) as line,
        closing(source_behind(line, agents, patience=12.0)) as source,
    ):
        assert source.moment() is not None
        assert line.met > 1


def test_a_server_that_greets_nobody_is_given_up_in_time(agents: Agents) -> None:
    """And it is not asked again, for the report either."""
    with (
        LateGreeting((agents.server.host, agents.server.port), late=99) as line,
        closing(source_behind(line, agents, patience=4.0)) as source,
    ):
        with pytest.raises(SourceError, match="no answer within") as told:
            source.moment()
        assert "RandomizedDelaySec" in told.value.hint
        calls = line.met
        with pytest.raises(SourceError, match="no answer within"):
            source.report([a_result("a.b")], "host1", 456)
        assert line.met == calls


def test_an_agent_without_room_says_so_in_time(two: tuple[MysqlSource, MysqlSource]) -> None:
    """After half of its patience, so that the server's own words reach a person, and how to make room."""
    _, second = two
    with pytest.raises(SourceError, match="max_user_connections") as told:
        second.moment()
    assert "RandomizedDelaySec" in told.value.hint
