"""A database server whose answers break the protocol, have another shape than the question, or ask for our files."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from agent.host.waits import Waits
from agent.model.errors import SourceError
from agent.model.result import Result
from agent.source.mysql import MysqlSource
from common.database_url import MysqlAddress
from issuer.model.config import DatabaseSettings
from issuer.model.errors import StoreError
from issuer.store.database import Database
from tests.servers.broken_sql import ANSWERS, serving

NAME = "www.example.test"
QUESTIONS: dict[str, Callable[[MysqlSource], object]] = {
    "marks": lambda source: source.marks([NAME]),
    "offer": lambda source: source.fetch(NAME),
    "moment": lambda source: source.moment(),
    "report": lambda source: source.report([Result(NAME)], "host", 1),
}


@pytest.mark.sampled
@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_the_agent_says_so(tmp_path: Path, answer: Sequence[bytes], ask: Callable[[MysqlSource], object]) -> None:
    """In a sentence about its database, whichever error of Python the answer leads to; or the answer is none to the
    question, as for rows of which only the names count."""
    with serving(tmp_path / "sock", answer):
        source = MysqlSource(MysqlAddress("agent", (), "certfleet", str(tmp_path / "sock")), "", None, Waits(), 5.0)
        with contextlib.suppress(SourceError):
            assert not ask(source)
        source.close()


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_the_issuer_says_so(tmp_path: Path, answer: Sequence[bytes]) -> None:
    """In a sentence about its database."""
    url = f"mysql+pymysql://issuer@localhost/certfleet?unix_socket={tmp_path / 'sock'}"
    with serving(tmp_path / "sock", answer):
        database = Database(DatabaseSettings(url, None), patience=5.0)
        with pytest.raises(StoreError, match="did not do its work"):
            database.read(lambda connection: connection.scalar(sa.text("SELECT 1")))
        database.close()
