"""`check` reads every secret and bundle that the configuration names, and goes to the mail server without a mail."""

import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.issuer.check.findings import findings, told
from tests.issuer.daemon.service import QUICK_SECONDS
from tests.issuer.notify.test_mail_servers import secured
from tests.servers.lab import Lab
from tests.servers.process import program
from tests.servers.silent import Silent
from tests.servers.smtp import Smtp

SECOND = "https://127.0.0.1:9/second"


@pytest.fixture
def box(resolving_box: Box) -> Box:
    """A box that is set up, with nothing enrolled: what is told is told of the configuration alone."""
    return resolving_box


@pytest.fixture
def mailing(box: Box, tmp_path: Path) -> Iterator[tuple[Box, Smtp]]:
    """The same box with a mail server that wants TLS and a password."""
    with Smtp(tmp_path, password=True) as server:
        box.document["notify"] = {"email_to": ["noc@example.com"]}
        secured(box, server, tmp_path)
        yield box, server


def secret(file: Path, content: bytes, mode: int = 0o600) -> str:
    file.touch(mode=0o600)
    file.write_bytes(content)
    file.chmod(mode)
    return str(file)


def test_binding_keys_of_every_ca_are_read(box: Box, tmp_path: Path) -> None:
    """Missing, open to all, empty, and no base64url: each is bad under its CA before anything is registered."""
    account = str(box.state_dir / "account.pem")
    kept = secret(tmp_path / "open.key", b"c2VjcmV0", 0o644)
    box.document["acme"] |= {"eab_kid": "kid", "eab_hmac_file": str(tmp_path / "missing.key")}
    box.document["acme"]["fallback"] = [
        {"directory": SECOND, "account_key": account, "eab_kid": "kid", "eab_hmac_file": kept}
    ]
    box.write()
    found = findings(box)
    assert told(found, "bad", "missing.key: cannot be read")["subject"] == f"CA {box.document['acme']['directory']}"
    open_to_all = told(found, "bad", "open.key: holds a secret but its mode is 0644")
    assert (open_to_all["subject"], open_to_all["what_to_do"]) == (f"CA {SECOND}", f"chmod 0600 {kept} (0640 at most)")
    Path(kept).chmod(0o600)
    for content in (b"", b"c2Vj!cmV0", b"schl\xfcssel"):
        box.write(acme={"eab_hmac_file": secret(tmp_path / "wrong.key", content)})
        found = findings(box)
        assert "c2Vj" not in told(found, "bad", "wrong.key: is not a base64url key")["finding"]
    told(found, "ok", f"{kept} is usable")


