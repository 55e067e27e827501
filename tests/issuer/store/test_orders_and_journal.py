"""Orders, their leases and the challenge journal: the same promises on SQLite and on database servers."""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from common.certificate import parse_bundle
from issuer.config import DatabaseSettings
from issuer.csr import read_csr
from issuer.errors import BeingTakenBack, GivenUp, LeaseLost, Overtaken
from issuer.limits import Limit
from issuer.model import Challenge
from issuer.order_states import OrderState
from issuer.store.certificates import Certificates
from issuer.store.compromised import KEY_COMPROMISE
from issuer.store.database import Database
from issuer.store.history import History
from issuer.store.holds import Holds
from issuer.store.journal import Journal
from issuer.store.lookout import Lookout
from issuer.store.orders import LEASE_SECONDS, Orders, give_up
from issuer.store.overview import Overview
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers import database as servers
from tests.servers.authority import Authority
from tests.servers.mariadb import MariaDB
from tests.servers.sql_server import SqlServer

NAME, NOW, CA = "www.example.test", 1_800_000_000, "https://ca.example.test/dir"


def opened(database: servers.Database) -> Database:
    return Database(DatabaseSettings(database.url, database.password_file, database.tls_ca))


@pytest.fixture
def store(database: servers.Database, tmp_path: Path) -> Iterator[Database]:
    """A migrated database with one certificate enrolled."""
    Box(tmp_path / "box", database).set_up()
    made = opened(database)
    Certificates(made).enrol(NAME, read_csr(csr([NAME])), comment="", webroot="", now=NOW)
    yield made
    made.close()


