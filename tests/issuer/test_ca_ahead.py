"""Another CA is configured than the one that has signed: said before it happens, by each command that a person asks."""

import json

import pytest

from tests.issuer.box import NOBODY, Box
from tests.issuer.signing_requests import csr

NAME, OLD, NEW = "www.lab.test", "https://old.example/dir", f"https://{NOBODY}/dir"
SENTENCE = f"1 certificate will come from another CA, {OLD} → {NEW}: {NAME}; these hosts become necessary: 127.0.0.1:9"


@pytest.fixture
def moved(lone_box: Box) -> Box:
    """A box whose one certificate is from another CA than the one that issuer.toml names."""
    lone_box.write(acme={"directory": NEW})
    lone_box.ok("populate", NAME, "--csr", "-", "--enable", stdin=csr([NAME]))
    lone_box.put_aged(NAME, days=90, left=80)
    lone_box.database.execute(f"UPDATE certs SET directory = '{OLD}'")  # noqa: S608 - words of our own
    return lone_box


def test_check_and_a_dry_run_say_it(moved: Box) -> None:
    """With the hosts that become necessary, whether or not the certificate is due; and that a person is waited for."""
    assert f"CA: {SENTENCE}; if that is meant, open firewalls" in moved.run("check", NAME).out
    assert SENTENCE in moved.run("run", "--dry-run").out
    assert json.loads(moved.run("run", "--dry-run", "--json").out)["ahead"] == [SENTENCE]
    moved.write(renewal={"on_ca_change": "hold"})
    assert f"{SENTENCE}; hosts get them after `approve`" in moved.run("check", NAME).out


def test_reissue_asks(moved: Box) -> None:
    """Without a terminal it wants --yes, and nothing is asked of the CA; a dry run asks for nothing."""
    done = moved.run("reissue", NAME)
    assert done.code == 2
    assert SENTENCE in done.err
    assert "add --yes" in done.err
    assert moved.row(NAME, "reissue_reason") in [(None,), ("",)]
    assert "add --yes" not in moved.run("reissue", NAME, "--yes").err
    assert moved.row(NAME, "reissue_reason")[0]
    assert "add --yes" not in moved.run("reissue", "--all", "--dry-run").err


def test_the_way_back_from_a_fallback_is_not_asked_about(moved: Box) -> None:
    """Both CAs are in the configuration; `check` says it all the same."""
    moved.write(acme={"fallback": [{"directory": OLD}]})
    assert SENTENCE in moved.run("check", NAME).out
    moved.run("reissue", NAME)
    assert moved.row(NAME, "reissue_reason")[0]


def test_what_stays_is_not_asked_about(moved: Box) -> None:
    """The same CA as before, with neither profile nor chain: `reissue` goes on at once."""
    moved.database.execute(f"UPDATE certs SET directory = '{NEW}'")  # noqa: S608 - words of our own
    done = moved.run("reissue", NAME)
    assert "another CA" not in done.err
    assert "add --yes" not in done.err
    assert moved.row(NAME, "reissue_reason")[0]


def test_a_ca_that_has_ended_is_told_by_check(moved: Box) -> None:
    """For as long as it is configured, and it makes the exit code 1."""
    moved.write(acme={"directory": "https://api.buypass.com/acme/directory"})
    done = moved.run("check", NAME)
    assert "2025-10-31" in done.out
    assert "name another CA" in done.out
    assert done.code == 1
