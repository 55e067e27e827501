"""What `status` tells of the hosts, and that nobody can flood it."""

import json
import time

import pytest

from issuer.store import hosts as hosts_store
from tests.issuer.box import Box
from tests.issuer.host_reports import DAY, NAME, OLD, present, report, settings, take_in


def test_the_list_counts_hosts_by_how_they_are(stored: Box) -> None:
    """Exit code 1 while one is bad; a disabled certificate has hosts that nobody asked us to keep fresh."""
    report(stored, "web1")
    assert stored.ok("status").out.count("host") == 0
    settings(stored, behind="0s")
    report(stored, "web2", **OLD)
    report(stored, "web3", ago=5 * DAY)
    report(stored, "web4", state="failed")
    report(stored, "web5", **OLD, not_after=int(time.time()) - 5)
    words = "valid, 1 host serves an expired one, 1 host not well, 1 host silent, 1 host behind"
    stored.fails("status", says=[words])
    [fact] = stored.run("status", "--json").report()["certificates"]
    assert (fact["well"], fact["hosts_not_well"]) == (False, 4)
    assert fact["hosts"] == {"expired": 1, "not well": 1, "silent": 1, "behind": 1}
    stored.ok("disable", NAME)
    assert "host" not in stored.ok("status").out


def test_a_change_of_one_cell_hides_no_host_that_is_behind(stored: Box) -> None:
    """The certificate itself is compared, and its own end: not the moments beside it."""
    settings(stored, behind="0s")
    sha256, not_after = present(stored)
    report(stored, "web1", sha256="1" * 64, not_after=not_after)
    for cell in (
        "ts_last_update = 9999999999",
        "ts_expire = 9999999999",
        "hosts_look_at = NULL",
        "due_at = 9999999999",
    ):
        stored.database.execute(f"UPDATE certs SET {cell}")  # noqa: S608
        stored.fails("status", says=["1 host behind"])
    assert sha256


def test_both_reports_of_two_accounts_are_shown(stored: Box) -> None:
    """An account that reports for the host of another neither replaces nor hides that report."""
    report(stored, "web1", account="agent-web1", ago=5 * DAY)
    report(stored, "web1", account="thief")
    text = stored.fails("status", NAME, says=[f"{NAME}: valid, 1 host silent"]).out
    for words in ("agent-web1\n", "thief\n", "  web1: silent since 20"):
        assert words in text
    facts = stored.run("status", NAME, "--json").report()["certificates"][0]["installations"]
    assert [(one["account"], one["standing"], one["well"]) for one in facts] == [
        ("agent-web1", "silent", False),
        ("thief", "current", True),
    ]


def test_hosts_as_a_list_the_worst_first(stored: Box) -> None:
    """One line a host; --failing only those that are not well; the exit code is that of the hosts."""
    report(stored, "web1")
    report(stored, "web2", ago=5 * DAY)
    report(stored, "web3", state="failed", detail="nginx -t says\nno \x1b[2J", account="agent-web3")
    lines = stored.fails("status", "--hosts", says=[]).out.splitlines()
    assert [line.split()[0] for line in lines] == ["HOST", "web3", "web2", "web1"]
    assert "failed: nginx -t says no \\x1b[2J" in lines[1]
    assert len(stored.fails("status", "--hosts", "--failing", says=[]).out.splitlines()) == 3
    document = stored.run("status", "--hosts", "--json").report()
    assert [(one["host"], one["standing"]) for one in document["hosts"]] == [
        ("web3", "not well"),
        ("web2", "silent"),
        ("web1", "current"),
    ]
    report(stored, "web4", ago=400 * DAY)  # it was taken down: it hides no other
    document = stored.run("status", "--hosts", "--json").report()
    assert [(one["host"], one["well"]) for one in document["hosts"]][2:] == [("web4", True), ("web1", True)]
    stored.ok("hosts", "forget", "web2", "web3")
    stored.ok("status", "--hosts", NAME)
    report(stored, "web1", state="failed")
    stored.ok("disable", NAME)  # nobody is to do anything
    assert [one["well"] for one in stored.ok("status", "--hosts", "--json").report()["hosts"]] == [True, True]


def test_only_what_fails_or_ends_soon(stored: Box) -> None:
    """--failing and --expiring choose; what is left out does not make the exit code."""
    stored.populate("new.example.test")
    assert stored.ok("status", "--failing").out == "none\n"
    assert NAME in stored.ok("status", "--expiring", "400d").out
    assert "new.example.test" not in stored.ok("status", "--expiring", "400d").out
    assert stored.ok("status", "--expiring", "1d").out == "none\n"
    take_in(stored, "zz.example.test", left=20)
    for name, left in (("aa.example.test", 60), ("mm.example.test", 40)):
        take_in(stored, name, left=left)
    lines = stored.ok("status", "--expiring", "70d").out.splitlines()
    ordered = ["zz.example.test", "mm.example.test", "aa.example.test"]
    assert [line.split()[0] for line in lines] == ["NAME", *ordered]
    facts = stored.ok("status", "--expiring", "70d", "--json").report()["certificates"]
    assert [fact["name"] for fact in facts] == ordered
    report(stored, "web1", state="failed")
    stored.ok("status", "--expiring", "1d")
    lines = stored.fails("status", "--failing", says=[]).out.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", NAME]
    facts = stored.run("status", "--failing", "--json").report()["certificates"]
    assert [fact["name"] for fact in facts] == [NAME]
    refused = stored.run("status", "--expiring", "soon")
    assert (refused.code, "'soon' is not a duration" in refused.err) == (2, True)


@pytest.mark.soak
def test_a_flood_of_reports_is_bounded_output(stored: Box) -> None:
    """4000 reports of one account: twenty lines and a count, among them that of another account, in seconds."""
    report(stored, "web1", account="honest", ago=5 * DAY)
    digits = " UNION ALL ".join(f"SELECT {digit} AS n" for digit in range(10))
    many = ", ".join(f"({digits}) AS t{place}" for place in range(3))
    number = " + ".join(f"t{place}.n * {10**place}" for place in range(3))
    for more in "abcd":
        host = f"REPLACE('{more}NUMBER', 'NUMBER', {number})"
        values = f"'{NAME}', {host}, 'thief', 'failed', '{'x' * 2000}', {int(time.time())}"
        into = "installations (name, host, account, state, detail, ts_report)"
        stored.database.execute(f"INSERT INTO {into} SELECT {values} FROM {many}")  # noqa: S608
    began = time.process_time()
    text = stored.fails("status", NAME, says=["4000 hosts not well, 1 host silent", "and 3981 more"]).out
    assert "web1: silent since" in text
    assert len(text) < 20_000
    assert len(json.dumps(stored.run("status", NAME, "--json").report())) < 80_000
    listed = stored.fails("status", "--hosts", says=["and 3001 more"]).out
    assert "web1 " in listed
    assert len(listed.splitlines()) == 1002
    assert time.process_time() - began < 5


def test_accounts_with_many_reports_hide_no_other(stored: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a look reads has a bound. Three hosts that fill it, about a certificate that comes first, are not enough."""
    monkeypatch.setattr(hosts_store, "_REPORTS", hosts_store._fairly(10))
    take_in(stored, "aaa.example.test")
    for number in range(30):
        report(stored, f"h{number}", name="aaa.example.test", account=f"thief{number % 3}", sha256="")
    report(stored, "web1", account="web1", state="failed")
    stored.fails("status", says=["1 host not well"])
