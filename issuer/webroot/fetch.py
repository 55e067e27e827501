"""One HTTP request to one address of a web server, as a CA sends it (RFC 8555 §8.3). The answer is hostile input."""

import socket
import ssl
from http.client import HTTPException

from common.dataclasses import dataclass
from common.deadline import Deadline
from common.http_exchange import authority, exchange

_LONGEST_BODY = 4096
_LONGEST_ANSWER = 64 * 1024


@dataclass(frozen=True, slots=True)
class Url:
    """A URL; *target*: path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        return authority(self.scheme, self.host, self.port)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    status: int
    location: str
    body: bytes


class NoHttpAnswer(Exception):
    """The web server gave no usable answer; the text says why."""


def reachable(address: str, port: int) -> bool:
    """Does this machine have a route to *address*? Sends nothing."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, port))
        except OSError:
            return False
    return True


def look(url: Url, address: str, seconds: float) -> HttpAnswer:
    """The answer of *address* to a GET of *url*. Raises NoHttpAnswer, after *seconds* at the latest."""
    deadline = Deadline(seconds)
    try:
        with socket.create_connection((address, url.port), timeout=seconds) as connection:
            if url.scheme == "http":
                return _ask(url, connection, deadline)
            with _unverified().wrap_socket(connection, server_hostname=url.host) as secured:
                return _ask(url, secured, deadline)
    except TimeoutError as error:
        raise NoHttpAnswer(f"no answer within {seconds:g} s") from error
    except ssl.SSLError as error:
        raise NoHttpAnswer(f"TLS fails ({error.reason or 'no reason given'})") from error
    except OSError as error:
        raise NoHttpAnswer((error.strerror or str(error)).lower()) from error
    except (HTTPException, ValueError) as error:
        raise NoHttpAnswer(f"not an HTTP answer ({type(error).__name__})") from error


def _ask(url: Url, connection: socket.socket, deadline: Deadline) -> HttpAnswer:
    line, headers = f"GET {url.target}", {"Host": url.authority}
    with exchange(connection, line, headers, deadline, _LONGEST_ANSWER) as response:
        body = response.read(_LONGEST_BODY)
        return HttpAnswer(response.status, response.getheader("Location") or "", body)


def _unverified() -> ssl.SSLContext:
    """TLS without verification: a redirect may lead to the very certificate that is to be renewed. CAs do the same."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
