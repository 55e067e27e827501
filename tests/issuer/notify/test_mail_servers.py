"""Servers of mail: TLS, a password, and those that are wrong in some way."""

import contextlib
import socket
import threading
import time
from pathlib import Path

import pytest

from common.errors import MailError
from common.mail import MailServer
from issuer.model.config import NotifySettings
from tests.issuer.box import Box
from tests.issuer.notify.conftest import mend
from tests.servers.ports import LOOPBACK
from tests.servers.smtp import PASSWORD, USER, Smtp


def secured(box: Box, server: Smtp, folder: Path, **changes: object) -> None:
    """Let *box* send through a server with TLS and a password."""
    password_file = folder / "smtp.password"
    password_file.touch(mode=0o600)
    password_file.write_text(PASSWORD + "\n", encoding="utf-8")
    box.write(
        notify={
            "smtp_host": "localhost",
            "smtp_port": server.port,
            "smtp_starttls": True,
            "smtp_ca_bundle": str(server.ca_file),
            "smtp_user": USER,
            "smtp_password_file": str(password_file),
            "email_from": "issuer@example.com",
        }
        | changes
    )


def test_starttls_and_a_password(troubled: Box, tmp_path: Path) -> None:
    """With STARTTLS the certificate is verified and the password sent only then."""
    with Smtp(tmp_path, password=True) as server:
        secured(troubled, server, tmp_path)
        troubled.fails("run", says=["failed"])
        [letter] = server.letters
        assert (letter.encrypted, letter.user, letter.sender) == (True, USER, "issuer@example.com")


def test_a_mail_server_with_a_wrong_certificate_gets_neither_password_nor_mail(
    troubled: Box, smtp: Smtp, tmp_path: Path
) -> None:
    """Another name in its certificate, or another authority: a warning that says so, and the events are kept."""
    with Smtp(tmp_path / "wrong", password=True, certificate_for="mail.elsewhere.test") as server:
        secured(troubled, server, tmp_path)
        assert "CERTIFICATE_VERIFY_FAILED" in troubled.fails("run", says=["failed"]).err
        secured(troubled, server, tmp_path, smtp_ca_bundle=str(smtp.ca_file))
        assert "smtp_ca_bundle" in troubled.fails("run", says=["failed"]).err
        assert server.letters == []


def test_a_server_without_starttls_gets_nothing(troubled: Box, smtp: Smtp, tmp_path: Path) -> None:
    """If encryption is asked for and not offered, no mail and no password leave in clear."""
    secured(troubled, smtp, tmp_path)
    assert "STARTTLS extension not supported" in troubled.fails("run", says=["failed"]).err
    assert smtp.letters == []


def test_a_wrong_password_is_said(troubled: Box, tmp_path: Path) -> None:
    """The warning names the keys to look at, and never the password."""
    with Smtp(tmp_path, password=True) as server:
        secured(troubled, server, tmp_path)
        (tmp_path / "smtp.password").write_text("not the right one\n", encoding="utf-8")
        outcome = troubled.fails("run", says=["failed"])
        assert "smtp_password_file" in outcome.err
        assert "not the right one" not in outcome.err


def test_a_login_that_goes_wrong_fails_no_run(troubled: Box, tmp_path: Path) -> None:
    """A challenge that is no base64 is a warning without the password, and what was to be said is kept."""
    with Smtp(tmp_path, password=True, stammers=True) as server:
        secured(troubled, server, tmp_path)
        outcome = troubled.fails("run", says=["failed", "notification.unsent", "malformed"])
        assert PASSWORD not in outcome.err
        assert server.letters == []
    assert len(troubled.database.query("SELECT * FROM outbox WHERE taken_by IS NULL")) == 3


