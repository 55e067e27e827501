"""A real SMTP server on loopback, in this process: plain, with STARTTLS, or with STARTTLS and a password."""

import email
import email.policy
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.servers.authority import Authority
from tests.servers.ports import LOOPBACK, free_port, release_port
from tests.servers.process import START_SECONDS

USER, PASSWORD = "certfleet", "a secret of the tests"


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail as the server got it, and how: over TLS, by which user."""

    sender: str
    recipients: tuple[str, ...]
    encrypted: bool
    user: str
    message: EmailMessage

    @property
    def subject(self) -> str:
        """The subject, decoded."""
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        """The plain text."""
        return str(self.message.get_content())


@dataclass
class _Handler:
    refused: set[str]
    deferred: set[str] = field(default_factory=set)
    letters: list[Letter] = field(default_factory=list)
    refusal: str = ""

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 no such person here"
        if address in self.deferred:
            return "450 greylisted"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.refusal:
            return self.refusal
        content = envelope.content
        assert isinstance(content, bytes)
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        user = session.auth_data.login.decode() if isinstance(session.auth_data, LoginPassword) else ""
        recipients = tuple(envelope.rcpt_tos)
        self.letters.append(Letter(str(envelope.mail_from), recipients, session.ssl is not None, user, message))
        return "250 taken"


class _Stammerer(_Handler):
    """Offers CRAM-MD5, which clients prefer, and then poses a challenge that is no base64."""

    async def auth_CRAM__MD5(self, server: SMTP, args: list[str]) -> AuthResult:  # noqa: N802 - the library's name
        await server.push("334 A")
        return AuthResult(success=False, handled=False)


class Smtp:
    """`letters` are what it has taken. With `starttls` it offers encryption, with `password` it insists on both,
    and with `stammers` its login goes wrong.

    `certificate_for` is the name in its certificate; a client that verifies connects to exactly that.
    """

    def __init__(
        self,
        folder: Path,
        *,
        starttls: bool = False,
        password: bool = False,
        stammers: bool = False,
        certificate_for: str = "localhost",
    ) -> None:
        self.port = free_port()
        self.refused: set[str] = set()
        self._handler = (_Stammerer if stammers else _Handler)(self.refused)
        authority = Authority("SMTP CA")
        self.ca_file = authority.write(folder / "smtp")
        options: dict[str, Any] = {}
        if starttls or password:
            files = authority.issue([certificate_for]).write(folder / "smtp")
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(files.fullchain, files.key)
            options = {"tls_context": context, "require_starttls": password}
        if password:
            options |= {"authenticator": _authenticate, "auth_required": True}
        self._options = options
        self._controller: Controller | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()
        release_port(self.port)

    @property
    def deferred(self) -> set[str]:
        """Recipients that it puts off."""
        return self._handler.deferred

    @property
    def letters(self) -> list[Letter]:
        """Everything it has taken, oldest first."""
        return self._handler.letters

    def refuse(self, answer: str) -> None:
        """Answer each mail with this from now on; "" takes them again."""
        self._handler.refusal = answer

    def start(self) -> None:
        """Listen."""
        self._controller = Controller(
            self._handler, hostname=LOOPBACK, port=self.port, ready_timeout=START_SECONDS, **self._options
        )
        self._controller.start()

    def stop(self) -> None:
        """Be down; what was taken is kept."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None


def _authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
    right = LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(
        success=data == right, handled=False, auth_data=data
    )  # not handled: it answers a wrong one itself
