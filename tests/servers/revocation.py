"""What an authority of the tests says about revocation: extensions of certificates, lists, OCSP responses."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from common.revocation import Limits, Revocation, ask
from tests.servers.authority import Authority
from tests.servers.nginx import Nginx
from tests.servers.ports import LOOPBACK


class Published:
    """An authority, the folder of its lists and the web server before it, as long as it is entered."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.authority = authority
        self.webroot = folder / "lists"
        self.webroot.mkdir(parents=True)
        files = authority.issue(["localhost"]).write(folder / "tls")
        self.nginx = Nginx(folder / "nginx", files.fullchain, files.key, http_webroot=self.webroot)

    def __enter__(self) -> Self:
        self.nginx.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.nginx.__exit__(*error)

    def url(self, name: str) -> str:
        return f"http://{LOOPBACK}:{self.nginx.http_port}/{name}"

    def put(self, name: str, content: bytes) -> str:
        (self.webroot / name).write_bytes(content)
        return self.url(name)

    def issue(self, *extensions: x509.ExtensionType) -> x509.Certificate:
        return self.authority.issue(["w.example.test"], more=extensions).certificate

    def asked(self, leaf: x509.Certificate, limits: Limits = Limits()) -> Revocation:  # noqa: B008 - it is frozen
        return ask(leaf, self.authority.certificate, limits, time.time())


def listed_at(*urls: str) -> x509.CRLDistributionPoints:
    """One distribution point with these names."""
    return x509.CRLDistributionPoints([x509.DistributionPoint(_names(urls), None, None, None)])


def answered_at(url: str) -> x509.AuthorityInformationAccess:
    """The responder of a certificate."""
    access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url))
    return x509.AuthorityInformationAccess([access])


def scope(*urls: str, **of: bool) -> x509.IssuingDistributionPoint:
    """What a list is for; *of*: only_contains_user_certs and the like."""
    kinds = ("only_contains_user_certs", "only_contains_ca_certs", "only_contains_attribute_certs", "indirect_crl")
    some = frozenset([x509.ReasonFlags.key_compromise]) if of.get("only_some_reasons") else None
    flags = {kind: of.get(kind, False) for kind in kinds}
    return x509.IssuingDistributionPoint(
        full_name=_names(urls) if urls else None, relative_name=None, only_some_reasons=some, **flags
    )


def revocation_list(
    authority: Authority,
    *revoked: x509.Certificate,
    since: datetime | None = None,
    for_days: float = 7,
    critical: Sequence[x509.ExtensionType] = (),
) -> bytes:
    """A list, in DER, made at *since* (a minute ago) and good for so many days. What is on it was revoked for a key
    that became known."""
    start = since or datetime.now(UTC) - timedelta(minutes=1)
    builder = x509.CertificateRevocationListBuilder().last_update(start).next_update(start + timedelta(days=for_days))
    for certificate in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(start)
        reason = x509.CRLReason(x509.ReasonFlags.key_compromise)
        builder = builder.add_revoked_certificate(entry.add_extension(reason, critical=False).build())
    for extension in critical:
        builder = builder.add_extension(extension, critical=True)
    return authority.sign_list(builder)


def response(
    authority: Authority,
    leaf: x509.Certificate,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    *,
    since: datetime | None = None,
    for_days: float | None = 7,
    issuer: x509.Certificate | None = None,
) -> bytes:
    """A response about *leaf*, in DER. *issuer*: whom it says to have issued it, the authority if none is given."""
    start = since or datetime.now(UTC) - timedelta(minutes=1)
    is_revoked = status is ocsp.OCSPCertStatus.REVOKED
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=leaf,
        issuer=issuer or authority.certificate,
        algorithm=SHA1(),  # noqa: S303
        cert_status=status,
        this_update=start,
        next_update=None if for_days is None else start + timedelta(days=for_days),
        revocation_time=start if is_revoked else None,
        revocation_reason=x509.ReasonFlags.superseded if is_revoked else None,
    )
    return authority.sign_response(builder)


def _names(urls: Sequence[str]) -> list[x509.GeneralName]:
    return [x509.UniformResourceIdentifier(url) for url in urls]
