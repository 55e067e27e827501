"""`rollback`: a certificate that was in place before comes back by the journey of an install, and stays."""

import os
import signal
import socket
import stat
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.host.revocations import Revocations
from agent.host.waits import Waits
from agent.model.errors import Stopped
from common.certificate import parse_bundle, serial_text
from common.revocation import Status
from tests.agent.host import Host, sha256
from tests.agent.signing_issuer import SigningIssuer
from tests.servers.authority import Issued
from tests.servers.nginx import Nginx
from tests.servers.ports import LOOPBACK
from tests.servers.revocation import Published, listed_at, revocation_list


@pytest.fixture
def four(host: Host, nginx: Nginx) -> list[Issued]:
    """Four certificates, one after the other in place on nginx, the first one first."""
    issued = []
    for _ in range(4):
        issued.append(host.offer_new())
        done = host.run()
        assert done.code == 0, done.err
    return issued


def serial(issued: Issued) -> str:
    return serial_text(issued.certificate)


def kept(host: Host) -> list[str]:
    found: list[str] = host.agent("status", "--json").certificate["kept"]
    return found


def assert_served(host: Host, nginx: Nginx, issued: Issued) -> None:
    assert nginx.served() == issued.certificate
    assert host.fullchain.read_bytes() == issued.fullchain_pem
    assert host.leftovers() == []


def test_the_one_before_comes_back_and_stays(host: Host, nginx: Nginx, four: list[Issued]) -> None:
    """The one that was left is not taken again; said in status and to the issuer's side. A newer one is taken."""
    done = host.agent("rollback", host.name, "--json")
    assert (done.code, done.certificate["state"], done.certificate["changed"]) == (0, "installed", True), done.err
    assert_served(host, nginx, four[2])
    assert host.reported()["sha256"] == sha256(four[2].certificate)
    for _ in range(2):
        done = host.run()
        assert (done.code, done.certificate["state"], done.certificate["changed"]) == (0, "installed", False)
        assert_served(host, nginx, four[2])
    assert "gone back by hand at" in host.agent("status").out
    assert serial(four[3]) in host.reported()["detail"]
    newer = host.offer_new()
    assert host.run().code == 0
    assert_served(host, nginx, newer)
    assert "gone back" not in host.agent("status").out


@pytest.mark.soak
def test_what_was_left_is_not_taken_when_its_row_or_the_settings_change(
    host: Host, nginx: Nginx, four: list[Issued]
) -> None:
    """The row is written anew with the same certificate, a live file is changed, agent.toml has another file."""
    assert host.agent("rollback", host.name).code == 0
    host.offer(four[3].cert_pem, four[3].chain_pem)
    assert host.run().certificate["changed"] is False
    assert_served(host, nginx, four[2])
    host.fullchain.write_bytes(four[3].fullchain_pem)
    assert host.run().code == 0
    assert_served(host, nginx, four[2])
    more = host.live / "leaf.pem"
    files = f'[certificate.files]\nfullchain = "{host.fullchain}"\ncertificate = "{more}"'
    host.served_by(nginx, files=files)
    assert host.run().code == 0
    assert more.read_bytes() == four[2].cert_pem
    assert_served(host, nginx, four[2])


@pytest.mark.soak
def test_one_that_came_while_the_clock_was_ahead(host: Host, nginx: Nginx) -> None:
    """It is no newer than those that came later, by the right clock."""
    issued = []
    for _ in range(3):
        issued.append(host.offer_new())
        assert host.run().code == 0
        if len(issued) == 1:
            [file] = host.state_dir.rglob(f"{serial(issued[0])}.pem")
            os.utime(file, (time.time() + 10 * 365 * 86400,) * 2)
    assert kept(host)[:3] == [serial(one) for one in reversed(issued)]
    assert host.agent("rollback", host.name).code == 0
    assert_served(host, nginx, issued[1])


