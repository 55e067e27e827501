"""The URLs in certificates, to which servers and clients connect. Pure."""

from collections import Counter

from common.certificate import load_certificates
from common.certificate_urls import urls
from common.egress.needs import Need, by_url


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
