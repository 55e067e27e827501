"""The URLs in certificates, to which servers and clients connect. Pure."""

from collections import Counter
from collections.abc import Iterator

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID as Access

from common.certificate import load_certificates
from common.egress.needs import Need, by_url

OCSP, CRL, ISSUER = "OCSP", "CRL", "issuer"
_ACCESS = {Access.OCSP: OCSP, Access.CA_ISSUERS: ISSUER}


class Certified:
    """The needs of many certificates together; each says of how many it is. A chain is read once: most share one."""

    def __init__(self) -> None:
        self._chains: dict[bytes, frozenset[Need]] = {}
        self._counts: Counter[Need] = Counter()

    def add(self, leaf: bytes, chain: bytes = b"") -> None:
        """A certificate and its chain in PEM. One that cannot be read is passed over, because `check` says so."""
        if chain not in self._chains:
            self._chains[chain] = _needs(chain)
        self._counts.update(_needs(leaf) | self._chains[chain])

    @property
    def needs(self) -> list[Need]:
        """A connection for each URL in the certificates, with the number of certificates that name it."""
        return [
            Need(need.host, need.port, need.protocol, f"{need.why} of {_certificates(count)}", need.ours)
            for need, count in self._counts.items()
        ]


def _certificates(count: int) -> str:
    return "1 certificate" if count == 1 else f"{count} certificates"


def _needs(pem: bytes) -> frozenset[Need]:
    try:
        certificates = load_certificates(pem)
    except ValueError:
        return frozenset()
    return frozenset(need for one in certificates for kind, url in urls(one) for need in by_url(url, kind, ours=False))


def urls(certificate: x509.Certificate) -> Iterator[tuple[str, str]]:
    """(OCSP, CRL or ISSUER, URL) for each URL at which something is asked about a certificate that
    :mod:`common.certificate` has read (RFC 5280 §4.2.1.13, §4.2.2.1)."""
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
