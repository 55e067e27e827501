"""A small CA and the certificate of a database server, in a folder: what `db tls` makes and renews (RFC 5280).

Agents trust the CA for years, so its key is kept: a renewed certificate of the CA has the same key and name, and agents
with the older file go on. The server's key is kept too, so that certificate and key fit at any moment.
"""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.certificate import load_certificates, pem
from common.errors import RefusedError
from common.files import create_new, give, make_folder, read_regular, read_secret, write_atomic
from common.names import parse_dns_name
from common.owners import owner_ids

_CA_LIFE, _SERVER_LIFE = timedelta(days=20 * 365), timedelta(days=2 * 365)
_CLOCKS_APART = timedelta(hours=1)
_LONGEST_COMMON_NAME = 64  # RFC 5280, ub-common-name
_SHORT_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


@dataclass(frozen=True, slots=True)
class ServerTls:
    """The files of a folder. *hosts*: the names and addresses that the server's certificate is for. *ca_ends* and
    *ends*: the ends of both certificates; None before they are made."""

    folder: Path
    hosts: tuple[str, ...] = ()
    ca_ends: datetime | None = None
    ends: datetime | None = None

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def ca_key(self) -> Path:
        return self.folder / "ca.key"

    @property
    def certificate(self) -> Path:
        return self.folder / "server.pem"

    @property
    def key(self) -> Path:
        return self.folder / "server.key"


def hosts_of(folder: Path) -> tuple[str, ...]:
    """The names and addresses that the certificate in *folder* is for; none without one. Raises RefusedError."""
    certificate = _certificate(ServerTls(folder).certificate)
    extensions = [] if certificate is None else [extension.value for extension in certificate.extensions]
    names = [name for value in extensions if isinstance(value, x509.SubjectAlternativeName) for name in value]
    return tuple(str(name.value) for name in names)


def make(folder: Path, hosts: Sequence[str], owner: str, now: datetime) -> ServerTls:
    """Make what *folder* lacks, and sign the server's certificate anew for *hosts*. *owner*: the account that the
    server runs as. It gets the server's key if we are root and this machine knows it. Raises CertfleetError, also for
    files that others made; ValueError for a host that is neither a DNS name nor an address."""
    names = [_general_name(host) for host in hosts]
    files = ServerTls(folder)
    ca, before = _certificate(files.ca), _certificate(files.certificate)
    if ca is not None and not os.path.lexists(files.ca_key):
        raise _unusable(files.ca, f"its key {files.ca_key} is missing")
    if before is not None and (ca is None or before.issuer != ca.subject):
        raise _unusable(files.certificate, f"it was not signed by {files.ca}")
    make_folder(folder)
    ca_key, key = _key(files.ca_key, ""), _key(files.key, owner)
    if ca is not None and ca.public_key() != ca_key.public_key():
        raise _unusable(files.ca, f"{files.ca_key} is the key of another one")
    if ca is None or ca.not_valid_after_utc < now + _SERVER_LIFE:
        ca = _sign_ca(ca_key, now)
        write_atomic(files.ca, pem(ca))
    server = _sign_server(key, names, ca, ca_key, now)
    write_atomic(files.certificate, pem(server))
    return ServerTls(folder, tuple(hosts), ca.not_valid_after_utc, server.not_valid_after_utc)


def _general_name(host: str) -> x509.GeneralName:
    with suppress(ValueError):
        return x509.IPAddress(ip_address(host))
    if _SHORT_NAME.fullmatch(host):  # of a machine in the same domain, or localhost
        return x509.DNSName(host.lower())
    return x509.DNSName(parse_dns_name(host))


def _key(file: Path, owner: str) -> ec.EllipticCurvePrivateKey:
    """The key in *file*, which is made if there is none: 0600 from the start, for *owner* if root makes it."""
    if not os.path.lexists(file):
        made = ec.generate_private_key(ec.SECP256R1())
        content = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        create_new(file, content, mode=0o600, own=True)
        _give(file, owner)
    try:
        key = load_pem_private_key(read_secret(file), password=None)
    except (ValueError, TypeError) as error:
        raise _unusable(file, "it is not an unencrypted private key in PEM") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _unusable(file, "it is no key of ours, which are ECDSA P-256")
    return key


def _give(file: Path, owner: str) -> None:
    if os.geteuid() != 0 or not owner:
        return
    with suppress(ValueError):  # no such account here: another machine gets the file
        give(file, *owner_ids(owner, ""))


def _certificate(file: Path) -> x509.Certificate | None:
    try:
        [certificate] = load_certificates(read_regular(file))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(file, error.strerror or str(error)) from error
    except ValueError as error:
        raise _unusable(file, "it is not one certificate in PEM") from error
    return certificate


def _unusable(file: Path, why: str) -> RefusedError:
    return RefusedError(f"{file} cannot be used", why=why, hint="name another folder, or move that file away")


def _sign_ca(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "certfleet database CA")])
    builder = _builder(subject, key, subject, key, (now, now + _CA_LIFE))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.add_extension(_usage("key_cert_sign", "crl_sign"), critical=True).sign(key, hashes.SHA256())


def _sign_server(
    key: ec.EllipticCurvePrivateKey,
    names: Sequence[x509.GeneralName],
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.Certificate:
    common = [str(name.value) for name in names if len(str(name.value)) <= _LONGEST_COMMON_NAME][:1]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in common])
    return (
        _builder(subject, key, ca.subject, ca_key, (now, now + _SERVER_LIFE))
        # critical where the subject is empty, RFC 5280 §4.2.1.6
        .add_extension(x509.SubjectAlternativeName(names), critical=not common)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    validity: tuple[datetime, datetime],
) -> x509.CertificateBuilder:
    starts, ends = validity
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(starts - _CLOCKS_APART)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


def _usage(*names: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in names for usage in _USAGES})
