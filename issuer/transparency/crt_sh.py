"""Asks crt.sh, or a search with the same answers, for certificates of a name that have not ended."""

import time
from collections.abc import Container, Iterator
from urllib.parse import urlencode

from cryptography import x509

from common.certificate import load_certificates
from common.pem import has_whole
from common.strict_json import parse_json
from common.text import some
from issuer.model.errors import TransparencyError
from issuer.transparency.http import get

_SECONDS = 120.0  # it is slow


class CrtSh:
    """Every method raises TransparencyError. *pause*: seconds between two questions; it answers few in a minute.
    :attr:`unread` are the numbers for which it showed no whole certificate: it may later."""

    def __init__(self, url: str, pause: float):
        self.url = url
        self._pause = pause
        self._asked = False
        self.unread: set[int] = set()

    def certificates(self, name: str, seen: Container[int]) -> Iterator[tuple[int, x509.Certificate | None]]:
        """The number there and the certificate of each one for *name*, "%.example.com" for all below, but for those
        *seen* or *unread*; None for one that is whole and cannot be parsed."""
        content = self._get({"q": name, "output": "json", "exclude": "expired"})
        try:
            found = parse_json(content or b"")  # no certificates are a list too
            numbers = sorted({_number(one["id"]) for one in found})
        except (ValueError, KeyError, TypeError) as error:
            raise TransparencyError(self.url, "its answer is no list of certificates") from error
        for number in numbers:
            if number in seen or number in self.unread:
                continue
            content = self._get({"d": str(number)}) or b""
            if has_whole(content, "CERTIFICATE"):
                yield number, _certificate(content)
            else:
                self.unread.add(number)

    def require_read(self) -> None:
        """Raise TransparencyError where anything is *unread*."""
        if self.unread:
            numbers = some([str(number) for number in sorted(self.unread)])
            raise TransparencyError(self.url, f"it showed no whole certificate for {numbers}")

    def _get(self, query: dict[str, str]) -> bytes | None:
        if self._asked:
            time.sleep(self._pause)
        self._asked = True
        return get(f"{self.url}?{urlencode(query)}", _SECONDS)


def _number(found: object) -> int:
    """Raises ValueError for what is no number of 63 bits: none larger can be kept."""
    number = int(str(found))
    if not 0 <= number < 2**63:
        raise ValueError(f"{number} is no number of a certificate")
    return number


def _certificate(content: bytes) -> x509.Certificate | None:
    try:
        return next(iter(load_certificates(content)), None)
    except ValueError:
        return None
