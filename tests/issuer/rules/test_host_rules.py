"""How a host stands, and in which order hosts are shown."""

from datetime import UTC, datetime
from typing import Any

import pytest

from common.certificate import leaf_fingerprint, leaf_validity
from common.clock import utc_text
from issuer.model.config_watch import HostSettings
from issuer.model.enrolment import Enrolment, Validation
from issuer.model.hosts import HostState, Report, Standing
from issuer.rules.hosts import count_words, standing, words, worst_first
from tests.servers.authority import Authority

DAY = 86400
ISSUED = Authority("Test").issue(["www.example.test"], not_before=datetime(2026, 1, 1, tzinfo=UTC))
POLICY = HostSettings()


PRESENT = leaf_fingerprint(ISSUED.cert_pem)
START, ENDS = leaf_validity(ISSUED.cert_pem)
NOW = START + 10 * DAY
OLD = "0" * 64


def row(**changes: Any) -> Enrolment:
    given: dict[str, Any] = {"name": "www.example.test", "enabled": True, "validation": Validation(), "csr": b""}
    given |= {"crt": ISSUED.cert_pem, "ca": b"", "ts_expire": 0, "ts_last_update": START}
    return Enrolment(**given | {"failures": 0, "due_at": None, "reissue_reason": ""} | changes)


def report(**changes: Any) -> Report:
    usual = {"sha256": PRESENT, "not_after": ENDS, "state": "installed", "reported_at": NOW - 3600}
    return Report(**{"name": "www.example.test", "host": "web1", "account": "agent-web1", **usual, **changes})


@pytest.mark.parametrize(
    ("said", "of_row", "state", "since"),
    [
        ({}, {}, HostState.CURRENT, 0),
        ({"state": "unprovable"}, {}, HostState.NOT_PROVABLE, 0),
        ({"state": "waiting", "sha256": "", "not_after": 0}, {"crt": b""}, HostState.WAITING, 0),
        ({"state": "not-enrolled", "sha256": "", "not_after": 0}, {"crt": b"damaged"}, HostState.WAITING, 0),
        # behind: after two days; by the row's moment, unless that cannot be
        ({"sha256": OLD}, {"ts_last_update": NOW - 2 * DAY + 1}, HostState.WAITING, NOW - 2 * DAY + 1),
        ({"sha256": OLD}, {"ts_last_update": NOW - 2 * DAY}, HostState.BEHIND, NOW - 2 * DAY),
        ({"sha256": OLD}, {"ts_last_update": NOW + 9}, HostState.BEHIND, START),
        ({"sha256": OLD}, {"ts_last_update": 1}, HostState.BEHIND, START),
        ({"sha256": ""}, {}, HostState.BEHIND, START),
        # silent: after three days
        ({"reported_at": NOW - 3 * DAY}, {}, HostState.CURRENT, 0),
        ({"reported_at": NOW - 3 * DAY - 1}, {}, HostState.SILENT, NOW - 3 * DAY - 1),
        ({"reported_at": NOW - 9 * DAY, "sha256": OLD}, {}, HostState.SILENT, NOW - 9 * DAY),
        # not well: by the words that say so, those that nobody knows, and a moment that is to come
        *(
            ({"state": word}, {}, HostState.NOT_WELL, NOW - 3600)
            for word in ("broken", "failed", "refused", "unproven", "unreachable", "of-tomorrow", "")
        ),
        ({"reported_at": NOW + DAY}, {}, HostState.CURRENT, 0),
        ({"reported_at": NOW + DAY + 1}, {}, HostState.NOT_WELL, NOW + DAY + 1),
        # expired: by the certificate itself where it is the present one, else by what the host says of it
        ({"sha256": OLD, "not_after": NOW}, {}, HostState.EXPIRED, NOW),
        ({"sha256": OLD, "not_after": NOW, "state": "failed"}, {}, HostState.EXPIRED, NOW),
        ({"sha256": OLD, "not_after": NOW - 5, "reported_at": NOW - 9 * DAY}, {}, HostState.EXPIRED, NOW - 5),
        ({"not_after": 1}, {}, HostState.CURRENT, 0),
        ({"sha256": "", "not_after": 1, "state": "waiting"}, {"crt": b""}, HostState.WAITING, 0),
    ],
)
def test_how_a_host_stands(said: dict[str, Any], of_row: dict[str, Any], state: HostState, since: int) -> None:
    """The worst that is true of it, and since when."""
    found = standing(report(**said), row(**of_row), NOW, POLICY)
    assert (found.state, found.since) == (state, since)


def test_the_present_one_has_expired_whatever_the_host_says() -> None:
    """The end is that of the certificate: a report cannot prolong it."""
    late = ENDS + 1
    found = standing(report(not_after=ENDS + 99 * DAY, reported_at=late), row(), late, POLICY)
    assert (found.state, found.since) == (HostState.EXPIRED, ENDS)


def test_how_long_each_may_take_is_a_setting() -> None:
    slow = HostSettings(silent=20 * DAY, behind=20 * DAY)
    assert standing(report(reported_at=NOW - 9 * DAY), row(), NOW, slow).state is HostState.CURRENT
    assert standing(report(sha256=OLD), row(), NOW, slow).state is HostState.WAITING


def test_a_host_that_was_taken_down_does_not_count() -> None:
    """A month after its last report."""
    for age, bad in ((30 * DAY, False), (30 * DAY - 1, True)):
        silent = standing(report(reported_at=NOW - age), row(), NOW, POLICY)
        assert (silent.state, silent.bad) == (HostState.SILENT, bad)


def test_an_account_with_many_hides_no_other() -> None:
    """The worst of each account comes first, then the second ones; of one account, the worst first."""

    def of(account: str, host: str, state: HostState) -> Standing:
        return Standing(report(account=account, host=host), state, bad=not state.is_well)

    many = [of("thief", f"h{number}", HostState.EXPIRED) for number in range(50)]
    honest = [
        of("web", "web1", HostState.CURRENT),
        of("web", "web2", HostState.BEHIND),
        of("web", "web3", HostState.SILENT),
    ]
    gone = Standing(report(account="web", host="web0"), HostState.EXPIRED)  # it was taken down
    shown = [one.report.host for one in worst_first([*many, gone, *honest])]
    assert shown[:4] == ["h0", "web3", "h1", "web2"]
    assert shown[-2:] == ["web0", "web1"]


def test_what_a_host_says_is_one_bounded_line() -> None:
    """No character steers a terminal or makes a line of its own."""
    said = Standing(report(state="fai\x1b[2Jled"), HostState.NOT_WELL)
    text = words(said, NOW, "no\nerror: fake " + "x" * 9999)
    assert text.startswith("fai\\x1b[2Jled: no error: fake xxx")
    assert len(text) < 400
    assert utc_text(NOW + 2 * DAY) in words(Standing(report(reported_at=NOW + 2 * DAY), HostState.NOT_WELL), NOW)


def test_how_many_are_not_well_in_words() -> None:
    counts = {HostState.BEHIND: 2, HostState.EXPIRED: 1, HostState.NOT_WELL: 1, HostState.CURRENT: 7}
    assert count_words(counts) == "1 host serves an expired one, 1 host not well, 2 hosts behind"
    assert count_words({HostState.CURRENT: 7}) == ""
