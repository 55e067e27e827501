"""A certificate that waits for its window is staged on its host: it comes in time while the source is away."""

import json
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from common.certificate import serial_text
from tests.agent.accounts import Agents
from tests.agent.host import NAME, Host, agent_ahead
from tests.agent.killed import KILL, Step, acting
from tests.agent.signing_issuer import SigningIssuer
from tests.agent.staged import assert_installed, assert_not_taken, record, source_away, stage
from tests.agent.windows import CLOSED, OPEN, window
from tests.servers.authority import Issued
from tests.servers.nginx import Nginx
from tests.servers.revocation import Published, listed_at, revocation_list

SAVING = "agent.host.state_folder:StateFolder", "save_records"


@pytest.fixture
def first(host: Host, nginx: Nginx) -> Issued:
    """The certificate in place."""
    host.first = host.offer_new()
    assert host.run().code == 0
    return host.first


@pytest.fixture
def staged(host: Host, first: Issued) -> Issued:
    """A newer one, for which the window is not open yet."""
    return stage(host, host.sign())


def test_the_server_is_down_while_the_window_is_open(own_agents: Agents, host: Host, nginx: Nginx) -> None:
    """Installed and proven by the first run in it, both told; later runs tell the failure alone, until it is back."""
    assert host.run().code == 0
    newer = host.sign()
    own_agents.enrol(NAME, newer.cert_pem, newer.chain_pem, updated=2000)
    window(host, *CLOSED)
    assert host.run().code == 0
    own_agents.server.stop()
    done = host.run()
    assert (done.code, done.certificate["state"], done.certificate["staged"]) == (1, "unreachable", True)
    assert f"serial {serial_text(newer.certificate)} is staged and waits for its window" in done.err
    assert nginx.served() == host.first.certificate
    window(host, *OPEN)
    assert_installed(host, nginx, newer, host.run(), "cannot be used")
    done = host.run()
    assert (done.code, done.certificate["state"], done.certificate["changed"]) == (1, "unreachable", False)
    assert "staged" not in done.err
    own_agents.server.start()
    done = host.run()
    assert (done.code, done.certificate["state"], done.certificate["changed"]) == (0, "installed", False), done.err
    ((state, detail),) = own_agents.database.query("SELECT state, detail FROM installations")
    assert state == "installed"
    assert "staged" not in detail


def test_it_is_said(host: Host, nginx: Nginx, staged: Issued) -> None:
    """By status, by check, which judges it where the source is away, and to the issuer; a second run writes nothing."""
    sentence = f"serial {serial_text(staged.certificate)} is staged and waits for its window"
    file = host.state_dir / "records" / f"{NAME}.json"
    before = file.stat()
    assert host.run().code == 0
    assert (file.stat().st_ino, file.stat().st_mode & 0o777) == (before.st_ino, 0o600)
    assert sentence in host.reported()["detail"]
    assert sentence in host.agent("status").out
    assert sentence in host.agent("check").out
    with source_away(host):
        assert host.run().code == 1
        assert sentence in host.agent("status").out
        checked = host.agent("check").out
        assert sentence in checked
        assert "the certificate staged fits this host" in checked
        host.roots.write_bytes(host.placeholder.chain_pem or host.placeholder.cert_pem)
        assert "the certificate staged does not fit: trust" in host.agent("check").out


def test_a_first_one_that_was_staged(host: Host, nginx: Nginx) -> None:
    newer = stage(host, host.sign())
    window(host, *OPEN)
    with source_away(host):
        assert_installed(host, nginx, newer, host.run())


def test_the_source_fails_after_its_cheap_answer(host: Host, nginx: Nginx, staged: Issued) -> None:
    """It still has the row that was staged, and cannot hand it out."""
    window(host, *OPEN)
    host.sql("ALTER TABLE certs RENAME COLUMN crt TO away")
    assert_installed(host, nginx, staged, host.run(), "no such column")


def test_what_the_source_offers_wins(host: Host, nginx: Nginx, staged: Issued) -> None:
    newest = host.offer_new()
    window(host, *OPEN)
    done = host.run()
    assert (done.code, done.certificate["staged"]) == (0, False), done.err
    assert nginx.served() == newest.certificate


@pytest.mark.sampled
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize(
    "change",
    ["UPDATE certs SET ts_last_update = 5", "UPDATE certs SET ts_last_update = 1", "DELETE FROM certs"],
    ids=["another", "none", "removed"],
)
def test_the_source_spoke_since(host: Host, nginx: Nginx, staged: Issued, change: str, held: bool) -> None:
    """What it does not offer any more is not staged any more, be it heard during a hold."""
    if held:
        assert host.agent("hold", NAME, "--until", "2090-01-01").code == 0
        host.run()
        assert record(host)["staged"] is not None
    host.sql("UPDATE certs SET crt = ?", [host.first.cert_pem])
    host.sql(change)
    host.run()
    assert record(host)["staged"] is None
    host.agent("release", NAME)
    window(host, *OPEN)
    with source_away(host):
        done = host.run()
    assert (done.code, done.certificate["state"], done.certificate["changed"]) == (1, "unreachable", False)
    assert nginx.served() == host.first.certificate


