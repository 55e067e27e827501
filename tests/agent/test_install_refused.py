"""Certificates that must not be installed: refused before a live file is touched, on a real Apache.

Apache is the service for this: its own config test is content with a key that does not fit, and the graceful reload
then ends the server.
"""

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.agent.host import Done, Host, sha256
from tests.servers.apache import Apache
from tests.servers.authority import Authority
from tests.servers.process import wait_until

EARLIER = datetime.now(UTC) - timedelta(days=2)


def assert_refused(host: Host, apache: Apache, done: Done, sentence: str) -> None:
    """Exit code 1, one clear sentence, no traceback, old certificate served by the same living server."""
    assert done.code == 1
    assert done.certificate["state"] == "refused"
    assert sentence in done.err
    assert "no live file was touched" in done.err
    assert "what to do" in done.err
    assert apache.alive()
    assert host.fullchain.read_bytes() == host.first.fullchain_pem
    assert apache.served() == host.first.certificate
    assert host.leftovers() == []
    assert host.reported()["state"] == "refused"
    assert host.reported()["sha256"] == sha256(host.first.certificate)


@pytest.fixture
def served(host: Host, apache: Apache) -> Apache:
    """Apache with a first good certificate, installed by the agent."""
    host.first = host.offer_new()
    done = host.run()
    assert done.code == 0, done.err
    return apache


def test_apache_itself_does_not_notice_a_key_that_does_not_fit(host: Host, apache: Apache) -> None:
    """Why the agent must: the config test passes, the graceful reload reports success, and the server is gone."""
    host.fullchain.write_bytes(host.authority.issue([host.name]).fullchain_pem)
    assert subprocess.run(apache.check, capture_output=True, check=False).returncode == 0
    assert subprocess.run(apache.activate, capture_output=True, check=False).returncode == 0
    wait_until(lambda: not apache.alive(), "Apache has died")


def test_a_certificate_for_another_key(host: Host, served: Apache) -> None:
    """A certificate for another key never reaches a live file."""
    other = host.authority.issue([host.name])
    host.offer(other.cert_pem, other.chain_pem)
    assert_refused(host, served, host.run(), "it belongs to another key")


def test_an_expired_certificate(host: Host, served: Apache) -> None:
    """What has expired already is not installed."""
    old = host.sign(1, not_before=datetime.now(UTC) - timedelta(days=2))
    host.offer(old.cert_pem, old.chain_pem)
    assert_refused(host, served, host.run(), "the certificate expired on")


def test_a_chain_out_of_order(host: Host, served: Apache) -> None:
    """Each certificate must be signed by the next."""
    deep = host.authority.intermediate("Deeper")
    issued = deep.sign((host.folder / "host.csr").read_bytes())
    host.offer(issued.cert_pem, host.authority.pem + deep.pem)
    assert_refused(host, served, host.run(), "is not the issuer of the one before it")


def test_a_chain_of_another_authority(host: Host, served: Apache) -> None:
    """An authority of the right name with another key has not signed it."""
    issued = host.sign()
    forged = Authority("Test Root").intermediate("Test Intermediate")
    host.offer(issued.cert_pem, forged.pem)
    assert_refused(host, served, host.run(), "did not sign the one before it")


def test_a_certificate_without_its_chain(host: Host, served: Apache) -> None:
    """Without the intermediate clients cannot verify it."""
    host.offer(host.sign().cert_pem, b"")
    assert_refused(host, served, host.run(), "the chain is empty")


def test_a_certificate_with_other_names(host: Host, served: Apache) -> None:
    """The names configured must be covered."""
    key = host.folder / "other"
    done = host.agent("request", "other.example.test", "--key", str(host.key), "--csr", str(key))
    assert done.code == 0, done.err
    issued = host.authority.sign(key.read_bytes())
    host.offer(issued.cert_pem, issued.chain_pem)
    done = host.run()
    assert_refused(host, served, done, "it does not cover www.example.test; it carries other.example.test")
    assert "what to do: say in `names` of agent.toml what it has to cover" in done.err
    assert "reissue" not in done.err


def test_an_older_certificate(host: Host, served: Apache) -> None:
    """The database going back in time does not take the service with it."""
    older = host.sign(30, not_before=EARLIER)
    host.offer(older.cert_pem, older.chain_pem)
    assert_refused(host, served, host.run(), "before the installed one")


def test_an_older_one_where_no_file_holds_the_chain(host: Host) -> None:
    """The service has its chain from elsewhere. The chain of the one that is offered leads from the one in place to
    its root, and `check` does not ask for a file that nobody wants."""
    host.configure(files=f'[certificate.files]\ncertificate = "{host.fullchain}"')
    host.offer_new()
    assert host.run().certificate["state"] == "unprovable"
    present = host.fullchain.read_bytes()
    checked = host.agent("check").out
    older = host.sign(30, not_before=EARLIER)
    host.offer(older.cert_pem, older.chain_pem)
    done = host.run()
    assert "before the installed one" in done.err, done.err
    assert host.fullchain.read_bytes() == present
    assert "the chain is empty" not in checked
    assert "a client that trusts" not in checked


def test_an_older_certificate_that_the_issuer_went_back_to(host: Host, served: Apache) -> None:
    """`certfleet-issuer rollback` marks what it went back to. One that this host had installed is taken at the next
    plain run, although it was refused a moment ago."""
    first = host.sign(100, not_before=EARLIER)
    host.offer(first.cert_pem, first.chain_pem)
    assert host.run().code == 0
    host.first = host.offer_new(120)
    assert host.run().code == 0
    host.offer(first.cert_pem, first.chain_pem)
    assert_refused(host, served, host.run(), "before the installed one")
    host.sql("UPDATE certs SET rolled_back = ?, ts_last_update = ts_last_update + 1", [sha256(first.certificate)])
    done = host.run()
    assert done.code == 0, done.err
    assert served.served() == first.certificate


