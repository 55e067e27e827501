"""Mail through the configured server (RFC 5321). TLS is always verified; a password is never sent in clear."""

import contextlib
import email.utils
import functools
import smtplib
import socket
import ssl
from collections.abc import Iterator
from email.message import EmailMessage

import structlog

from common.deadline import Deadline, Incoming, cut_off
from common.errors import ConfigError, Finding, MailError
from common.files import read_password
from common.mail_settings import MailSettings
from common.text import storable
from common.tls import verified_tls

log = structlog.get_logger()
_SECONDS = 20.0  # for the connection, and for each answer of the server
_LONGEST_SESSION = 45.0  # seconds
_MOST_BYTES = 1_000_000  # that a server may say in clear, and again over TLS


class MailServer:
    """The server of ``[notify]``. The constructor raises ConfigError for an unusable password or CA file.

    *session_seconds*: the time limit of one whole session; *comfort*: what the hint says of a mail that the server does
    not take.
    """

    def __init__(
        self, settings: MailSettings, host: str, *, session_seconds: float = _LONGEST_SESSION, comfort: str = ""
    ):
        self._settings = settings
        self._session_seconds = session_seconds
        self._comfort = comfort
        self._host = host
        self._sender = settings.email_from or f"certfleet@{host}"
        file = settings.smtp_password_file
        self._password = read_password(file) if file else ""
        if not self._password.isascii():  # smtplib sends ASCII only
            raise ConfigError(
                str(file),
                [Finding("", "holds a character that is not ASCII, which cannot be sent here")],
                hint="give the account at the mail server a password of ASCII characters",
            )
        # the system's roots take 30 ms to read, and most runs have nothing to tell
        bundle = settings.smtp_ca_bundle
        self._trust = functools.cache(functools.partial(verified_tls, bundle, "notify.smtp_ca_bundle"))
        if bundle:
            self._trust()

    def send(self, subject: str, text: str) -> None:
        """Send one mail. Raises MailError when the server refused it for every recipient. Where it takes the mail for
        some, nobody sends it to the others again: an error in the log names each."""
        with self._trouble("did not take the mail", self._comfort):
            message = self._message(subject, text)
            with self._session() as session:
                refused = session.send_message(message, self._sender, list(self._settings.email_to))
        for address, answer in refused.items():
            of = f"{len(refused)} of {len(self._settings.email_to)} recipients"
            log.error("mail.recipient_refused", recipient=address, error=f"{answer[0]} {_decoded(answer[1])}", of=of)

    def reach(self) -> str:
        """Connect, encrypt, log in and name sender and recipients, but send no mail. Returns the server's address.
        Raises MailError, also when one of the recipients is refused."""
        with self._trouble("would take no mail of ours"), self._session() as session:
            session.ehlo_or_helo_if_needed()
            code, answer = session.mail(self._sender)
            if code != 250:
                raise smtplib.SMTPSenderRefused(code, answer, self._sender)
            answers = {address: session.rcpt(address) for address in self._settings.email_to}
            refused = {address: answer for address, answer in answers.items() if answer[0] not in (250, 251)}
            if refused:
                raise smtplib.SMTPRecipientsRefused(refused)
            session.rset()
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
        settings, host, port = self._settings, self._settings.smtp_host, self._settings.smtp_port
        at_once = port == 465
        with socket.create_connection((host, port), _SECONDS) as plain, cut_off(plain, self._session_seconds):
            connection = self._trust().wrap_socket(plain, server_hostname=host) if at_once else plain
            session = _Session(connection, host, self._host)
            try:
                if settings.smtp_starttls and not at_once:
                    session.starttls(context=self._trust())
                if settings.smtp_user:
                    if not isinstance(session.sock, ssl.SSLSocket):
                        raise RuntimeError("a password was about to be sent in clear")
                    session.login(settings.smtp_user, self._password)
                yield session
                with contextlib.suppress(OSError):  # the mail is sent already
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
    """A session over an open *connection*."""

    def __init__(self, connection: socket.socket, host: str, our_name: str):
        self._connection = connection
        # without our_name smtplib would ask DNS for it, and the mail may report that DNS has failed
        super().__init__(host, local_hostname=our_name, timeout=_SECONDS)

    def _get_socket(self, *_: object) -> socket.socket:
        return self._connection

    def getreply(self) -> tuple[int, bytes]:
        """smtplib keeps each line of an answer, however many there are."""
        if self.file is None and self.sock is not None:
            self.file = Incoming(self.sock, Deadline(_LONGEST_SESSION), _MOST_BYTES).makefile()
        return super().getreply()


def _words(error: Exception) -> str:
    if isinstance(error, ValueError) and not isinstance(error, OSError):  # its text may quote a secret
        return f"its name or its answer is malformed ({type(error).__name__})"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(f"{address}: {_decoded(answer[1])}" for address, answer in error.recipients.items())
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_decoded(error.smtp_error)}"
    return str(error) or type(error).__name__


def _decoded(answer: bytes | str) -> str:
    return storable(answer if isinstance(answer, str) else answer.decode("utf-8", "replace"), 300)


def _hint(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "check smtp_user and smtp_password_file in [notify]"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        later = all(answer[0] < 500 for answer in error.recipients.values())  # RFC 5321 §4.2.1
        return f"{'the server puts it off, so try again in some minutes; else ' * later}check email_to in [notify]"
    if isinstance(error, smtplib.SMTPSenderRefused) and error.smtp_code == 530:  # RFC 3207 §4, RFC 4954 §6
        return "the server wants STARTTLS or a login: check smtp_starttls and smtp_user in [notify]"
    if isinstance(error, smtplib.SMTPSenderRefused):
        return "check email_from in [notify]"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "check smtp_ca_bundle in [notify]: it must hold the server's CA, and the certificate must name smtp_host"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "the server does not offer STARTTLS or a login: check smtp_starttls and smtp_user in [notify]"
    return "check smtp_host and smtp_port in [notify]"
