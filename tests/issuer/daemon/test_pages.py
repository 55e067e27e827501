"""/healthz and /metrics: what they say, how cheap they are, and what they refuse."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from common.certificate import not_after, parse_bundle
from common.errors import ConfigError
from issuer.loops.health import LONGEST_SILENCE, LONGEST_TICK, Health
from issuer.loops.listen import Answer, Listener, is_ours, over_loopback
from issuer.loops.metrics import MOST_CERTIFICATES, Metrics
from issuer.model.config import DatabaseSettings
from issuer.model.orders import Cause
from issuer.store import migrate
from issuer.store.database import Database
from issuer.store.due_queries import DueQueries
from issuer.store.tables import certs, orders
from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
from tests.issuer.migrated import migrated
from tests.servers import database as servers
from tests.servers.authority import Authority
from tests.servers.ports import free_port, release_port
from tests.servers.process import wait_until

DAY = 86400


def samples(text: str) -> dict[tuple[str, str], float]:
    """(name, value of the one label) → value of each sample."""
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_numbers_of_a_daemon_at_work(box: Box) -> None:
    """After a success and a failure /metrics shows both, the duration, the propagation and the time to expiry."""
    box.write(renewal={"retry": ["1h"]}, acme={"limit_new_orders": "300/3h"})
    name = box.enrol("www.example.test")
    with Service(box) as service:
        service.wait_stored(name)
        box.populate("nowhere.test")  # without a zone
        service.wait_logged("certificate.failed")

        def numbers() -> dict[tuple[str, str], float]:
            return samples(service.get("/metrics")[1])

        wait_until(
            lambda: numbers().get(("certfleet_certificates_failing", "")) == 1, "a survey of the database shows it", 75
        )
        seen = numbers()
    assert seen["certfleet_certificates_issued_total", ""] == 1
    assert sum(value for (key, _), value in seen.items() if key == "certfleet_attempts_failed_total") == 1
    assert any(label.startswith("dns") for key, label in seen if key == "certfleet_attempts_failed_total")
    assert seen["certfleet_certificates", ""] == 2
    assert seen["certfleet_certificates_issued_present", ""] == 1
    assert seen["certfleet_certificates_due", ""] == 0
    assert 89 * DAY < seen["certfleet_certificate_expiry_seconds", name] <= 90 * DAY
    assert seen["certfleet_certificate_expiry_seconds_min", ""] == pytest.approx(
        seen["certfleet_certificate_expiry_seconds", name]
    )
    assert seen["certfleet_order_duration_seconds_count", ""] == 1
    assert 0 < seen["certfleet_order_duration_seconds_sum", ""] < 120
    assert seen["certfleet_orders_left", box.document["acme"]["directory"]] == 299
    assert [value for (key, _), value in seen.items() if key == "certfleet_propagation_seconds"]
    assert seen["certfleet_healthy", ""] == 1
    assert ("certfleet_build_info", "certfleet_build_info") not in seen
    assert any(key == "certfleet_build_info" for key, _ in seen)
    assert any(key == "process_resident_memory_bytes" for key, _ in seen)


@pytest.fixture
def fleet(database: servers.Database) -> Iterator[Database]:
    """4,000 enabled certificates that expire hour after hour, ten of them due, a few failing; four orders."""
    made = Database(DatabaseSettings(database.url, database.password_file, database.tls_ca))
    migrated(database, lambda: migrate.upgrade(made))
    now = int(time.time())
    made.write(lambda connection: _fill(connection, now))
    yield made
    made.close()


def _fill(connection: sa.Connection, now: int) -> None:
    row = {"enable": "Y", "certbot": "N", "csr": b"x" * 900, "crt": b"x" * 2000, "ca": b"x" * 2000}
    rows: list[dict[str, Any]] = [
        row
        | {
            "name": f"host{number:05}.example.test",
            "ts_expire": now + 3600 * number - 1800,
            "due_at": now - 5 if number < 10 else now + DAY,
            "count_fail_update": 12 if number in (0, 1, 7) else 1 if number < 5 else 0,
            "last_error": "no server" if number < 5 else None,  # an old script has counted one more
            "change_due_at": now + DAY if number == 8 else None,
            "change_failures": 12 if number == 8 else 0,
        }
        for number in range(4_000)
    ]
    for start in range(0, len(rows), 2000):
        connection.execute(certs.insert(), rows[start : start + 2000])
    order = {"state": "PUBLISHED", "directory": "https://ca/dir", "created_at": 1, "updated_at": 1}
    names = ["host00003.example.test", "host00700.example.test"]
    connection.execute(orders.insert(), [order | {"name": name, "active_name": name} for name in names])
    names = ["host00009.example.test", "host00999.example.test"]  # the one is due, the other is not
    by_hand = order | {"reason": Cause.BY_HAND.value, "deadline": now + DAY}
    connection.execute(orders.insert(), [by_hand | {"name": name, "active_name": name} for name in names])


def _plan(connection: sa.Connection, statement: str, parameters: Any) -> list[tuple[Any, ...]]:
    word = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
    return [tuple(step) for step in connection.exec_driver_sql(word + statement, parameters)]


def test_a_large_table_is_counted_and_shown_within_bounds(fleet: Database) -> None:
    """Only the first thousand to expire have a series of their own; all of them are in the counts."""
    now = int(time.time())
    survey = DueQueries(fleet, "me").survey(now, stuck_after=10, most=MOST_CERTIFICATES)
    assert (survey.enabled, survey.issued, survey.due, survey.failing, survey.stuck) == (4_000, 4_000, 9, 6, 3)
    assert survey.orders == {"PUBLISHED": 4}
    assert len(survey.soonest) == MOST_CERTIFICATES
    assert survey.soonest[0][0] == "host00000.example.test"
    assert (survey.expiring[0], survey.expiring[1], survey.expiring[7]) == (1, 25, 169)
    metrics = Metrics("1", Health(time.monotonic), time.time)
    metrics.survey = survey
    content_type, body = metrics.render("")
    seen = samples(body.decode())
    assert content_type.startswith("text/plain")
    assert sum(key == "certfleet_certificate_expiry_seconds" for key, _ in seen) == MOST_CERTIFICATES
    assert seen["certfleet_certificates_expiring", str(7 * DAY)] == 169


def test_an_end_that_the_table_hides_is_counted(fleet: Database) -> None:
    """The certificate itself says when it ends, where our own memory tells which one to look at."""
    now, hidden = int(time.time()), "host03000.example.test"
    issued = Authority("CA").issue([hidden], days=0.5)
    change = certs.update().where(certs.c.name == hidden).values(crt=issued.cert_pem, ts_expire=9_999_999_999)
    fleet.write(lambda connection: connection.execute(change))
    counted = DueQueries(fleet, "me").survey(now, stuck_after=10, most=MOST_CERTIFICATES)
    assert hidden not in dict(counted.soonest)
    survey = DueQueries(fleet, "me").survey(now, stuck_after=10, most=MOST_CERTIFICATES, besides=[hidden, "gone"])
    assert dict(survey.soonest)[hidden] == not_after(parse_bundle(issued.cert_pem).leaf)
    assert len(survey.soonest) == MOST_CERTIFICATES
    assert (survey.expiring[0], survey.expiring[1], survey.expiring[90]) == (1, 26, counted.expiring[90])


def test_the_look_of_every_few_seconds_uses_indexes(fleet: Database) -> None:
    """What is due and what was left over is found without walking through the table."""
    lookout, now = DueQueries(fleet, "me"), int(time.time())
    assert len(lookout.due(now, 1000)) == 10
    assert len(lookout.due(now, 4)) == 4
    assert [mark.name for mark in lookout.left_over(now)] == ["host00003.example.test"]  # the other one waits
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        asked.append((statement, parameters))

    sa.event.listen(fleet._engine, "before_cursor_execute", note)
    lookout.due(now, 1000)
    lookout.left_over(now)
    sa.event.remove(fleet._engine, "before_cursor_execute", note)
    questions = [entry for entry in asked if " FROM certs" in entry[0].replace("\n", " ")]
    assert len(questions) == 8  # of certificates, of changes that wait, and of orders
    for statement, parameters in questions:
        for step in fleet.read(partial(_plan, statement=statement, parameters=parameters)):
            assert "SCAN" not in str(step), step
            assert not {"ALL", "index"} & set(step), step


def test_health_says_what_is_wrong() -> None:
    """Not asked yet, a loop that stands, a database that is away or silent: each is a sentence; else nothing."""
    now = [1000.0]
    health = Health(lambda: now[0])
    assert health.faults() == ["the database has not been asked yet"]
    health.database_answered()
    assert health.faults() == []
    health.database_failed("gone")
    assert health.faults() == ["gone"]
    health.database_answered()
    now[0] += LONGEST_TICK + 1
    assert health.faults() == ["the loop has not come round for 31s"]
    health.ticked()
    now[0] += LONGEST_SILENCE
    health.ticked()
    assert health.faults() == ["the database has not answered for 91s"]


def test_kinds_of_failure_are_bounded() -> None:
    """A CA that invents a new kind of problem each time makes one series more at most."""
    metrics = Metrics("1", Health(time.monotonic), time.time)
    for number in range(500):
        metrics.failed(f"acme-{number}")
    seen = samples(metrics.render("")[1].decode())
    assert sum(key == "certfleet_attempts_failed_total" for key, _ in seen) < 100
    assert sum(value for (key, _), value in seen.items() if key == "certfleet_attempts_failed_total") == 500


@pytest.fixture
def listener() -> Iterator[Listener]:
    """One page on loopback."""
    port = free_port()
    made = Listener(
        f"127.0.0.1:{port}", {"/page": lambda asked: Answer(200, "text/plain", f"for {asked.accept}".encode())}
    )
    yield made
    made.close()
    release_port(port)


def ask(listener: Listener, request: bytes) -> bytes:
    host, _, port = listener.address.partition(":")
    with closing(socket.create_connection((host, int(port)), timeout=10)) as plain:
        plain.sendall(request)
        with plain.makefile("rb") as answer:
            return answer.read()


def test_what_the_listener_answers(listener: Listener) -> None:
    """GET and HEAD of a page; 404 for others, 501 for other methods; queries are ignored."""
    assert ask(listener, b"GET /page?x=1 HTTP/1.0\r\nAccept: me\r\n\r\n").endswith(b"\r\n\r\nfor me")
    assert ask(listener, b"HEAD /page HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\n")
    assert b" 404 " in ask(listener, b"GET /etc/passwd HTTP/1.0\r\n\r\n").splitlines()[0]
    assert b" 501 " in ask(listener, b"POST /page HTTP/1.0\r\n\r\n").splitlines()[0]


def test_a_client_that_hangs_or_leaves_does_no_harm(listener: Listener, capfd: pytest.CaptureFixture[str]) -> None:
    """One that sends nothing and one that resets the connection keep no other waiting and print no traceback."""
    host, _, port = listener.address.partition(":")
    before = set(threading.enumerate())
    with closing(socket.create_connection((host, int(port)), timeout=10)):
        with closing(socket.create_connection((host, int(port)), timeout=10)) as rude:
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            rude.sendall(b"GET /page HTTP/1.0\r\n")
        assert ask(listener, b"GET /page HTTP/1.0\r\n\r\n")
    wait_until(lambda: set(threading.enumerate()) <= before, "the end of both clients, whose threads may say something")
    assert capfd.readouterr().err == ""


def test_a_thousand_slow_connections(listener: Listener) -> None:
    """They take a few descriptors of the process, no more, and the page answers while they are open. Those that stay
    end by themselves, also when they send a byte now and then."""
    host, _, port = listener.address.partition(":")
    ours, before = [], len(list(Path("/proc/self/fd").iterdir()))
    with ExitStack() as stack:
        for _ in range(1000):
            slow = stack.enter_context(closing(socket.create_connection((host, int(port)), timeout=10)))
            slow.sendall(b"GET /page HTTP/1.0\r\n")
            ours.append(slow)
        assert ask(listener, b"GET /page HTTP/1.0\r\nAccept: me\r\n\r\n").endswith(b"for me")
        assert len(list(Path("/proc/self/fd").iterdir())) - before - 1000 <= 2 * 32
        began = time.monotonic()
        with suppress(OSError):
            while time.monotonic() < began + 30:
                ours[-1].sendall(b"X")
                time.sleep(0.2)
        assert time.monotonic() - began < 15
        assert ask(listener, b"GET /page HTTP/1.0\r\nAccept: me\r\n\r\n").endswith(b"for me")


def test_a_page_in_a_browser_cannot_read_the_daemons(listener: Listener) -> None:
    """One whose own name resolves to loopback by now is refused; our addresses and this machine's name are not."""
    for host in ("evil.example", "evil.example:9402", "localhost.evil.example", "192.0.2.1:9402", "[2001:db8::1]:1"):
        answer = ask(listener, f"GET /page HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert b" 421 " in answer.splitlines()[0], host
        assert b"for" not in answer.splitlines()
    for host in (listener.address, "127.0.0.1", "LOCALHOST:9402", "[::1]:9402", os.uname().nodename):
        assert b" 200 " in ask(listener, f"GET /page HTTP/1.0\r\nHost: {host}\r\n\r\n".encode()).splitlines()[0], host
    assert is_ours("10.0.0.5:9402", "::ffff:10.0.0.5")
    assert not is_ours("10.0.0.6", "10.0.0.5")


def test_what_comes_over_loopback() -> None:
    """Both ends are of this machine, in any spelling; an address of ours that the network reaches does not count."""
    assert over_loopback("127.0.0.1", "127.0.0.2")
    assert over_loopback("::1", "::ffff:127.0.0.1")
    assert not over_loopback("10.0.0.5", "10.0.0.5")
    assert not over_loopback("10.0.0.5", "127.0.0.1")
    assert not over_loopback("127.0.0.1", "fe80::1%eth0")


def test_an_address_that_cannot_be_had(listener: Listener) -> None:
    """A port in use and an address that is not ours are findings of the configuration."""
    for address in (listener.address, "192.0.2.1:9402"):
        with pytest.raises(ConfigError, match=r"daemon\.listen"):
            Listener(address, {})


@pytest.mark.parametrize("listen", ["9402", "localhost:9402", "127.0.0.1:0", "127.0.0.1:http", ":9402"])
def test_an_address_that_cannot_be_meant(lone_box: Box, listen: str) -> None:
    """Only an IP address with a port, or nothing: no name that may mean another host tomorrow."""
    lone_box.document["daemon"] = {"listen": listen}
    lone_box.write()
    lone_box.refused("daemon", code=2, says=["daemon.listen", "must be an IP address and a port"])
