"""One exchange by http with a server of revocation lists or OCSP, bounded in bytes and time.

The answer is hostile input. No redirect is followed, and no proxy is used. The URL stands in a certificate.
"""

import socket
import threading
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlsplit

from common.certificate import PARSE_ERRORS
from common.deadline import Deadline
from common.http_exchange import authority, exchange
from common.revocation.crl import RevocationList

_MOST_HEADERS = 65536
_MOST_KEPT = 100_000_000  # bytes of lists
_OK = 200


class NoAnswer(Exception):
    """There was no usable answer; the text says why. *is_away*: nobody answered at all, whatever was asked."""

    def __init__(self, why: str, *, is_away: bool = False):
        super().__init__(why)
        self.is_away = is_away


class Kept:
    """Fetched answers, kept for many questions: each list is fetched and parsed once, and a server that is away is not
    asked again. Thread-safe. It lasts as long as one look at many certificates; make another for the next."""

    def __init__(self) -> None:
        self._lists: dict[str, tuple[int, RevocationList | Exception]] = {}  # by URL: bytes, and what they are
        self._away: dict[str, NoAnswer] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def revocation_list(self, url: str, deadline: Deadline, most_bytes: int) -> RevocationList:
        """The list at *url*. A caller that wants a list which another one fetches waits for it. Raises NoAnswer,
        and one of PARSE_ERRORS for bytes that are no list."""
        with self._lock:
            lock = self._locks.setdefault(url, threading.Lock())
        if deadline.over or not lock.acquire(timeout=deadline.seconds):
            raise NoAnswer(f"no answer within {deadline.seconds:g} s")
        try:
            found = self._lists.get(url, (0, None))[1]
            if found is None:
                content = self.answer(url, deadline, most_bytes)
                found = _parsed(content)
                self._keep(url, len(content), found)
        finally:
            lock.release()
        if isinstance(found, Exception):
            raise found
        return found

    def answer(self, url: str, deadline: Deadline, most_bytes: int, request: bytes | None = None) -> bytes:
        """As :func:`fetch`."""
        if url in self._away:
            raise self._away[url]
        try:
            return fetch(url, deadline, most_bytes, request)
        except NoAnswer as error:
            if error.is_away:
                self._away[url] = error
            raise

    def _keep(self, url: str, size: int, found: RevocationList | Exception) -> None:
        with self._lock:
            self._lists[url] = size, found
            while len(self._lists) > 1 and sum(size for size, _ in self._lists.values()) > _MOST_KEPT:
                del self._lists[next(iter(self._lists))]


def _parsed(content: bytes) -> RevocationList | Exception:
    try:
        return RevocationList(content)
    except PARSE_ERRORS as error:
        return error


def fetch(
    url: str, deadline: Deadline, most_bytes: int, request: bytes | None = None, family: int = socket.AF_UNSPEC
) -> bytes:
    """The body of the answer to a GET of *url*, or to a POST of an OCSP *request* (RFC 6960 appendix A). *family*: the
    addresses to try, as socket.AF_INET6; all without it. Raises NoAnswer, also for a body larger than *most_bytes*."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        line, headers = f"GET {target}", {"Host": authority("http", host, port)}
        if request is not None:
            line = f"POST {target}"
            headers |= {"Content-Type": "application/ocsp-request", "Content-Length": str(len(request))}
        most = most_bytes + _MOST_HEADERS
        with (
            _connection(parts.scheme, host, port, family, deadline) as connection,
            exchange(connection, line, headers, deadline, most, body=request or b"") as response,
        ):
            return _body(response, most_bytes)
    except TimeoutError as error:
        raise NoAnswer(f"no answer within {deadline.seconds:g} s", is_away=True) from error
    except socket.gaierror as error:
        raise NoAnswer(f"the name does not resolve ({error.strerror})", is_away=True) from error
    except OSError as error:
        raise NoAnswer((error.strerror or str(error)).lower(), is_away=True) from error
    except HTTPException as error:
        raise NoAnswer(f"not an HTTP answer ({type(error).__name__})") from error
    except ValueError as error:  # also a label that is empty or too long
        raise NoAnswer("that is no http URL of a host", is_away=True) from error


def _connection(scheme: str, host: str, port: int, family: int, deadline: Deadline) -> socket.socket:
    """A connection to the first address that takes one. Each gets its share of the time, for one may swallow what is
    sent to it. Raises OSError, ValueError."""
    if scheme != "http" or not host:
        raise ValueError
    refusal = OSError("it has no address")
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    for number, (_, _, _, _, address) in enumerate(found):
        try:
            return socket.create_connection((str(address[0]), port), deadline.left() / (len(found) - number))
        except OSError as error:
            refusal = error
    raise refusal


def _body(response: HTTPResponse, most_bytes: int) -> bytes:
    if response.status != _OK:
        raise NoAnswer(f"it answers HTTP {response.status}")
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise NoAnswer(f"it packs its answer ({encoding[:20]!r}), which nobody asked for")
    body = response.read(most_bytes + 1)
    if len(body) > most_bytes:
        raise NoAnswer(f"its answer is larger than {most_bytes} bytes")
    if response.length:
        raise NoAnswer("its answer is cut off")
    return body