def test_an_older_certificate_that_was_never_here(host: Host, served: Apache) -> None:
    """Whoever can write to the database can mark anything: an old one that this host never had is not gone back to."""
    older = host.sign(30, not_before=EARLIER)
    host.offer(older.cert_pem, older.chain_pem)
    host.sql("UPDATE certs SET rolled_back = ?", [sha256(older.certificate)])
    assert_refused(host, served, host.run(), "before the installed one")


@pytest.mark.parametrize("garbage", [b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_garbage(host: Host, served: Apache, garbage: bytes) -> None:
    """What cannot be parsed is refused with a sentence."""
    host.offer(garbage, b"")
    assert_refused(host, served, host.run(), "the certificate offered cannot be read")


def test_all_findings_at_once(host: Host, served: Apache) -> None:
    """One look names everything that is wrong."""
    other = host.authority.issue(["elsewhere.example.test"], days=1, not_before=datetime.now(UTC) - timedelta(days=2))
    host.offer(other.cert_pem, b"")
    done = host.run()
    assert_refused(host, served, done, "another key")
    for sentence in ("does not cover", "expired on", "the chain is empty"):
        assert sentence in done.err


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o660])
def test_a_key_that_others_can_read(host: Host, served: Apache, mode: int) -> None:
    """A private key that somebody has put there, open to others, is refused, not used."""
    host.key.write_bytes(host.key.read_bytes() + b"\n")
    host.key.chmod(mode)
    host.offer_new()
    assert_refused(host, served, host.run(), f"its mode is {mode:04o}")


def test_a_missing_key(host: Host, served: Apache) -> None:
    """Without a key there is nothing to install for; the way to one is named."""
    os.rename(host.key, host.folder / "elsewhere")
    host.offer_new()
    done = host.run()
    assert_refused(host, served, done, "there is no such key")
    assert "`certfleet-agent request NAME` makes one" in done.err


def test_a_key_changed_under_an_installed_certificate(host: Host, served: Apache) -> None:
    """Nothing new in the database, but the local key is another one: the next restart would fail, so say it now."""
    key, csr = host.folder / "new.key", host.folder / "new.csr"
    assert host.agent("request", host.name, "--key", str(key), "--csr", str(csr)).code == 0
    os.replace(key, host.key)
    done = host.run()
    assert done.code == 1
    assert "it belongs to another key" in done.err


def test_a_refused_certificate_is_not_tried_again_until_a_newer_one_comes(host: Host, served: Apache) -> None:
    """It stays not well on every run, is not judged anew, and gives way to a newer one at once."""
    other = host.authority.issue([host.name])
    host.offer(other.cert_pem, other.chain_pem)
    first = host.run()
    record = next((host.state_dir / "records").iterdir())
    before = (record.read_bytes(), record.stat().st_mtime_ns)
    again = host.run()
    assert (first.code, again.code) == (1, 1)
    assert again.certificate["refused"]["attempts"] == 1
    assert "it is tried again when a newer one comes or after" in again.err
    assert (record.read_bytes(), record.stat().st_mtime_ns) == before
    tried = host.run("--retry")
    assert tried.certificate["refused"]["attempts"] == 2
    good = host.offer_new()
    assert host.run().code == 0
    assert served.served() == good.certificate


def test_a_refusal_survives_a_touched_row(host: Host, served: Apache) -> None:
    """The same bad certificate under a new time stamp is still the same bad certificate."""
    other = host.authority.issue([host.name])
    host.offer(other.cert_pem, other.chain_pem)
    host.run()
    host.offer(other.cert_pem, other.chain_pem)
    assert host.run().certificate["refused"]["attempts"] == 1


@pytest.mark.parametrize("poison", ["crt", "ca"])
def test_the_good_one_comes_back_under_the_same_time_stamp(host: Host, served: Apache, poison: str) -> None:
    """Somebody changed the row behind the issuer's back, and back again: the refusal was for what stood there."""
    good = host.offer_new()
    host.sql(f"UPDATE certs SET {poison} = 'x'")  # noqa: S608 - a word of ours
    assert host.run().certificate["state"] == "refused"
    assert host.run().certificate["state"] == "refused"
    host.sql("UPDATE certs SET crt = ?, ca = ?", (good.cert_pem, good.chain_pem))
    done = host.run()
    assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
    assert served.served() == good.certificate


def test_a_short_lived_certificate_issued_later_is_newer(host: Host, served: Apache) -> None:
    """Moving from 90 days to 6 is not a step back."""
    old = host.sign(90, not_before=datetime.now(UTC) - timedelta(days=30))
    host.offer(old.cert_pem, old.chain_pem)
    host.fullchain.unlink()
    assert host.run().code == 0
    short = host.offer_new(6)
    done = host.run()
    assert done.code == 0, done.err
    assert served.served() == short.certificate


def test_a_short_lived_certificate_issued_a_minute_later_is_newer(host: Host, served: Apache) -> None:
    """Five years, and six days a moment later: what is issued later is newer, at once."""
    years = host.offer_new(5 * 365)
    assert host.run().code == 0
    assert served.served() == years.certificate
    short = host.offer_new(6)
    done = host.run()
    assert done.code == 0, done.err
    assert served.served() == short.certificate


def test_no_traceback_with_a_folder_that_is_gone(host: Host, served: Apache, tmp_path: Path) -> None:
    """A live folder that does not exist is a sentence, and nothing is touched."""
    host.configure(files=f'[certificate.files]\nfullchain = "{tmp_path}/gone/fullchain.pem"')
    done = host.run()
    assert done.code == 1
    assert f"the folder {tmp_path}/gone does not exist" in done.err
