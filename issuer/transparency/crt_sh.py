"""Asks crt.sh, or a search with the same answers, for certificates of a name that have not ended."""

import time
from collections.abc import Container, Iterator
from urllib.parse import urlencode

from cryptography import x509

from common.certificate import load_certificates
from common.strict_json import parse_json
from issuer.model.errors import TransparencyError
from issuer.transparency.http import get

_SECONDS = 120.0  # it is slow


class CrtSh:
    """Every method raises TransparencyError. *pause*: seconds between two questions; it answers few in a minute."""

    def __init__(self, url: str, pause: float):
        self.url = url
        self._pause = pause
        self._asked = False

    def certificates(self, name: str, seen: Container[int]) -> Iterator[tuple[int, x509.Certificate | None]]:
        """The number there and the certificate of each one for *name*, "%.example.com" for all below, but for those
        *seen*; None for one that cannot be parsed."""
        content = self._get({"q": name, "output": "json", "exclude": "expired"})
        try:
            found = parse_json(content or b"[]")
            numbers = sorted({_number(one["id"]) for one in found})
        except (ValueError, KeyError, TypeError) as error:
            raise TransparencyError(self.url, "its answer is no list of certificates") from error
        for number in numbers:
            if number not in seen:
                yield number, _certificate(self._get({"d": str(number)}) or b"")

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
