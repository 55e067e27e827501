"""The people who get mail, and the server that takes it, as both configurations have them under ``[notify]``. Pure."""

import re
from pathlib import Path

from common.config import boolean, integer, list_of, nonempty, optional, optional_path, setting, shown, text
from common.dataclasses import dataclass


def _email(value: object) -> str:
    """One bare address: it goes into a mail's header and an SMTP command."""
    address = nonempty(value)
    if not re.fullmatch(r"[^\s@<>,;:\"()\[\]\\\x00-\x1f\x7f]+@[A-Za-z0-9.-]+", address) or not address.isascii():
        raise ValueError(f'must be a bare address like "noc@example.com", not {shown(value)}')
    return address


@dataclass(frozen=True, slots=True)
class MailSettings:
    """Without recipients there is no mail."""

    email_to: tuple[str, ...] = setting(list_of(_email), ())
    email_from: str = setting(optional(_email, ""), "")  # "": certfleet@ this host
    smtp_host: str = setting(nonempty, "localhost")
    smtp_port: int = setting(integer(1, 65535), 25)  # 465: TLS from the first byte (RFC 8314)
    smtp_starttls: bool = setting(boolean, False)
    smtp_ca_bundle: Path | None = setting(optional_path, None)
    smtp_user: str = setting(text, "")
    smtp_password_file: Path | None = setting(optional_path, None)

    def __post_init__(self) -> None:
        if bool(self.smtp_user) != (self.smtp_password_file is not None):
            raise ValueError("smtp_user and smtp_password_file belong together: give both or none")
        if self.smtp_user and not self.encrypted:
            raise ValueError("smtp_user needs smtp_starttls = true (or port 465): no password over a clear connection")
        if not self.smtp_user.isascii():
            raise ValueError("smtp_user holds a character that is not ASCII, which cannot be sent")

    @property
    def encrypted(self) -> bool:
        """Is the connection to the mail server encrypted, and the server's certificate verified?"""
        return self.smtp_starttls or self.smtp_port == 465