def test_a_hold(host: Host, nginx: Nginx, first: Issued, staged: Issued) -> None:
    """Nothing is taken before its end, and nothing is lost by it."""
    assert host.agent("hold", NAME, "--until", "2090-01-01").code == 0
    window(host, *OPEN)
    with source_away(host):
        assert host.run().code == 0
        assert nginx.served() == first.certificate
        assert host.agent("release", NAME).code == 0
        assert_installed(host, nginx, staged, host.run())


def test_it_was_revoked(host: Host, nginx: Nginx, first: Issued, tmp_path: Path) -> None:
    """Its CA is asked at this moment, because the source cannot tell; it stays refused, whoever offers it then."""
    with Published(tmp_path / "published", host.authority) as published:
        host.authority.added = [listed_at(published.put("ca.crl", revocation_list(host.authority)))]
        newer = stage(host, host.sign())
        published.put("ca.crl", revocation_list(host.authority, newer.certificate))
        window(host, *OPEN)
        with source_away(host):
            for _ in range(2):
                assert_not_taken(
                    host, nginx, first, host.run(), "the certificate staged does not fit", "revoked; since"
                )
        done = host.run("--retry")
        assert (done.code, done.certificate["state"]) == (1, "refused"), done.err
        assert "the certificate offered does not fit: revocation: revoked; since" in done.err
    newest = host.offer_new()
    assert host.run().code == 0
    assert nginx.served() == newest.certificate


def test_it_was_revoked_and_is_offered_still(host: Host, nginx: Nginx, first: Issued, tmp_path: Path) -> None:
    """The issuer may learn of it later than its CA can tell. While the window is shut, nobody is asked."""
    with Published(tmp_path / "published", host.authority) as published:
        host.authority.added = [listed_at(published.put("ca.crl", revocation_list(host.authority)))]
        newer = stage(host, host.sign())
        published.put("ca.crl", revocation_list(host.authority, newer.certificate))
        assert host.run().certificate["staged"] is True
        window(host, *OPEN)
        for _ in range(2):
            done = host.run()
            assert (done.code, done.certificate["state"]) == (1, "refused"), done.err
            assert "the certificate offered does not fit: revocation: revoked; since" in done.err
            assert nginx.served() == first.certificate
        newest = host.offer_new()
        assert host.run().code == 0
        assert nginx.served() == newest.certificate


def test_its_ca_is_silent(host: Host, nginx: Nginx, first: Issued, tmp_path: Path) -> None:
    with Published(tmp_path / "published", host.authority) as published:
        host.authority.added = [listed_at(published.put("ca.crl", revocation_list(host.authority)))]
        newer = stage(host, host.sign())
    window(host, *OPEN)
    with source_away(host):
        done = host.run()
    assert "trust.revocation-unknown" in done.err
    with source_away(host):
        assert record(host)["staged"] is None
    assert nginx.served() == newer.certificate


def test_another_key(host: Host, nginx: Nginx, first: Issued, staged: Issued) -> None:
    """It does not fit, and is taken when the key is back."""
    mine, theirs = host.key.read_bytes(), host.folder / "other.pem"
    done = host.agent("request", "other.example.test", "--key", str(theirs), "--csr", str(host.folder / "other.csr"))
    assert done.code == 0, done.err
    host.key.write_bytes(theirs.read_bytes())
    window(host, *OPEN)
    with source_away(host):
        assert_not_taken(host, nginx, first, host.run(), "it belongs to another key")
        host.key.write_bytes(mine)
        assert_installed(host, nginx, staged, host.run())


def test_a_newer_one_was_put_in_place(host: Host, nginx: Nginx) -> None:
    """By hand, or by another client: what was staged is a step back."""
    old = host.sign(days=30, not_before=datetime.now(UTC) - timedelta(days=3))
    host.offer(old.cert_pem, old.chain_pem)
    assert host.run().code == 0
    stage(host, host.sign(not_before=datetime.now(UTC) - timedelta(days=2)))
    theirs = host.sign(days=180)
    host.fullchain.write_bytes(theirs.fullchain_pem)
    nginx.stop()
    nginx.start()
    window(host, *OPEN)
    with source_away(host):
        assert_not_taken(host, nginx, theirs, host.run(), "before the installed one")


