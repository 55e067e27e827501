"""GET over HTTP or HTTPS, bounded in bytes and time."""

import contextlib
import http.client
import urllib.error
import urllib.request
import zlib
from concurrent.futures import wait

from common.threads import on_thread
from issuer.model.errors import TransparencyError

_MOST_BYTES = 64_000_000  # of an answer, unpacked: a tile of 256 large certificates has some megabytes
_AT_ONCE = 65_536
_MISSING = (404, 410)


def get(url: str, seconds: float) -> bytes | None:
    """The body; None where there is no such page. Raises TransparencyError. The library knows a limit for each wait
    alone, which headers that drip never exceed: so it works on a thread that may be left behind."""
    asked = on_thread(lambda: _get(url, seconds))
    if not wait([asked], seconds).done:
        raise TransparencyError(url, f"no answer within {seconds:g} s")
    return asked.result()


def _get(url: str, seconds: float) -> bytes | None:
    """The body. Each of its waits ends after the caller's, so that a server that is silent keeps no thread for ever."""
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip", "User-Agent": "certfleet"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=2 * seconds) as answer:  # noqa: S310 - the configuration has http(s)
            packed = answer.headers.get("Content-Encoding", "").lower() == "gzip"
            return _read(answer, packed=packed)
    except urllib.error.HTTPError as error:
        with contextlib.closing(error):
            if error.code in _MISSING:
                return None
            raise TransparencyError(url, f"HTTP {error.code}") from error
    except urllib.error.URLError as error:
        raise TransparencyError(url, str(error.reason)) from error
    except (OSError, http.client.HTTPException, zlib.error, ValueError) as error:
        raise TransparencyError(url, str(error) or type(error).__name__) from error


def _read(answer: http.client.HTTPResponse, *, packed: bool) -> bytes:
    unpack = zlib.decompressobj(wbits=31) if packed else None
    missing = answer.length or 0  # of what the server announced, if it did
    found = bytearray()
    while part := answer.read1(_AT_ONCE):
        missing -= len(part)
        found += unpack.decompress(part, _MOST_BYTES) if unpack is not None else part
        if len(found) > _MOST_BYTES:
            raise ValueError("its answer has no end")
    if missing > 0 or (unpack is not None and not unpack.eof):
        raise ValueError("its answer is cut off")
    return bytes(found)
