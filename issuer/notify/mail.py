"""One mail through the configured server (RFC 5321). Encrypted means verified; a password is never sent in clear."""

import contextlib
import email.utils
import smtplib
import ssl
from collections.abc import Iterator
from email.message import EmailMessage

import structlog

from common.files import read_password
from issuer.config import NotifySettings
from issuer.errors import MailError
from issuer.trust import verified_tls

log = structlog.get_logger()
_SECONDS = 20.0  # for the connection, and for each answer of the server


class MailServer:
    """The server of ``[notify]``. Raises ConfigError for a password or CA file that is not as it must be."""

    def __init__(self, settings: NotifySettings, host: str):
        self._settings = settings
        self._host = host
        self._sender = settings.email_from or f"certfleet@{host}"
        file = settings.smtp_password_file
        self._password = read_password(file) if file else ""
        self._trust = verified_tls(settings.smtp_ca_bundle, "notify.smtp_ca_bundle")

    def send(self, subject: str, text: str) -> None:
        """Hand one mail to the server; MailError when it did not take it for anybody."""
        message = self._message(subject, text)
        try:
            with self._session() as session:
                refused = session.send_message(message, self._sender, list(self._settings.email_to))
        except (OSError, smtplib.SMTPException) as error:
            place = f"{self._settings.smtp_host}:{self._settings.smtp_port}"
            what = f"the mail server {place} did not take the mail"
            raise MailError(what, why=_words(error), hint=_hint(error)) from error
        for address, answer in refused.items():
            log.warning("mail.recipient_refused", recipient=address, error=_decoded(answer[1]))

    @contextlib.contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        settings = self._settings
        host, port = settings.smtp_host, settings.smtp_port
        # local_hostname: smtplib would ask DNS for it, which may be what has failed
        if port == 465:
            session: smtplib.SMTP = smtplib.SMTP_SSL(
                host, port, local_hostname=self._host, timeout=_SECONDS, context=self._trust
            )
        else:
            session = smtplib.SMTP(host, port, local_hostname=self._host, timeout=_SECONDS)
        try:
            if settings.smtp_starttls and settings.smtp_port != 465:
                session.starttls(context=self._trust)
            if settings.smtp_user:
                if not isinstance(session.sock, ssl.SSLSocket):
                    raise RuntimeError("a password was about to be sent in clear")
                session.login(settings.smtp_user, self._password)
            yield session
            with contextlib.suppress(OSError, smtplib.SMTPException):  # it has the mail: how it parts changes nothing
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


def _words(error: Exception) -> str:
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
    return "check smtp_host and smtp_port in [notify]; what could not be sent is kept and sent later"