@pytest.mark.soak
def test_further_back_and_forward_again(host: Host, nginx: Nginx, four: list[Issued]) -> None:
    """Each `rollback` goes one further back; --to names any that is kept, also the newest."""
    for expected in (four[2], four[1], four[0]):
        done = host.agent("rollback", host.name)
        assert done.code == 0, done.err
        assert_served(host, nginx, expected)
    done = host.agent("rollback", host.name)
    assert done.code == 1
    assert serial(four[3]) in done.err
    colons = ":".join(serial(four[3])[at : at + 2] for at in range(0, len(serial(four[3])), 2)).lower()
    assert host.agent("rollback", host.name, "--to", colons).code == 0
    assert_served(host, nginx, four[3])
    assert host.run().code == 0
    assert_served(host, nginx, four[3])


@pytest.mark.soak
@pytest.mark.parametrize("to", [True, False])
def test_the_present_one_whose_file_is_gone(host: Host, nginx: Nginx, *, to: bool) -> None:
    """It is kept, and not in place: it can be named, and is the newest to go back to. Nothing was left."""
    issued = [host.offer_new(), host.offer_new()]
    for one in issued:
        host.offer(one.cert_pem, one.chain_pem)
        assert host.run().code == 0
    host.fullchain.unlink()
    done = host.agent("rollback", host.name, *(("--to", serial(issued[1])) if to else ()))
    assert done.code == 0, done.err
    assert_served(host, nginx, issued[1])
    assert "gone back" not in host.agent("status").out


@pytest.mark.soak
def test_as_many_as_agent_toml_says(host: Host, nginx: Nginx, four: list[Issued]) -> None:
    """`keep` beside the one in place, closed to others, the newest first; none with 0."""
    assert kept(host) == [serial(one) for one in reversed(four)]
    host.config.write_text("keep = 1\n" + host.config.read_text())
    newest = host.offer_new()
    assert host.run().code == 0
    assert kept(host) == [serial(newest), serial(four[3])]
    for path in (host.state_dir / "kept").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
        assert path.is_dir() or b"PRIVATE KEY" not in path.read_bytes()


def test_none_is_kept(host: Host, nginx: Nginx) -> None:
    host.served_by(nginx)
    host.config.write_text("keep = 0\n" + host.config.read_text())
    for _ in range(2):
        host.offer_new()
        assert host.run().code == 0
    assert not (host.state_dir / "kept").exists()
    done = host.agent("rollback", host.name)
    assert done.code == 1
    assert "there is no certificate to go back to" in done.err


def test_one_that_the_agent_did_not_install(host: Host, nginx: Nginx) -> None:
    """The certificate that an operator had put there is kept too, byte for byte."""
    first = host.sign()
    host.fullchain.write_bytes(first.fullchain_pem)
    host.offer_new()
    assert host.run().code == 0
    assert host.agent("rollback", host.name).code == 0
    assert_served(host, nginx, first)


def test_it_is_not_served(host: Host, nginx: Nginx, four: list[Issued], tmp_path: Path) -> None:
    """A rollback that fails leaves everything as it is, and nothing is held for it."""
    probe = [f"https://127.0.0.1:{nginx.port}"]
    host.configure(check=nginx.check, activate=["true"], probe=probe, probe_timeout="1s")
    done = host.agent("rollback", host.name)
    assert done.code == 1
    assert "the service does not serve the new certificate" in done.err
    assert "tried again" not in done.err
    assert_served(host, nginx, four[3])
    done = host.run()
    assert (done.code, done.certificate["state"]) == (0, "installed")
    assert "gone back" not in host.agent("status").out


def test_one_that_has_ended_is_not_gone_back_to(host: Host, nginx: Nginx) -> None:
    ended = host.sign(days=1, not_before=datetime.now(UTC) - timedelta(days=3))
    host.fullchain.write_bytes(ended.fullchain_pem)
    present = host.offer_new()
    assert host.run().code == 0
    done = host.agent("rollback", host.name)
    assert done.code == 1
    assert "does not fit" in done.err
    assert_served(host, nginx, present)


