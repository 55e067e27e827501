"""The outbox and the rows of the table: what is said of many, and of those that nobody enrolled."""

import json

import pytest
import sqlalchemy as sa

from issuer.model import events
from issuer.model.failure import Failure
from issuer.model.outcomes import Ended, Ending
from issuer.model.strangers import MOST_TOLD, RowsFound
from issuer.store.certificates import Certificates
from issuer.store.tables import alarms, outbox
from tests.issuer.notify.outbox_world import NAME, World


def test_rows_that_are_not_what_was_enrolled(world: World) -> None:
    """Each is told once, until it is again what was enrolled, or was removed; a row that is gone too, although nothing
    of it is in the table, and whatever else settles meanwhile."""
    spoilt = Ended(NAME, Ending.UNSEALED, failure=Failure("it differs"))
    gone = Ended("gone.example.test", Ending.VANISHED, failure=Failure("its row is gone"))

    def hear(*endings: Ended) -> list[str]:
        world.outbox.tell_rows(RowsFound(endings))
        return world.hear()

    assert hear(spoilt, gone) == ["certfleet: 1 certificate is not what was enrolled, 1 is gone from the table on box"]
    assert hear(spoilt, gone) == hear(spoilt, gone) == []
    assert hear(gone) == [f"certfleet: {NAME} is right again in the table on box"]
    assert hear() == []  # it was removed by `remove`
    assert hear(gone) == ["certfleet: gone.example.test is gone from the table on box"]
    assert hear(spoilt) == [f"certfleet: {NAME} is not what was enrolled on box"]


def test_a_row_that_is_not_what_was_enrolled_and_is_disabled(world: World) -> None:
    """By an operator, or by whoever changed it: no run tells it any more, and it is not right again."""
    certificates = Certificates(world.database)
    world.outbox.tell_rows(RowsFound([Ended(NAME, Ending.UNSEALED, failure=Failure("it differs"))]))
    assert len(world.hear()) == 1
    for is_enabled, heard in ((False, []), (True, [f"certfleet: {NAME} is right again in the table on box"])):
        certificates.set_enabled([NAME], is_enabled, now=1)
        world.outbox.tell_rows(RowsFound())
        assert world.hear() == heard


def test_many_rows_that_nobody_enrolled(world: World) -> None:
    """Their count is told once. One that is not told any more, because others are, is not right again."""
    names = [f"n{number}.example.test" for number in range(MOST_TOLD + 1)]
    told = Ended(NAME, Ending.UNSEALED, failure=Failure("it differs"))
    world.outbox.tell_rows(RowsFound([told], [NAME, *names]))
    assert world.hear() == ["certfleet: 1 certificate is not what was enrolled, 1 has rows that nobody enrolled on box"]
    assert f"{MOST_TOLD + 2} rows of the table were enrolled by nobody" in " ".join(world.post.sent[-1][1].split())
    world.outbox.tell_rows(RowsFound([], [NAME, *names]))
    assert world.hear() == []
    world.outbox.tell_rows(RowsFound())
    assert world.hear() == [f"certfleet: {NAME} is right again in the table on box"]


def test_a_row_that_comes_back_before_its_mail(world: World) -> None:
    """Nobody hears of it; a failure of its certificate stays said."""
    assert world.hear(events.failed(NAME, Failure("it failed"))) == [f"certfleet: {NAME} failed on box"]
    world.outbox.tell_rows(RowsFound([Ended(NAME, Ending.UNSEALED, failure=Failure("it differs"))]))
    world.outbox.tell_rows(RowsFound())
    assert world.hear() == []
    assert world.hear(events.failed(NAME, Failure("it failed"))) == []


def test_more_events_than_a_mail_takes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody may add any number: the others wait for the next mail, and none is sent twice."""
    monkeypatch.setattr("issuer.store.notices._MOST_TAKEN", 3)
    text = "x" * 60_000
    forged = [events.to_json(events.failed(f"n{number}.test", Failure(text))) for number in range(7)]
    rows = [{"at": 1, "name": "x", "kind": "failed", "content": json.dumps(one)} for one in forged]
    world.database.write(lambda connection: connection.execute(outbox.insert(), rows))
    taken = [[event.name for event in world.notices.take(str(turn), int(world.now))] for turn in range(4)]
    assert taken == [["n0.test", "n1.test", "n2.test"], ["n3.test", "n4.test", "n5.test"], ["n6.test"], []]
    world.now += 601
    assert max(len(event.told.what) for event in world.notices.take("again", int(world.now))) == 2000


def test_alarms_about_names_that_nobody_has(world: World) -> None:
    """Somebody may add any number: all go at once, not by a statement for each."""
    rows = [{"name": f"n{number}.test", "kind": "failed", "since": 1} for number in range(3000)]
    world.database.write(lambda connection: connection.execute(alarms.insert(), rows))
    statements = list[str]()
    sa.event.listen(world.database._engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    world.outbox.settle()
    assert len(statements) < 50
    assert world.database.read(lambda connection: connection.execute(sa.select(alarms)).all()) == []


def test_mail_that_nobody_can_read_is_not_taken_for_ever(world: World) -> None:
    """It is told once and deleted, also where nothing else waits beside it."""
    row = {"at": 1, "name": NAME, "kind": "failed", "content": "{"}
    world.database.write(lambda connection: connection.execute(outbox.insert(), row))
    world.outbox.deliver()
    count = sa.select(sa.func.count()).select_from(outbox)
    assert world.database.read(lambda connection: connection.scalar(count)) == 0
