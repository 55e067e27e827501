"""Nothing new is taken because a person said so: `hold`, a window; and what the issuer's `disable` is said to be."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.host.state_folder import StateFolder
from tests.agent.host import Done, Host, sha256
from tests.agent.windows import CLOSED, OPEN, window
from tests.servers.authority import Issued
from tests.servers.nginx import Nginx


@pytest.fixture
def first(host: Host, nginx: Nginx) -> Issued:
    """The certificate in place."""
    issued = host.offer_new()
    assert host.run().code == 0
    return issued


def hold(host: Host, until: str = "2090-06-30", reason: str = "freeze before the fair") -> Done:
    done = host.agent("hold", host.name, "--until", until, "--reason", reason)
    assert done.code == 0, done.err
    return done


def test_nothing_new_is_taken_until_release(host: Host, nginx: Nginx, first: Issued) -> None:
    """Exit code 0, said by status, run and the report; then the newer one is taken."""
    hold(host)
    assert "freeze before the fair" in host.agent("status").out
    newer = host.offer_new()
    for _ in range(2):
        done = host.run()
        assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
        assert done.certificate["held_until"].startswith(("2090-06-30T", "2090-07-01T"))
        assert nginx.served() == first.certificate
    assert "held by hand until 2090-0" in host.reported()["detail"]
    assert "freeze before the fair" in host.reported()["detail"]
    assert "freeze before the fair" in host.agent("run").out
    assert host.agent("-q", "run").out == ""
    assert host.agent("release", host.name).code == 0
    assert host.run().code == 0
    assert nginx.served() == newer.certificate
    assert "held" not in host.reported()["detail"]
    assert "nothing held it" in host.agent("release", host.name).out


@pytest.mark.parametrize("moment", ["2090-12-31T06:00Z", "2090-12-31 06:00Z", "2090-12-31t06:00Z", "2090W527T06Z"])
@pytest.mark.usefixtures("first")
def test_a_moment_is_no_day(host: Host, moment: str) -> None:
    """RFC 3339 §5.6 lets the T be a small one."""
    hold(host, moment)
    assert "held by hand until 2090-12-31T06:00:00Z" in host.agent("status").out


def test_a_hold_ends_by_itself(host: Host, nginx: Nginx, first: Issued) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=4)
    hold(host, soon.isoformat())
    newer = host.offer_new()
    assert host.run().code == 0
    assert nginx.served() == first.certificate
    time.sleep(max(0.0, (soon - datetime.now(UTC)).total_seconds()))
    assert "freeze" not in host.agent("status").out
    assert host.run().code == 0
    assert nginx.served() == newer.certificate


def test_one_that_is_held_and_ends_is_loud(host: Host, nginx: Nginx) -> None:
    """Exit code 1, with the word that lets a newer one in."""
    now = datetime.now(UTC)
    ending = host.sign(days=90, not_before=now - timedelta(days=85))
    host.offer(ending.cert_pem, ending.chain_pem)
    assert host.run().certificate["state"] == "ending"
    hold(host)
    host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "ending")
    assert "certfleet-agent release" in done.err
    assert "held by hand until" in done.err


def test_a_first_one_is_held(host: Host, nginx: Nginx) -> None:
    """Nothing is installed yet, and the source cannot even be asked: all is as a person said."""
    before = host.fullchain.read_bytes()
    hold(host)
    host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (0, "held"), done.err
    host.database.rename(host.database.with_suffix(".away"))
    assert host.run().code == 0
    assert host.fullchain.read_bytes() == before


@pytest.mark.parametrize(("days", "state"), [(-1, "expired"), (3, "ending"), (60, "held")])
def test_a_first_one_is_held_and_what_another_client_left_ends(host: Host, days: int, state: str) -> None:
    """Exit code 1 then, with -q too: no newer one comes."""
    theirs = host.authority.issue([host.name], days=90, not_before=datetime.now(UTC) - timedelta(days=90 - days))
    host.fullchain.write_bytes(theirs.fullchain_pem)
    host.configure()
    hold(host)
    host.offer_new()
    done = host.agent("run", "-q")
    assert done.code == (state != "held")
    assert (f"{host.name}: {state}: the certificate in the live files" in done.err) is (state != "held")
    assert host.reported()["state"] == state
    assert host.fullchain.read_bytes() == theirs.fullchain_pem


def test_release_takes_what_was_gone_back_from(host: Host, nginx: Nginx, first: Issued) -> None:
    second = host.offer_new()
    assert host.run().code == 0
    assert host.agent("rollback", host.name).code == 0
    assert host.run().certificate["changed"] is False
    assert nginx.served() == first.certificate
    assert host.agent("release", host.name).code == 0
    assert host.run().code == 0
    assert nginx.served() == second.certificate
    assert "gone back" not in host.reported()["detail"]


def test_outside_its_window(host: Host, nginx: Nginx, first: Issued) -> None:
    """It waits and says so, with exit code 0; inside it is installed."""
    window(host, *CLOSED)
    newer = host.offer_new()
    for _ in range(2):
        done = host.run()
        assert (done.code, done.certificate["state"], done.certificate["changed"]) == (0, "installed", False), done.err
        assert nginx.served() == first.certificate
    assert "waits for its window" in host.reported()["detail"]
    assert "waits for its window" in host.agent("status").out
    assert host.reported()["sha256"] == sha256(first.certificate)
    window(host, *OPEN)
    assert host.run().code == 0
    assert nginx.served() == newer.certificate
    assert "waits" not in host.reported()["detail"]


def test_what_would_end_before_waits_for_no_window(host: Host, nginx: Nginx) -> None:
    """The next window and one retry would come too late."""
    now = datetime.now(UTC)
    ending = host.sign(days=90, not_before=now - timedelta(days=89))
    host.offer(ending.cert_pem, ending.chain_pem)
    host.run()
    window(host, *CLOSED)
    newer = host.offer_new()
    done = host.run()
    assert done.code == 0, done.err
    assert nginx.served() == newer.certificate


@pytest.mark.parametrize("is_first", [False, True])
def test_one_with_little_life_left_waits_for_its_window(host: Host, nginx: Nginx, *, is_first: bool) -> None:
    """It lasts until then, and a newer one has come: all is well, also where another client left it."""
    began = datetime.now(UTC) - timedelta(days=85)
    if is_first:
        host.fullchain.write_bytes(host.authority.issue([host.name], days=90, not_before=began).fullchain_pem)
    else:
        ending = host.sign(days=90, not_before=began)
        host.offer(ending.cert_pem, ending.chain_pem)
        assert host.run().certificate["state"] == "ending"
    window(host, *CLOSED)
    host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (0, "held" if is_first else "installed"), done.err
    assert done.certificate["staged"] is True
    assert "waits for its window" in host.reported()["detail"]
    assert done.err == ""


def test_what_another_client_left_waits_for_no_window_either(host: Host, nginx: Nginx) -> None:
    """It is for a key of its own, and ends before the next window."""
    theirs = host.authority.issue([host.name], days=0.1)
    host.fullchain.write_bytes(theirs.fullchain_pem)
    window(host, *CLOSED)
    newer = host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
    assert nginx.served() == newer.certificate


HARMS = {"removed": "was installed, and is gone", "overwritten": "is not what was installed"}


def harm(host: Host, how: str) -> None:
    host.fullchain.unlink() if how == "removed" else host.fullchain.write_bytes(host.self_signed())


@pytest.mark.parametrize("how", list(HARMS))
def test_a_file_that_somebody_spoils_during_a_hold(host: Host, nginx: Nginx, first: Issued, how: str) -> None:
    """It is told, exit code 1, for as long as nothing may be written; then it is put back."""
    hold(host)
    harm(host, how)
    for _ in range(2):
        done = host.run()
        assert (done.code, done.certificate["state"]) == (1, "unproven"), done.err
        assert f"{host.fullchain} {HARMS[how]}" in host.reported()["detail"]
        assert f"`certfleet-agent release {host.name}`" in done.certificate["hint"]
    assert host.agent("release", host.name).code == 0
    assert host.run().code == 0
    assert host.fullchain.read_bytes() == first.fullchain_pem


@pytest.mark.parametrize("how", list(HARMS))
def test_a_file_that_somebody_spoils_outside_the_window(host: Host, nginx: Nginx, first: Issued, how: str) -> None:
    """The certificate in place is no new one: it is put back at once. Beside a newer one that waits, it is told."""
    window(host, *CLOSED)
    harm(host, how)
    done = host.run()
    assert (done.code, done.certificate["state"], done.certificate["staged"]) == (0, "installed", False), done.err
    assert host.fullchain.read_bytes() == first.fullchain_pem
    host.offer_new()
    assert host.run().certificate["staged"] is True
    harm(host, how)
    done = host.run()
    assert (done.code, done.certificate["state"], done.certificate["staged"]) == (1, "unproven", True), done.err
    assert f"{host.fullchain} {HARMS[how]}" in host.reported()["detail"]
    assert "release" not in done.certificate["hint"]


def test_a_first_one_waits_for_its_window(host: Host, nginx: Nginx) -> None:
    window(host, *CLOSED)
    host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (0, "held"), done.err


def test_disabled_at_the_issuer(host: Host, nginx: Nginx, first: Issued) -> None:
    """It is said here, and does not keep a certificate that was issued from being taken."""
    host.sql("UPDATE certs SET enable = 'n'")
    done = host.run()
    assert (done.code, done.certificate["state"], done.certificate["enabled"]) == (0, "installed", False)
    assert "disabled at the issuer" in host.reported()["detail"]
    newer = host.sign()
    host.sql("UPDATE certs SET crt = ?, ca = ?, ts_last_update = 5", (newer.cert_pem, newer.chain_pem))
    assert host.run().code == 0
    assert nginx.served() == newer.certificate
    host.sql("UPDATE certs SET enable = 'Y'")
    assert host.run().certificate["enabled"] is True
    assert host.reported()["detail"] == ""


def test_records_of_before_are_read(host: Host, nginx: Nginx, first: Issued) -> None:
    """A record of an earlier agent has none of this."""
    file = next((host.state_dir / "records").glob("*.json"))
    document = json.loads(file.read_text())
    for key in ("gone_back", "pause", "postponed", "disabled"):
        del document[key]
    del document["installed"]["mark"]["disabled"]
    file.write_text(json.dumps(document))
    assert StateFolder(Path(host.state_dir)).record(host.name).installed is not None
    assert host.run().certificate["changed"] is False
