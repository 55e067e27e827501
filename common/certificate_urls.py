"""The URLs in a certificate, at which something is asked about it. Pure."""

from collections.abc import Iterator

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID as Access

OCSP, CRL, ISSUER = "OCSP", "CRL", "issuer"
_ACCESS = {Access.OCSP: OCSP, Access.CA_ISSUERS: ISSUER}


def urls(certificate: x509.Certificate) -> Iterator[tuple[str, str]]:
    """(OCSP, CRL or ISSUER, URL) for each (RFC 5280 §4.2.1.13, §4.2.2.1). Raises one of PARSE_ERRORS, unless
    :mod:`common.certificate` has read *certificate*."""
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.AuthorityInformationAccess):
            for access in extension.value:
                if access.access_method in _ACCESS:
                    yield from _url(_ACCESS[access.access_method], access.access_location)
        elif isinstance(extension.value, x509.CRLDistributionPoints):
            for point in extension.value:
                for name in point.full_name or ():
                    yield from _url(CRL, name)


def _url(kind: str, name: x509.GeneralName) -> Iterator[tuple[str, str]]:
    if isinstance(name, x509.UniformResourceIdentifier):
        yield kind, name.value