def test_keys_that_no_certificate_needs_today_are_read(box: Box, tmp_path: Path) -> None:
    """The TSIG key of a zone without a certificate, and the files for SSH without a webroot."""
    key = tmp_path / "ssh.key"
    keygen = [program("ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(keygen, check=True, timeout=20)
    hosts = secret(tmp_path / "hosts", b"web.example.test ssh-ed25519\n")
    box.document["dns"]["zone"] = [{"name": "example.org", "tsig_key_file": str(tmp_path / "org.key")}]
    box.document["webroot"] = {"ssh_key_file": str(key), "ssh_host_keys": hosts}
    box.write()
    found = findings(box)
    told(found, "bad", "TSIG key: " + str(tmp_path / "org.key"))
    told(found, "bad", f"SSH: {hosts}: line 1: is not of the form HOST KEYTYPE KEY")
    told(found, "ok", f"SSH: {key} is usable")
    told(found, "ok", f"TSIG key: {box.document['dns']['tsig_key_file']} is usable")
    key.write_text("no key", encoding="ascii")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    told(findings(box), "bad", f"SSH: {key}: holds no private key that is understood")


def test_a_password_of_the_database_is_a_finding(box: Box, tmp_path: Path) -> None:
    """Its file and the CA bundle are read as issuing reads them, and the rest is looked at all the same."""
    box.document["database"] = {"url": "mysql://me@127.0.0.1/certfleet", "password_file": str(tmp_path / "no.password")}
    box.write()
    found = findings(box)
    told(found, "bad", f"database: {tmp_path / 'no.password'}: cannot be read")
    told(found, "ok", "reachable")
    box.write(database={"password_file": "", "tls_ca": "/nix"})
    told(findings(box), "bad", "database.tls_ca: /nix is not a readable file")


def test_nobody_to_mail_is_no_finding(box: Box) -> None:
    """Without recipients no mail server is looked for; a bundle that is named is read all the same."""
    assert "mail" not in [item["subject"] for item in findings(box)]
    box.document["notify"] = {"smtp_ca_bundle": "/nix"}
    box.write()
    told(findings(box), "bad", "mail: configuration: notify.smtp_ca_bundle: /nix is not a readable file")


def test_a_mail_server_is_asked_up_to_the_recipients(mailing: tuple[Box, Smtp], lab: Lab) -> None:
    """STARTTLS, password, sender and recipients are tried; no mail is handed in."""
    box, server = mailing
    how = "answers and encrypts and takes our login, and takes sender and recipients"
    told(findings(box), "ok", f"mail: localhost:{server.port} {how}")
    server.refused.add("noc@example.com")
    refused = told(findings(box), "bad", "would take no mail of ours: noc@example.com: no such person here")
    assert refused["what_to_do"] == "check email_to in [notify]"
    server.refused.clear()
    server.deferred.add("noc@example.com")
    put_off = told(findings(box), "bad", "would take no mail of ours: noc@example.com: greylisted")
    assert put_off["what_to_do"].startswith("the server puts it off, so try again in some minutes")
    assert server.letters == []


def test_a_mail_server_that_wants_starttls_or_a_login(mailing: tuple[Box, Smtp]) -> None:
    """It greets everybody, and refuses the sender for it: the hint names what is missing, and not the sender."""
    box, _ = mailing
    for changes in ({"smtp_user": "", "smtp_password_file": ""}, {"smtp_starttls": False}):
        box.write(notify=changes)
        refused = told(findings(box), "bad", "would take no mail of ours: 530")
        assert refused["what_to_do"].endswith("check smtp_starttls and smtp_user in [notify]")


@pytest.mark.parametrize(("waited", "level"), [(80000, None), (90000, "bad")])
def test_a_mail_that_waits_for_more_than_a_day(box: Box, tmp_path: Path, waited: int, level: str | None) -> None:
    """A finding as soon as nobody has heard for a day of what happened, whatever the server says now."""
    with Smtp(tmp_path) as server:
        box.document["notify"] = {"email_to": ["noc@example.com"], "smtp_host": "127.0.0.1", "smtp_port": server.port}
        box.write()
        at = int(time.time()) - waited
        box.database.execute(f"INSERT INTO outbox (at, name, kind, content) VALUES ({at}, 'x', 'failed', '{{}}')")  # noqa: S608
        waiting = [one["level"] for one in findings(box) if "has waited since 2" in one["finding"]]
        assert waiting == ([level] if level else [])


def test_a_password_that_the_mail_server_refuses(mailing: tuple[Box, Smtp], tmp_path: Path) -> None:
    """Bad, with the keys to look at and without the password."""
    box, _ = mailing
    secret(tmp_path / "smtp.password", b"not the right one")
    refused = told(findings(box), "bad", "mail: the mail server localhost:")
    assert "would take no mail of ours" in refused["finding"]
    assert refused["what_to_do"] == "check smtp_user and smtp_password_file in [notify]"
    assert "not the right one" not in str(refused)


def test_a_mail_server_that_nobody_can_trust_or_reach(mailing: tuple[Box, Smtp], lab: Lab) -> None:
    """A certificate of another CA, and no server at all: bad, each with what to look at."""
    box, server = mailing
    box.write(notify={"smtp_ca_bundle": str(lab.pebble.ca_file)})
    assert "smtp_ca_bundle" in told(findings(box), "bad", "CERTIFICATE_VERIFY_FAILED")["what_to_do"]
    server.stop()
    hint = "check smtp_host and smtp_port in [notify]"
    assert told(findings(box), "bad", "mail: the mail server")["what_to_do"] == hint


def test_a_silent_mail_server_keeps_nothing_waiting(box: Box) -> None:
    """All the rest is told meanwhile, and Ctrl-C is heard."""
    with Silent() as server:
        box.document["notify"] = {"email_to": ["noc@example.com"], "smtp_host": "127.0.0.1", "smtp_port": server.port}
        box.write()
        with box.start("check") as check:
            assert check.stdout is not None
            assert any("TSIG key" in line for line in check.stdout)
            assert server.met.wait(QUICK_SECONDS)
            check.send_signal(signal.SIGINT)
            assert check.stdout.read() == ""
            assert check.wait(QUICK_SECONDS) == 130


def test_a_plain_mail_server_is_greeted(box: Box, tmp_path: Path) -> None:
    """Without encryption and login there is the greeting alone."""
    with Smtp(tmp_path) as server:
        box.document["notify"] = {"email_to": ["noc@example.com"], "smtp_host": "127.0.0.1", "smtp_port": server.port}
        box.write()
        told(findings(box), "ok", f"mail: 127.0.0.1:{server.port} answers")
        assert server.letters == []
