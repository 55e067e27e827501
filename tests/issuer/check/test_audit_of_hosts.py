"""The audit beside what hosts report: other machines write that, any number of names, and names that are none."""

import dataclasses
import time

import pytest

from issuer.check import audit
from issuer.check.audit import Surroundings
from issuer.dns.find.resolvers import Resolvers
from issuer.model.audit import Kind
from issuer.model.enrolment import Enrolment, Validation
from issuer.model.hosts import HostState, Report, Standing
from issuer.rules.audit import of_hosts
from tests.issuer.box import NOBODY, Box
from tests.issuer.host_reports import NAME, report, take_in

ROW = Enrolment(NAME, True, Validation(), b"", b"", b"", None, 0, 0, None, "", imported=True)
ODD = ("..", "a" * 64 + ".test", "\\999.test", "a\x1b[2Jb")


def standing(host: str, account: str = "agent") -> Standing:
    return Standing(Report(NAME, host, account, "", 0, "failed", int(time.time())), HostState.NOT_WELL, bad=True)


class Counting(Resolvers):
    """Knows an address for every name, after a while."""

    def __init__(self, seconds: float = 0.0):
        super().__init__([NOBODY])
        self.asked: list[str] = []
        self.seconds = seconds

    def addresses(self, name: str, *, every: bool = False) -> list[str]:
        self.asked.append(name)
        time.sleep(self.seconds)
        return ["192.0.2.1"]


def test_a_host_whose_name_is_none(lone_box: Box) -> None:
    """It costs a comparison of addresses, and no other finding."""
    take_in(lone_box, NAME)
    for host in ODD:
        report(lone_box, host, state="failed")
    found = lone_box.run("audit", "--json").report()["findings"]
    assert [one["kind"] for one in found] == ["host"] * 4 + ["name-unresolved"]


def test_an_account_with_many_hosts_hides_no_other() -> None:
    """A certificate has few findings about hosts, with each account's first; the others are counted."""
    flood = [standing(f"h{number}", "thief") for number in range(500)]
    found = of_hosts(ROW, [*flood, standing("web1", "honest")], int(time.time()))
    assert [one.kind for one in found] == [Kind.HOST] * 21
    assert any(one.evidence.startswith("web1: ") for one in found)
    assert found[-1].evidence == "481 more of its hosts are not well"
    assert len(of_hosts(ROW, flood[:20], int(time.time()))) == 20


def test_names_of_hosts_have_a_time_for_all(lone_box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is looked up once; where they are slow, and there is no time any more, none is compared."""
    monkeypatch.setattr(audit, "_HOSTS_SECONDS", 0.05)
    take_in(lone_box, NAME)
    row = dataclasses.replace(ROW, crt=bytes(lone_box.row(NAME, "crt")[0]))
    resolvers = Counting(0.02)
    look = Surroundings(resolvers, [], lambda _way: None, None)
    for _ in range(3):
        look.findings(row, [standing(f"h{number}.test") for number in range(100)])
    assert resolvers.asked.count(NAME) == 3
    assert 1 <= len(resolvers.asked) - 3 <= 5