@pytest.fixture
def published(host: Host, tmp_path: Path) -> Iterator[Published]:
    """From now on the CA of the host names a list, on which nothing is yet."""
    with Published(tmp_path / "published", host.authority) as one:
        host.authority.added = [listed_at(one.put("ca.crl", revocation_list(host.authority)))]
        yield one


def revoke(published: Published, *revoked: Issued) -> None:
    published.put("ca.crl", revocation_list(published.authority, *(one.certificate for one in revoked)))


def test_one_that_was_revoked_is_not_gone_back_to(
    host: Host, nginx: Nginx, published: Published, four: list[Issued]
) -> None:
    """The CA is asked, at this moment; another one is gone back to, and also this one where the CA does not answer."""
    revoke(published, four[2])
    done = host.agent("rollback", host.name)
    assert done.code == 1
    assert "does not fit: revocation: revoked; since " in done.err
    assert "keyCompromise" in done.err
    assert_served(host, nginx, four[3])
    assert host.agent("rollback", host.name, "--to", serial(four[1])).code == 0
    assert_served(host, nginx, four[1])
    published.nginx.stop()
    done = host.agent("rollback", host.name, "--to", serial(four[2]))
    assert done.code == 0
    assert "trust.revocation-unknown" in done.err
    assert_served(host, nginx, four[2])


@pytest.mark.soak
def test_the_database_goes_back_to_one_that_was_revoked(
    host: Host, nginx: Nginx, published: Published, four: list[Issued], tmp_path: Path
) -> None:
    """Nor is it taken because the database or a statement of the issuer says that it is meant."""
    issuer = SigningIssuer(host, tmp_path / "issuer")
    revoke(published, four[0], four[2])
    for number, good in ((2, False), (0, False), (1, True)):
        issuer.offer(four[number], None, back=True)
        done = host.run()
        assert (done.code, done.certificate["state"]) == ((0, "installed") if good else (1, "refused")), done.err
        assert ("revocation: revoked; since " in done.err) is not good
        assert_served(host, nginx, four[1] if good else four[3])
    host.served_by(nginx, issuer_key=issuer.key_text)
    issuer.offer(four[2], issuer.sign(four[2], older=True))
    done = host.run()
    assert done.code == 1
    assert "revocation: revoked; since " in done.err
    issuer.offer(four[3], issuer.sign(four[3]))
    assert host.run().code == 0
    assert_served(host, nginx, four[3])


def test_a_ca_that_is_silent_holds_up_a_run_once(host: Host, tmp_path: Path) -> None:
    """Not for each certificate that goes back; and a request to stop ends the wait."""
    with socket.create_server((LOOPBACK, 0)) as silent:
        url = f"http://{LOOPBACK}:{silent.getsockname()[1]}"
        bundles = []
        for number in range(5):
            host.authority.added = [listed_at(f"{url}/{number}.crl")]
            bundles.append(parse_bundle(host.sign().fullchain_pem))
        waits, began = Waits(), time.monotonic()
        revocations = Revocations(waits)
        found = [revocations.of(bundle, time.time()) for bundle in bundles]
        assert {one.status for one in found} == {Status.UNKNOWN}
        assert "nobody is asked any more" in found[-1].sentence
        assert 9 < time.monotonic() - began < 40
        with waits.heeding_signals():
            stop = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))
            stop.start()
            with pytest.raises(Stopped):
                Revocations(waits).of(bundles[0], time.time())
            stop.join()


@pytest.mark.soak
def test_a_serial_that_is_not_kept(host: Host, nginx: Nginx, four: list[Issued]) -> None:
    """The sentence names those that are; the one in place is none to go back to."""
    for wrong in ("0A", serial(four[3])):
        done = host.agent("rollback", host.name, "--to", wrong)
        assert done.code == 1
        assert serial(four[2]) in done.err
    assert_served(host, nginx, four[3])
    assert os.listdir(host.state_dir / "journal") == []