def test_the_issuers_key_is_another(host: Host, nginx: Nginx, first: Issued, tmp_path: Path) -> None:
    """A statement counts as far as the key that agent.toml has now has signed it."""
    issuer, lost = SigningIssuer(host, tmp_path / "issuer"), SigningIssuer(host, tmp_path / "lost")
    host.served_by(nginx, issuer_key=lost.key_text)
    newer = host.sign()
    lost.offer(newer, lost.sign(newer))
    window(host, *CLOSED)
    assert host.run().code == 0
    host.served_by(nginx, issuer_key=issuer.key_text)
    with source_away(host):
        assert_not_taken(host, nginx, first, host.run(), "it is not signed by the issuer's key")
        host.served_by(nginx, issuer_key=lost.key_text)
        assert_installed(host, nginx, newer, host.run())


def test_what_is_in_place_would_end_before(host: Host, nginx: Nginx) -> None:
    """The source has been away for long: by now what was staged waits for no window."""
    old = host.sign(days=2)
    host.offer(old.cert_pem, old.chain_pem)
    assert host.run().code == 0
    newer = stage(host, host.sign())
    with source_away(host):
        assert_not_taken(host, nginx, old, host.run(), "is staged and waits", state="unreachable")
        assert_installed(host, nginx, newer, host.run(program=agent_ahead(30 * 3600)))


def test_the_check_refuses_it(host: Host, nginx: Nginx, first: Issued, staged: Issued) -> None:
    """All is as it was; it is left alone for a while, and stays staged."""
    usual = list(nginx.check)
    host.served_by(nginx, check=["sh", "-c", f"! grep -q {staged.cert_pem.split()[-4].decode()} {host.fullchain}"])
    with source_away(host):
        for _ in range(2):
            assert_not_taken(host, nginx, first, host.run(), "check", state="failed")
        host.served_by(nginx, check=usual)
        assert_installed(host, nginx, staged, host.run())


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("step", "is_staged"), [((*SAVING, 1, "before"), False), ((*SAVING, 1, "after"), True)], ids=["before", "after"]
)
def test_killed_while_it_is_staged(host: Host, nginx: Nginx, first: Issued, step: Step, is_staged: bool) -> None:
    """It is staged and on record, or neither."""
    newer = host.offer_new()
    window(host, *CLOSED)
    assert host.run(program=acting(step)).code == -signal.SIGKILL
    window(host, *OPEN)
    with source_away(host):
        done = host.run()
        if is_staged:
            assert_installed(host, nginx, newer, done)
        else:
            assert_not_taken(host, nginx, first, done, state="unreachable")
    assert host.run().code == 0
    assert nginx.served() == newer.certificate


@pytest.mark.sampled
@pytest.mark.parametrize(
    "step",
    [
        ("agent.journey.install", "swap", 1, "before"),
        ("agent.journey.install", "activate", 1, "before"),
        ("agent.journey.install", "commit", 1, "before"),
        (*SAVING, 1, "before"),
        (*SAVING, 1, "after"),
    ],
    ids=str,
)
def test_killed_while_it_is_installed(host: Host, nginx: Nginx, staged: Issued, step: Step) -> None:
    """The next run settles that, and ends with it in place although the source is still away."""
    window(host, *OPEN)
    with source_away(host):
        assert host.run(program=acting(step, KILL)).code == -signal.SIGKILL
        done = host.run()
        assert (done.code, done.certificate["state"]) == (1, "unreachable"), done.err
        assert nginx.served() == staged.certificate
        assert record(host)["staged"] is None
    done = host.run()
    assert (done.code, done.certificate["changed"]) == (0, False), done.err
    assert host.leftovers() == []


def test_people_are_told_of_both(host: Host, nginx: Nginx, staged: Issued) -> None:
    """What is to be done after each install is done after this one too."""
    told = host.folder / "told"
    command = json.dumps(["sh", "-c", f'echo "$CERTFLEET_EVENT $CERTFLEET_SERIAL $CERTFLEET_DETAIL" >> {told}'])
    window(host, *OPEN)
    host.config.write_text(f"on_install = [{command}]\non_failure = [{command}]\n{host.config.read_text()}")
    with source_away(host):
        serial = serial_text(staged.certificate)
        assert f"{NAME}  newly installed, unreachable  serial {serial} " in host.agent("run").out
        assert host.run().code == 1
    installed, failure = told.read_text().splitlines()
    assert installed.startswith(f"installed {serial} ")
    assert failure.startswith(f"failure {serial} ")
    assert "there is no database" in failure


def test_a_rehearsal_of_it(host: Host, nginx: Nginx, first: Issued, staged: Issued) -> None:
    """`run --dry-run` ends as the run does, and leaves it staged."""
    window(host, *OPEN)
    with source_away(host):
        done = host.run("--dry-run")
        (install,) = done.json["installs"]
        assert (done.code, len(install["certificates"])) == (1, 1)
        assert "there is no database" in done.err
        assert "is installed" not in done.err
        serial = serial_text(staged.certificate)
        assert f"{NAME}  would be installed, unreachable  serial {serial} " in host.agent("run", "--dry-run").out
        assert nginx.served() == first.certificate
        assert_installed(host, nginx, staged, host.run())