def side_by_side(*works: Callable[[], Any]) -> list[Any]:
    """What several threads return that begin at the same moment."""
    barrier, results = threading.Barrier(len(works)), [None] * len(works)

    def work(number: int) -> None:
        barrier.wait()
        results[number] = works[number]()

    threads = [threading.Thread(target=work, args=[number]) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_one_order_for_a_certificate(store: Database) -> None:
    """Of eight issuers that open an order for one name at the same moment exactly one gets it."""
    issuers = [Orders(store, f"issuer{number}") for number in range(8)]
    records = side_by_side(*(lambda each=each: each.open(NAME, CA, "due", NOW) for each in issuers))
    won = [record for record in records if record is not None]
    assert len(won) == 1
    assert won[0].state is OrderState.PLANNED
    rows = store.read(lambda connection: connection.execute(sa.text("SELECT active_name FROM orders")).all())
    assert rows == [(NAME,)]


def test_a_lease_of_another_is_respected_until_it_ends(store: Database) -> None:
    """Nobody takes an order over before the lease's end; afterwards one of many does, and the holder loses it."""
    mine, other = Orders(store, "mine"), Orders(store, "other")
    record = mine.open(NAME, CA, "due", NOW)
    assert record is not None
    assert other.claim(NAME, NOW) is None
    assert other.under_way(NOW) == []
    assert mine.claim(NAME, NOW) == record  # our own after a crash
    end = NOW + LEASE_SECONDS
    assert other.claim(NAME, end) is None
    assert [each.name for each in other.under_way(end + 1)] == [NAME]
    issuers = [Orders(store, f"issuer{number}") for number in range(4)]
    taken = side_by_side(*(lambda each=each: each.claim(NAME, end + 1) for each in issuers))
    assert sum(each is not None for each in taken) == 1
    with pytest.raises(LeaseLost):
        mine.save(record, dataclasses.replace(record, state=OrderState.ORDERED, url="u"), end + 1)
    with pytest.raises(LeaseLost):
        mine.fail(record, "reason", end + 1)
    mine.release(record)
    mine.drop(record)
    assert sum(each.claim(NAME, end + 2) is not None for each in issuers) == 1


def test_a_lease_of_a_clock_that_was_years_ahead(store: Database) -> None:
    """Its holder is dead, or has the right time by now; one that is minutes ahead is respected."""
    mine, other = Orders(store, "mine"), Orders(store, "other")
    record = other.open(NAME, CA, "due", NOW + LEASE_SECONDS)
    assert record is not None
    assert mine.claim(NAME, NOW) is None
    assert other.save(record, record, NOW + 4 * 365 * 86400) == record
    assert [each.name for each in mine.under_way(NOW)] == [NAME]
    assert [mark.name for mark in Lookout(store, "mine").left_over(NOW)] == [NAME]
    assert mine.claim(NAME, NOW) == record


def test_a_hold_of_a_clock_that_was_years_ahead(store: Database) -> None:
    """No CA's word holds anything up for longer than a day, so it counts no more; neither does an order of then."""
    holds = Holds(store)
    holds.add("account", "*", NOW + 4 * 365 * 86400, "limited", NOW)
    assert holds.until("account", NAME, NOW) is None
    assert Overview(store).holds(NOW) == []
    holds.add("account", NAME, NOW + 86400, "limited", NOW)
    assert holds.until("account", NAME, NOW) == (NOW + 86400, "limited")
    assert Limit(1, 3600).free_at([NOW + 4 * 365 * 86400], NOW) == NOW


@pytest.mark.parametrize(
    "changes",
    [
        "ts_expire = 1, due_at = 1930000000",
        "ts_expire = 1800086400, due_at = 1930000000",
        "ts_expire = 1810000000, due_at = 1930000000, count_fail_update = 1, last_error = 'BADTIME'",
    ],
)
def test_moments_of_a_clock_that_was_years_ahead(store: Database, changes: str) -> None:
    """A row that is put off for years is looked at by `run` and by the daemon all the same."""
    store.write(lambda connection: connection.execute(sa.text(f"UPDATE certs SET enable = 'Y', {changes}")))  # noqa: S608
    certificates = Certificates(store)
    assert [row.name for row in certificates.due(NOW) + certificates.failing(NOW)] == [NAME]
    assert [mark.name for mark in Lookout(store, "mine").due(NOW, 10)] == [NAME]


def test_a_step_is_saved_with_its_url_and_extends_the_lease(store: Database) -> None:
    """What is saved is what the next process reads, and the lease runs from the last step."""
    mine, other = Orders(store, "mine"), Orders(store, "other")
    record = mine.open(NAME, CA, "due", NOW)
    assert record is not None
    ordered = dataclasses.replace(record, state=OrderState.ORDERED, url="https://ca.example.test/o/1", deadline=NOW + 5)
    assert mine.save(record, ordered, NOW + 500) == ordered
    assert other.claim(NAME, NOW + LEASE_SECONDS + 1) is None
    mine.release(ordered)
    assert other.claim(NAME, NOW + 501) == ordered


def test_a_move_that_the_table_does_not_list_is_not_saved(store: Database) -> None:
    """Skipping a state is a fault of ours and leaves the row as it is."""
    mine = Orders(store, "mine")
    record = mine.open(NAME, CA, "due", NOW)
    assert record is not None
    with pytest.raises(RuntimeError, match="from PLANNED to VALIDATED"):
        mine.save(record, dataclasses.replace(record, state=OrderState.VALIDATED), NOW)
    assert mine.claim(NAME, NOW) == record


def test_a_failed_order_frees_its_certificate(store: Database) -> None:
    """After FAILED the same name may have a new order; the old row keeps its reason."""
    mine = Orders(store, "mine")
    record = mine.open(NAME, CA, "due", NOW)
    assert record is not None
    assert mine.fail(record, "the reason", NOW).ended
    second = mine.open(NAME, CA, "retry", NOW + 1)
    assert second is not None
    assert second.id != record.id
    rows = store.read(lambda connection: connection.execute(sa.text("SELECT state, error FROM orders ORDER BY id")))
    assert [tuple(row) for row in rows] == [("FAILED", "the reason"), ("PLANNED", None)]


def test_only_the_csr_that_is_enrolled_gets_a_certificate(store: Database) -> None:
    """A certificate for another CSR is kept with the versions and leaves the row alone; one for this CSR is placed,
    also where an old script has left text in the column."""
    mine, certificates, (row,) = Orders(store, "mine"), Certificates(store), Certificates(store).all()
    issued = Authority("Root").intermediate("CA").issue([NAME])
    bundle = parse_bundle(issued.fullchain_pem)
    for given in (csr([NAME]), row.csr):
        record = mine.open(NAME, CA, "due", NOW)
        assert record is not None
        expected = contextlib.nullcontext() if given == row.csr else pytest.raises(Overtaken)
        with expected:
            certificates.store(record, given, bundle, NOW, due_at=NOW, ask_at=None)
        assert [bool(each.crt) for each in certificates.all()] == [given == row.csr]
        store.write(lambda connection: connection.execute(sa.text("UPDATE certs SET csr = CAST(csr AS CHAR)")))
    rows = store.read(lambda connection: connection.execute(sa.text("SELECT event FROM events ORDER BY id")).all())
    assert [event for (event,) in rows] == ["enrolled", "set aside", "stored"]
    assert store.read(lambda connection: connection.scalar(sa.text("SELECT COUNT(*) FROM versions"))) == 2


def test_a_compromised_key_gets_no_certificate_from_an_order_under_way(store: Database) -> None:
    """The revocation disables the row, drops what was wished for, and ends the order, whoever works on it."""
    mine, certificates = Orders(store, "mine"), Certificates(store)
    certificates.set_enabled([NAME], True, NOW)
    certificates.request_reissue([NAME], "by hand")
    record = mine.open(NAME, CA, "due", NOW)
    assert record is not None
    bundle = parse_bundle(Authority("Root").intermediate("CA").issue([NAME]).fullchain_pem)
    # whose key nobody can tell, so it may be that one
    store.write(lambda connection: connection.execute(sa.text("UPDATE certs SET csr = 'damaged'")))
    assert History(store).mark_revoked(NAME, bundle, CA, KEY_COMPROMISE, NOW)
    with pytest.raises(GivenUp, match="compromised"):
        mine.save(record, record, NOW)
    with pytest.raises(GivenUp, match="compromised"):
        certificates.store(record, next(certificates.all()).csr, bundle, NOW, due_at=NOW, ask_at=None)
    (row,) = certificates.all()
    assert (row.enabled, row.reissue_reason, row.crt) == (False, "", b"")
    assert mine.claim(NAME, NOW) is None


def test_what_a_revocation_meets_in_the_middle_is_taken_back_by_who_publishes_it(store: Database) -> None:
    """Nobody else sweeps before that one knows that its order has ended: it may be about to publish."""
    mine, journal = Orders(store, "mine"), Journal(store, "mine")
    record = mine.open(NAME, CA, "due", NOW)
    assert record is not None
    left = journal.add(record.id, [entry("one")], NOW)
    store.write(lambda connection: give_up(connection, NAME, "revoked", NOW, leased=True))
    with journal.held(left, NOW) as theirs:
        assert theirs == []
    mine.release(record)
    with journal.held(left, NOW) as ours:
        assert ours == left


def test_an_order_of_another_is_not_taken_by_opening_one(store: Database) -> None:
    """Who finds an order under way when he wants to open one leaves it alone, even if nobody holds it just now."""
    mine, theirs = Orders(store, "mine"), Orders(store, "theirs")
    record = theirs.open(NAME, CA, "due", NOW)
    assert record is not None
    theirs.release(record)
    assert mine.open(NAME, CA, "due", NOW) is None


def entry(value: str, url: str = "https://ca.example.test/c/1") -> Challenge:
    return Challenge("dns-01", NAME, "https://ca.example.test/a/1", url, f"_acme-challenge.{NAME}", NAME, value)


def test_the_journal_keeps_what_may_be_out(store: Database) -> None:
    """The same entries twice are one row each, new ones stand beside the old, and only what is forgotten goes."""
    mine, journal = Orders(store, "mine"), Journal(store, "mine")
    record = mine.open(NAME, CA, "due", NOW)
    assert record is not None
    first = journal.add(record.id, [entry("one")], NOW)
    assert journal.add(record.id, [entry("one")], NOW) == first
    both = journal.add(record.id, [entry("two")], NOW)
    assert [each.value for each in both] == ["one", "two"]
    assert journal.orphans() == []
    journal.forget(both[:1])
    assert [each.value for each in journal.of(record.id)] == ["two"]
    mine.fail(record, "", NOW)
    assert [each.value for each in journal.orphans()] == ["two"]
    journal.forget(journal.orphans())
    assert journal.orphans() == []


def ended(store: Database, entry: Challenge) -> Challenge:
    """The journal's row of an order that has failed."""
    record = Orders(store, "before").open(NAME, CA, "due", NOW)
    assert record is not None
    [left] = Journal(store, "mine").add(record.id, [entry], NOW)
    Orders(store, "before").fail(record, "", NOW)
    return left


def test_what_is_published_again_is_taken_over_from_an_ended_order(store: Database) -> None:
    """The row of the same value in the same place goes, so that nobody takes it back; others stay."""
    journal = Journal(store, "mine")
    same, other = ended(store, entry("one")), ended(store, entry("two"))
    elsewhere = ended(store, dataclasses.replace(entry("one"), zone="other.test"))
    record = Orders(store, "mine").open(NAME, CA, "due", NOW)
    assert record is not None
    [fresh] = journal.add(record.id, [entry("one")], NOW)
    assert fresh.id > elsewhere.id
    assert journal.orphans() == [other, elsewhere]
    with journal.held([same, other], NOW) as ours:
        assert ours == [other]


def test_nothing_is_published_while_it_is_taken_back(store: Database) -> None:
    """By anybody, as neither of two takes the same back; if who does so is killed, our next process goes on with it at
    once, and others when the lease is over."""
    journal = Journal(store, "mine")
    left = ended(store, entry("one"))
    record = Orders(store, "mine").open(NAME, CA, "due", NOW)
    assert record is not None
    other = Journal(store, "other")
    with journal.held([left], NOW) as ours:
        assert ours == [left]
        for each in (journal, other):
            with each.held([left], NOW) as theirs:
                assert theirs == []
        with pytest.raises(BeingTakenBack):
            journal.add(record.id, [entry("one")], NOW)
        assert journal.of(record.id) == []
    for successor, moment in ((Journal(store, "mine"), NOW), (other, NOW + LEASE_SECONDS + 1)):
        with journal.held([left], NOW), successor.held([left], moment) as later:
            assert later == [left]
    assert [each.value for each in journal.add(record.id, [entry("one")], NOW)] == ["one"]
    assert journal.orphans() == []


def test_what_another_order_wants_is_not_taken_back(store: Database) -> None:
    """Two orders under way may have the same challenge; the one that ends forgets its row and leaves the value."""
    journal, mine = Journal(store, "mine"), Orders(store, "mine")
    records = [mine.open(name, CA, "due", NOW) for name in (NAME, "other.example.test")]
    first, second = [record for record in records if record is not None]
    left = journal.add(first.id, [entry("one"), entry("two")], NOW)
    kept = journal.add(second.id, [entry("one")], NOW)
    with journal.held(left, NOW) as ours:
        assert ours == []  # its order is under way
    mine.fail(first, "", NOW)
    with journal.held(left, NOW) as ours:
        assert [each.value for each in ours] == ["two"]
    assert [each.value for each in journal.of(first.id)] == ["two"]
    assert journal.of(second.id) == kept


def test_a_deadlock_is_tried_again(sql_server: SqlServer, tmp_path: Path) -> None:
    """Two transactions that lock two rows in opposite order both end well: the loser is run again from the start."""
    database = sql_server.create_database()
    Box(tmp_path / "box", database).set_up()
    store = opened(database)
    for name in ("a", "b"):
        Certificates(store).enrol(name, read_csr(csr([NAME])), comment="", webroot="", now=NOW)
    turn, runs = threading.Barrier(2), []

    def change(first: str, second: str) -> None:
        def work(connection: sa.Connection) -> None:
            runs.append(first)
            add = "UPDATE certs SET count_fail_update = count_fail_update + 1 WHERE name = :name"
            connection.execute(sa.text(add), {"name": first})
            if len(runs) <= 2:
                turn.wait(timeout=60)  # both hold one row and want the other
            connection.execute(sa.text(add), {"name": second})

        store.write(work)

    side_by_side(lambda: change("a", "b"), lambda: change("b", "a"))
    store.close()
    assert len(runs) == 3
    assert database.query("SELECT count_fail_update FROM certs") == [(2,), (2,)]


def test_a_conflict_lost_in_group_replication(sql_server: SqlServer) -> None:
    """MySQL's error 3101 at the first two tries, raised by a trigger: all is done again, and counts once."""
    made = sql_server.create_database()
    made.execute("CREATE TABLE done (a INT) ENGINE=InnoDB")
    made.execute("""
        CREATE TRIGGER certify AFTER INSERT ON done FOR EACH ROW BEGIN
            SET @tries = COALESCE(@tries, 0) + 1;  -- of the connection, so it is kept when a transaction is undone
            IF @tries < 3 THEN
                SIGNAL SQLSTATE '40000' SET MYSQL_ERRNO = 3101,
                    MESSAGE_TEXT = 'Plugin instructed the server to rollback the current transaction.';
            END IF;
        END""")
    database = opened(made)
    tries: list[sa.Connection] = []

    def work(connection: sa.Connection) -> None:
        tries.append(connection)
        connection.execute(sa.text("INSERT INTO done VALUES (7)"))

    database.write(work)
    database.close()
    assert len(tries) == 3
    assert made.query("SELECT a FROM done") == [(7,)]


def test_a_row_that_changed_since_it_was_read(mariadb: MariaDB) -> None:
    """MariaDB's strict snapshots refuse to change it (error 1020): all is done again, on what stands there now."""
    made = mariadb.create_database()
    made.execute("CREATE TABLE counted (a INT) ENGINE=InnoDB")
    made.execute("INSERT INTO counted VALUES (0)")
    mariadb.sql("SET GLOBAL innodb_snapshot_isolation = ON")
    try:
        database = opened(made)
        seen: list[int] = []

        def work(connection: sa.Connection) -> None:
            seen.append(connection.scalar(sa.text("SELECT a FROM counted")) or 0)
            if len(seen) == 1:
                made.execute("UPDATE counted SET a = 7")
            connection.execute(sa.text("UPDATE counted SET a = a + 1"))

        database.write(work)
        database.close()
    finally:
        mariadb.sql("SET GLOBAL innodb_snapshot_isolation = OFF")
    assert seen == [0, 7]
    assert made.query("SELECT a FROM counted") == [(8,)]


def test_sqlite_waits_for_the_disk_where_a_power_cut_would_hurt(tmp_path: Path) -> None:
    """What is not *durable* leaves that to the next write that is; the same connection serves both."""

    def waits(connection: sa.Connection) -> bool:
        return bool(connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2)

    store = Database(DatabaseSettings(f"sqlite:///{tmp_path}/certfleet.db"))
    store.create()
    seen = [store.write(waits), store.write(waits, durable=False), store.write(waits)]
    store.close()
    assert seen == [True, False, True]


def test_url_of_an_order_is_durable_and_later_steps_are_not(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CA can tell how far an order is, but not which one was ours."""
    seen = []
    write = Database.write

    def watched(database: Database, work: Callable[[sa.Connection], Any], *, durable: bool = True) -> Any:
        seen.append(durable)
        return write(database, work, durable=durable)

    mine = Orders(store, "mine")
    planned = mine.open(NAME, CA, "due", NOW)
    assert planned is not None
    monkeypatch.setattr(Database, "write", watched)
    ordered = mine.save(planned, dataclasses.replace(planned, state=OrderState.ORDERED, url="u"), NOW)
    mine.save(ordered, dataclasses.replace(ordered, state=OrderState.PUBLISHED), NOW)
    assert seen == [True, False]
