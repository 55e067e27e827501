"""tls-alpn-01 (RFC 8737) as a third challenge type: this file, and one line in the list of types.

A row chooses it by a webroot_path like alpn://127.0.0.1:5001/folder: where the TLS server of its names listens, and
the folder from which that server takes certificates for validation.
"""

import hashlib
import os
import re
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from common.check_line import Line
from common.clock import Clock
from common.egress.needs import Need
from common.errors import CertfleetError, UsageError
from issuer.model.acme import CaChallenge, CaIdentity, Challenge, Laggard
from issuer.model.asked import Asked
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment, Validation
from issuer.rules.challenges import token_of
from issuer.rules.egress import Needs
from issuer.rules.findings import Findings, bad, bad_lines, ok

PROTOCOL = "acme-tls/1"
_ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")


class Alpn01:
    """The way of a row whose webroot_path begins with alpn://."""

    name = "tls-alpn-01"
    standing = False
    ready = "its TLS server takes certificates from that folder"
    from_outside = f"check the TLS server from outside: the CA speaks {PROTOCOL} on port 443"

    def chosen_by(self, validation: Validation) -> bool:
        return validation.webroot_path.startswith("alpn://")

    def require(self, validation: Validation, names: Sequence[str]) -> None:
        """RFC 8737 §3: no wildcards."""
        for name in names:
            if name.startswith("*."):
                raise UsageError(f"{name} is a wildcard, and {self.name} validates none", hint="validate it by dns-01")

    def owner(self, name: str) -> str:
        """The TLS server's name."""
        return name

    def content(self, challenge: CaChallenge, name: str, key_authorization: Callable[[str], str]) -> str:
        """The digest in the certificate, as hexadecimal digits."""
        return hashlib.sha256(key_authorization(token_of(challenge, name)).encode()).hexdigest()

    def is_answer(self, value: str, key_authorization: Callable[[str], str]) -> bool:
        return re.fullmatch("[0-9a-f]{64}", value) is not None

    def instruction(self, entry: Challenge) -> str:
        return f"{entry.owner}: a certificate with the acmeIdentifier {entry.value} for {PROTOCOL}"

    def leaves(self, names: Sequence[str]) -> str:
        return f"the TLS server of {', '.join(names)} may still speak {PROTOCOL}"


class AlpnServers:
    """TLS servers of this machine, each with its folder."""

    type = Alpn01()
    propagation: Mapping[str, float] = {}

    def __init__(self, settings: Settings) -> None:
        self.patience = settings.webroot.propagation_timeout

    def place(self, name: str, row: Enrolment) -> tuple[str, str]:
        validation = row.validation.of(name)
        self.type.require(validation, [name])
        _folder(validation.webroot_path)
        return name, validation.webroot_path

    def publish(self, entries: Sequence[Challenge]) -> None:
        for entry in entries:
            _file(entry).write_bytes(certificate(entry.owner, entry.value))

    def unseen(self, entries: Sequence[Challenge]) -> list[Laggard]:
        verdicts = {entry.owner: _verdict(entry) for entry in entries}
        return [Laggard(name, verdict) for name, verdict in verdicts.items() if verdict]

    def too_late(self, laggards: Sequence[Laggard]) -> CertfleetError:
        what = "the TLS server shows no answer"
        return CertfleetError(what, why="; ".join(map(str, laggards)), hint="start it", reference="alpn")

    def asked(self, entries: Sequence[Challenge], since: float) -> Asked | None:
        return None

    def withdraw(self, entries: Sequence[Challenge]) -> None:
        for entry in entries:
            _file(entry).unlink(missing_ok=True)

    def keeper(self, entry: Challenge) -> str:
        return entry.zone

    def load_keys(self) -> None:
        """There are none."""

    def files(self) -> list[tuple[str, Path | None, Callable[[Path], object]]]:
        return []

    def examine(
        self, subject: str, names: Sequence[str], validation: Validation, authorities: Sequence[CaIdentity]
    ) -> Findings:
        """The folder of the certificate now, its TLS server once for all that share it."""

        def probe(_clock: Clock, _patience: float, _pause: Callable[[float], bool]) -> list[Line]:
            try:
                _shown(names[0], validation.webroot_path)
            except OSError as error:
                return [bad(validation.webroot_path, f"it does not speak {PROTOCOL}: {error}", "start it")]
            return [ok(validation.webroot_path, f"it speaks {PROTOCOL}")]

        try:
            folder = _folder(validation.webroot_path)
        except CertfleetError as error:
            return Findings(bad_lines(subject, error))
        return Findings([ok(subject, f"certificates for validation can be put into {folder}")], {validation: probe})

    def needs(self, names: Sequence[str], validations: Sequence[Validation]) -> Needs:
        return Needs(
            inwards=[Need(name, 443, "tcp", f"{self.type.name}: the CA looks at the server") for name in names]
        )


def certificate(name: str, digest: str) -> bytes:
    """A self-signed certificate that answers a challenge for *name*, and its key, as PEM (RFC 8737 §3)."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "validation")])
    answer = x509.UnrecognizedExtension(_ACME_IDENTIFIER, b"\x04\x20" + bytes.fromhex(digest))
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    signed = builder.add_extension(answer, critical=True).sign(key, hashes.SHA256())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return signed.public_bytes(Encoding.PEM) + pem


def _verdict(entry: Challenge) -> str:
    """What keeps the CA from seeing the answer, "" for nothing."""
    try:
        shown = x509.load_der_x509_certificate(_shown(entry.owner, entry.zone))
        answer = shown.extensions.get_extension_for_oid(_ACME_IDENTIFIER).value
    except (OSError, x509.ExtensionNotFound) as error:
        return str(error)
    right = isinstance(answer, x509.UnrecognizedExtension) and answer.value[2:].hex() == entry.value
    return "" if right else "another answer is there"


def _shown(name: str, place: str) -> bytes:
    """The certificate that the TLS server of *place* shows for *name*. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([PROTOCOL])
    parts = urlsplit(place)
    with (
        socket.create_connection((parts.hostname or "", parts.port or 443), 5) as plain,
        context.wrap_socket(plain, server_hostname=name) as connection,
    ):
        if connection.selected_alpn_protocol() != PROTOCOL:
            raise OSError("it speaks another protocol")
        return connection.getpeercert(binary_form=True) or b""


def _folder(place: str) -> Path:
    folder = Path(urlsplit(place).path)
    if not os.access(folder, os.W_OK):
        raise CertfleetError(f"{folder} cannot be written", hint="make that folder", reference="alpn")
    return folder


def _file(entry: Challenge) -> Path:
    return Path(urlsplit(entry.zone).path) / f"{entry.owner}.{entry.value[:16]}.pem"
