"""One mail through the configured server (RFC 5321). Encrypted means verified; a password is never sent in clear."""

import contextlib
import email.utils
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import structlog

from common.errors import ConfigError, Finding
from common.files import read_password
from issuer.ground.tls import verified_tls
from issuer.model.config import NotifySettings
from issuer.model.errors import MailError

log = structlog.get_logger()
_SECONDS = 20.0  # for the connection, and for each answer of the server
_SESSION_SECONDS = 45.0  # for all of it: a server may also talk for ever


class MailServer:
    """The server of ``[notify]``. Raises ConfigError for a password or CA file that is not as it must be."""

    def __init__(self, settings: NotifySettings, host: str):
        self._settings = settings
        self._host = host
        self._sender = settings.email_from or f"certfleet@{host}"
        file = settings.smtp_password_file
        self._password = read_password(file) if file else ""
        if not self._password.isascii():  # smtplib sends no other
            raise ConfigError(
                str(file),
                [Finding("", "holds a character that is not ASCII, which cannot be sent here")],
                hint="give the account at the mail server a password of ASCII characters",
            )
        self._trust = verified_tls(settings.smtp_ca_bundle, "notify.smtp_ca_bundle")

    def send(self, subject: str, text: str) -> None:
        """Hand one mail to the server; MailError when it did not take it for anybody."""
        with self._trouble("did not take the mail", "; what could not be sent is kept and sent later"):
            message = self._message(subject, text)
            with self._session() as session:
                refused = session.send_message(message, self._sender, list(self._settings.email_to))
        for address, answer in refused.items():
            log.warning("mail.recipient_refused", recipient=address, error=_decoded(answer[1]))

    def reach(self) -> str:
        """Go as far as :meth:`send` does before the first word of a mail, and hand in none; the server's address.
        MailError when a mail would not come that far."""
        with self._trouble("would take no mail of ours"), self._session() as session:
            session.ehlo_or_helo_if_needed()
        return self._place

    @contextlib.contextmanager
    def _trouble(self, what: str, comfort: str = "") -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:  # smtplib's own errors are OSErrors
            what = f"the mail server {self._place} {what}"
            raise MailError(what, why=_words(error), hint=_hint(error) + comfort) from error

    @property
    def _place(self) -> str:
        return f"{self._settings.smtp_host}:{self._settings.smtp_port}"

    @contextlib.contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        settings = self._settings
        host, port = settings.smtp_host, settings.smtp_port
        # local_hostname: smtplib would ask DNS for it, which may be what has failed
        if port == 465:
            session: _Session = _TlsSession(
                host, port, local_hostname=self._host, timeout=_SECONDS, context=self._trust
            )
        else:
            session = _Session(host, port, local_hostname=self._host, timeout=_SECONDS)
        try:
            if settings.smtp_starttls and settings.smtp_port != 465:
                session.starttls(context=self._trust)
            if settings.smtp_user:
                if not isinstance(session.sock, ssl.SSLSocket):
                    raise RuntimeError("a password was about to be sent in clear")
                session.login(settings.smtp_user, self._password)
            yield session
            with contextlib.suppress(OSError):  # it has the mail: how it parts changes nothing
                session.quit()
        finally:
            session.close()

    def _message(self, subject: str, text: str) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = ", ".join(self._settings.email_to)
        message["Subject"] = " ".join(subject.split())
        message["Date"] = email.utils.formatdate(usegmt=True)
        message["Message-ID"] = email.utils.make_msgid(domain=self._host)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday answers
        message.set_content(text)
        return message


class _Session(smtplib.SMTP):
    """Its connection is shut when all of it takes too long; smtplib itself waits for each line anew."""

    def connect(self, host: str = "localhost", port: int = 0, source_address: Any = None) -> tuple[int, bytes]:
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()
        try:
            return super().connect(host, port, source_address)
        except BaseException:
            self._ended.set()
            raise

    def close(self) -> None:
        self._ended.set()
        super().close()

    def _watch(self) -> None:
        wait = _SESSION_SECONDS
        while not self._ended.wait(wait):
            log.warning("mail.took_too_long", seconds=_SESSION_SECONDS)
            wait = 5.0  # and again: it may be about to put a TLS socket in the place of this one
            if self.sock is not None:
                with contextlib.suppress(OSError):
                    # past the TLS layer, which would forget itself and let the next words out in clear
                    socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


class _TlsSession(_Session, smtplib.SMTP_SSL):
    """The same with TLS from the first byte."""


def _words(error: Exception) -> str:
    if isinstance(error, ValueError) and not isinstance(error, OSError):  # whose text may hold what was to be sent
        return f"its name or what it says is malformed ({type(error).__name__})"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(f"{address}: {_decoded(answer[1])}" for address, answer in error.recipients.items())
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_decoded(error.smtp_error)}"
    return str(error) or type(error).__name__


def _decoded(answer: bytes | str) -> str:
    text = answer if isinstance(answer, str) else answer.decode("utf-8", "replace")
    return " ".join(text.split())[:300]


def _hint(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "check smtp_user and smtp_password_file in [notify]"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "check email_to in [notify]"
    if isinstance(error, smtplib.SMTPSenderRefused):
        return "check email_from in [notify]"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "check smtp_ca_bundle in [notify]: the CA that signed its certificate, for exactly this smtp_host"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "the server does not offer what smtp_starttls or smtp_user in [notify] ask for"
    return "check smtp_host and smtp_port in [notify]"