def test_a_mail_that_nobody_takes_for_a_day_fails_the_run(troubled: Box, smtp: Smtp) -> None:
    """Also under -q, where all certificates are well; and no more once a server has taken it."""
    troubled.fails("run", says=["failed"])
    mend(troubled, "a.example.test", "b.example.test", "c.example.test")
    smtp.refuse("451 not now")
    assert "waited" not in troubled.ok("run", "-q").err
    troubled.database.execute("UPDATE outbox SET at = at - 90000")
    quiet = troubled.fails("run", "-q", says=["error: a mail has waited since 2", "certfleet-issuer check"])
    assert quiet.out == ""
    for file in troubled.state_dir.glob("hosts.db*"):
        file.unlink()
    (troubled.state_dir / "hosts.db").write_bytes(b"nothing that sqlite knows" * 99)
    troubled.fails("run", "-q", says=["hosts.db", "error: a mail has waited since 2"])  # one trouble hides no other
    (troubled.state_dir / "hosts.db").unlink()
    smtp.refuse("")
    troubled.ok("run", "-q")


def test_a_mail_server_that_talks_for_ever_is_left() -> None:
    """Each of its lines comes in time, and the greeting never ends: the whole session has its limit too."""

    def talk(ear: socket.socket) -> None:
        caller, _ = ear.accept()
        with caller, contextlib.suppress(OSError):
            while True:
                caller.sendall(b"220-welcome\r\n")
                time.sleep(0.1)

    with socket.create_server((LOOPBACK, 0)) as ear:
        talker = threading.Thread(target=talk, args=(ear,))
        talker.start()
        settings = NotifySettings(email_to=("noc@example.com",), smtp_host=LOOPBACK, smtp_port=ear.getsockname()[1])
        with pytest.raises(MailError, match=r"did not take the mail: it had not ended after 0\.5 s"):
            MailServer(settings, "box", session_seconds=0.5).send("subject", "text")
        talker.join()


def test_a_mail_server_whose_answer_has_no_end() -> None:
    """Line after line of one answer, as fast as it can: it ends at once, with that reason, before memory is full."""
    lines, sent = b"220-" + b"x" * 8000 + b"\r\n", []

    def flood(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            for _ in range(2000):
                connection.sendall(lines * 10)
                sent.append(80_000)

    with socket.create_server((LOOPBACK, 0)) as server:
        thread = threading.Thread(target=flood, args=(server,))
        thread.start()
        settings = NotifySettings(email_to=("noc@example.com",), smtp_host=LOOPBACK, smtp_port=server.getsockname()[1])
        with pytest.raises(MailError, match="its answer has no end"):
            MailServer(settings, "box").send("subject", "text")
        thread.join()
    assert sum(sent) < 50_000_000


@pytest.mark.parametrize(
    ("notify", "says"),
    [
        ({"smtp_user": "me", "smtp_password_file": "/nowhere"}, "no password over a clear connection"),
        ({"smtp_user": "me", "smtp_starttls": True}, "belong together"),
        ({"email_to": ["Nobody <noc@example.com>"]}, "must be a bare address"),
        ({"email_to": ["noc@example.com\nBcc: all@example.com"]}, "must not hold control characters"),
        ({"email_from": "issuer"}, "must be a bare address"),
        ({"smtp_user": "büro", "smtp_password_file": "/x", "smtp_starttls": True}, "smtp_user holds a character"),
    ],
)
def test_a_wrong_section_is_refused_before_anything_happens(
    lone_box: Box, notify: dict[str, object], says: str
) -> None:
    """What cannot be meant, or would leak a password, is a finding of the configuration: exit code 2."""
    lone_box.document["notify"] = notify
    lone_box.write()
    lone_box.refused("run", code=2, says=["notify", says])


def test_a_password_file_open_to_all_is_refused(troubled: Box, tmp_path: Path) -> None:
    """The mode of the secret is checked before the first order."""
    with Smtp(tmp_path, password=True) as server:
        secured(troubled, server, tmp_path)
        (tmp_path / "smtp.password").chmod(0o644)
        troubled.refused("run", code=2, says=["smtp.password", "0644"])


def test_a_password_that_smtp_cannot_carry_is_refused(troubled: Box, smtp: Smtp, tmp_path: Path) -> None:
    """Told before the first order, and not at the end of a run; the password itself is never shown."""
    secured(troubled, smtp, tmp_path)
    (tmp_path / "smtp.password").write_text("schlüssel", encoding="utf-8")
    outcome = troubled.refused("run", code=2, says=["smtp.password", "not ASCII"])
    assert "schl" not in outcome.err
