"""Secondaries behind their primary until they are told, or for a moment, and what they hear from us meanwhile."""

import math
import socket
import threading
from pathlib import Path
from typing import Self

import dns.flags
import dns.message
import dns.query

from tests.issuer.box import Box
from tests.servers.bind import Bind
from tests.servers.database import SqliteDatabase
from tests.servers.lab import Lab
from tests.servers.pebble import Pebble
from tests.servers.ports import LOOPBACK
from tests.servers.process import START_SECONDS


class Laggard:
    """Context manager: a secondary that shows nothing to the first *late* questions, then what its primary shows.

    *heard* keeps every question.
    """

    def __init__(self, primary: Bind, late: int) -> None:
        self.heard: list[dns.message.Message] = []
        self._primary, self._late = primary, late
        self._ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._ear.bind((LOOPBACK, 0))
        self.endpoint = f"{LOOPBACK}:{self._ear.getsockname()[1]}"
        self._thread = threading.Thread(target=self._answer, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ear.sendto(b"", self._ear.getsockname())
        self._thread.join()
        self._ear.close()

    def _answer(self) -> None:
        while (heard := self._ear.recvfrom(65535))[0]:
            query = dns.message.from_wire(heard[0])
            self.heard.append(query)
            if len(self.heard) > self._late:
                answer = dns.query.udp(query, self._primary.address, port=self._primary.port, timeout=5)
            else:
                answer = dns.message.make_response(query)
                answer.flags |= dns.flags.AA
            self._ear.sendto(answer.to_wire(), heard[1])


def test_a_moment_behind_costs_a_moment(box: Box, lab: Lab) -> None:
    """The first looks follow each other within a second: who shows it at the sixth does so before three seconds are
    over. Each asks for what the server itself has, without recursion."""
    with Laggard(lab.bind, late=5) as laggard:
        box.write(dns={"nameservers": [laggard.endpoint], "propagation_timeout": "3s"})
        box.enrol("www.example.test")
        box.ok("run")
    assert len(laggard.heard) == 6
    assert not any(query.flags & dns.flags.RD for query in laggard.heard)


def test_the_first_try_succeeds_where_haste_fails(tmp_path: Path) -> None:
    """Waiting for both servers, the one and only order is validated at once when the secondary has caught up; a client
    that answers as soon as the primary shows the record fails on the same servers, and is told that the CA did ask."""
    with Bind(tmp_path / "bind") as bind:
        box = Box(tmp_path / "box", SqliteDatabase(tmp_path), bind=bind)
        box.set_up()
        for name in ("hasty.example.test", "patient.example.test"):
            box.add_zone(name)
        bind.reconfigure()
        with (
            Bind(tmp_path / "late", secondary_of=bind, lag_seconds=math.inf, query_log=True) as late,
            Pebble(tmp_path / "pebble", late.endpoint) as pebble,
        ):
            box.trust(pebble)
            box.write(dns={"nameservers": [bind.endpoint], "query_logs": [str(late.folder / "named.log")]})
            hasty = box.populate("hasty.example.test")
            asked = f"our name server was asked for {hasty} by 127.0.0.1 at 2"
            box.fails("run", says=["the CA could not validate", asked, "(TXT)"])
            assert [state for state, _ in box.orders(hasty)] == ["FAILED"]
            box.ok("disable", hasty)
            box.write(dns={"nameservers": [bind.endpoint, late.endpoint]})
            patient = box.populate("patient.example.test")
            run = box.start("run")
            assert run.stdout is not None
            said = run.stdout.readline()
            assert f"({patient}): {late.endpoint}: does not show 1 of 1 values yet; looks again at 20" in said
            late.refresh()
            out, err = run.communicate(timeout=START_SECONDS)
            assert (run.returncode, err) == (0, ""), out + err
            assert [state for state, _ in box.orders(patient)] == ["STORED"]
