"""Servers that take no writes, like a replica or a former primary: another host of the URL is used, if there is one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from issuer.model.errors import StoreError
from tests.issuer.box import Box
from tests.issuer.store.opened import opened
from tests.servers.ca_proxy import CaProxy
from tests.servers.lab import Lab
from tests.servers.mariadb import MariaDB
from tests.servers.process import wait_until
from tests.servers.replicated import Replicated

NAME, COUNT = "www.example.test", 16
WHAT_TO_DO = "no server in [database] url takes writes: start or name the primary, or end its read-only mode"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Replicated]:
    """A primary and its replica."""
    with Replicated(tmp_path) as servers:
        yield servers


def port(connection: sa.Connection) -> int:
    """Which server this is."""
    return int(connection.execute(sa.text("SELECT @@port")).scalar_one())


@pytest.mark.sampled
@pytest.mark.parametrize("rights", ["", "READ ONLY ADMIN"], ids=["bound", "exempt"])
def test_a_replica_that_stands_first(pair: Replicated, lab: Lab, tmp_path: Path, rights: str) -> None:
    """It is passed over, for looking too: it may be behind. Nor is it written to by an account that could."""
    database = pair.create_database(replica_first=True)
    if rights:
        pair.primary.sql(f"GRANT {rights} ON *.* TO `{database.user}`@`%`")
        pair.catch_up()
    box = Box(tmp_path / "box", database, bind=lab.bind, pebble=lab.pebble)
    box.set_up()
    pair.stand_still()
    box.enrol(NAME)
    assert [row["name"] for row in box.ok("status", "--json").report()["certificates"]] == [NAME]
    box.ok("run")
    assert [state for state, _ in box.orders()] == ["STORED"]
    [(own,)] = pair.replica.sql("SELECT GROUP_CONCAT(@@gtid_binlog_state)")
    assert "-2-" not in own, "the replica has written something itself"


@pytest.mark.soak
def test_a_switch_over_in_the_middle_of_a_run(pair: Replicated, lab: Lab, tmp_path: Path) -> None:
    """The primary turns read-only with connections open: the run goes on with the new one, ends with all stored, and
    orders each once."""
    (tmp_path / "proxy").mkdir()
    with CaProxy(tmp_path / "proxy", lab.pebble) as proxy:
        box = Box(tmp_path / "box", pair.create_database(replica_first=False), bind=lab.bind, pebble=lab.pebble)
        box.write(acme={"directory": proxy.directory, "ca_bundle": str(proxy.ca_file)})
        box.set_up()
        names = [f"s{number:03d}.lab.test" for number in range(COUNT)]
        box.add_zone(*names)
        lab.bind.reconfigure()
        for name in names:
            box.populate(name)
        pair.catch_up()
        former = pair.primary
        run = box.start("run")
        wait_until(lambda: stored(box) >= 5, "some are stored")
        pair.switch_over()
        before = former.sql("SELECT @@gtid_binlog_pos")
        out, err = run.communicate(timeout=480)
        assert run.returncode == 0, out + err
        ordered = [(request.payload or {})["identifiers"][0]["value"] for request in proxy.paths("order-plz")]
    assert sorted(ordered) == sorted(names)
    assert stored(box) == COUNT
    assert box.database.query("SELECT COUNT(*) FROM certs WHERE crt IS NOT NULL") == [(COUNT,)]
    assert box.database.query("SELECT COUNT(*) FROM challenges") == [(0,)]
    assert former.sql("SELECT @@gtid_binlog_pos") == before


def stored(box: Box) -> int:
    return [state for state, _ in box.orders()].count("STORED")


def test_who_only_reads_notices_a_switch_over(pair: Replicated) -> None:
    """A daemon with nothing due writes nothing, and must not look at the former primary for ever."""
    database = opened(pair.create_database(replica_first=False), look_again_seconds=1)
    assert database.read(port) == pair.primary.port
    pair.switch_over()
    wait_until(lambda: database.read(port) == pair.primary.port, "the new primary is read")
    database.close()


@pytest.mark.soak
def test_no_server_takes_writes(pair: Replicated, tmp_path: Path) -> None:
    """Looking works, every change is refused with what to do; and all is well as soon as one takes writes again."""
    box = Box(tmp_path / "box", pair.create_database(replica_first=False))
    box.set_up()
    box.populate(NAME)
    pair.primary.read_only(True)
    assert NAME in box.ok("status").out
    findings = box.run("check", "--json").report()["findings"]
    assert WHAT_TO_DO in [line["what_to_do"] for line in findings if line["subject"] == "database"]
    assert NAME in [line["subject"] for line in findings]
    box.refused("disable", NAME, code=1, says=["read-only", WHAT_TO_DO, f"{pair.primary.port}, localhost:"])
    pair.primary.read_only(False)
    box.ok("disable", NAME)


def innodb_read_only(server: MariaDB) -> None:
    """As after damage; it cannot be had while the server runs."""
    server.stop()
    server.options = (*server.options, "--innodb-read-only", "--skip-slave-start")
    server.start()


@pytest.mark.sampled
@pytest.mark.parametrize(
    "turn",
    [
        lambda server: server.read_only(True),
        lambda server: server.sql("SET GLOBAL TRANSACTION READ ONLY"),
        innodb_read_only,
    ],
    ids=["read_only", "transaction_read_only", "innodb_read_only"],
)
def test_ways_to_be_read_only(pair: Replicated, turn: Callable[[MariaDB], object]) -> None:
    """Whichever way a server refuses to write, the next host is used; where there is none, the hint is the same."""
    shared = pair.create_database(replica_first=False)
    pair.primary.sql("CREATE TABLE t (a INT) ENGINE=InnoDB", shared.url.rpartition("/")[2])
    pair.stand_still()
    pair.replica.read_only(False)
    first, second = pair.primary, pair.replica
    turn(first)
    database = opened(shared)
    assert database.write(port) == database.read(port) == second.port
    database.close()
    turn(second)
    database = opened(shared)
    with pytest.raises(StoreError) as caught:
        database.write(lambda connection: connection.execute(sa.text("INSERT INTO t VALUES (1)")))
    assert caught.value.hint == WHAT_TO_DO
    database.close()
