"""How this host reaches an OCSP responder (RFC 6960 appendix A), by each address family, as a service of it would."""

import socket
import time
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from cryptography.x509 import ocsp

from agent.model.stapling import Reach
from common.deadline import Deadline, cut_off
from common.names import in_url
from common.threads import each_within

_FAMILIES = {"IPv4": socket.AF_INET, "IPv6": socket.AF_INET6}
_MOST_BYTES = 100_000  # of an answer
_OK = 200
_NO_WAY = (socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_ADDRFAMILY)
_UNROUTED = ("Network is unreachable", "Cannot assign requested address")


def reach(url: str, question: bytes, seconds: float) -> tuple[Reach, ...]:
    """The way by each family, side by side. *question*: in DER; b"" asks nothing, and any answer counts."""
    deadline = Deadline(seconds)

    def late(family: str) -> Reach:
        return Reach(family, problem=f"no answer within {seconds:g} s")

    found = each_within(
        lambda family: _way(family, url, question, deadline), _FAMILIES, len(_FAMILIES), seconds + 0.2, late
    )
    if all(way.absent for way in found):  # then that is what is wrong
        return tuple(Reach(way.family, problem=way.problem) for way in found)
    return tuple(found)


def _way(family: str, url: str, question: bytes, deadline: Deadline) -> Reach:
    began = time.monotonic()
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError:
        return Reach(family, problem="that is no URL")
    if parts.scheme != "http" or not parts.hostname:
        return Reach(family, problem="that is no URL of http")
    try:
        addresses = socket.getaddrinfo(parts.hostname, port, _FAMILIES[family], socket.SOCK_STREAM)
    except socket.gaierror as error:
        return Reach(family, problem=f"the name does not resolve ({error.strerror})", absent=error.errno in _NO_WAY)
    except (OSError, ValueError):  # a label is empty or too long
        return Reach(family, problem="that is no name of a host")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = in_url(parts.hostname) + ("" if port == 80 else f":{port}")
    problem, unrouted = "", False
    for _, _, _, _, address in addresses:
        try:
            with socket.socket(_FAMILIES[family], socket.SOCK_STREAM) as plain:
                plain.settimeout(deadline.left())
                plain.connect(address)
                problem = _exchange(plain, (host, target), question, deadline)
        except TimeoutError:
            return Reach(family, problem=f"no answer within {deadline.seconds:g} s")
        except OSError as error:
            problem = error.strerror or str(error)
            unrouted = problem in _UNROUTED
        except (HTTPException, ValueError) as error:
            problem = f"what it answers is no HTTP ({type(error).__name__})"
        if not problem:
            return Reach(family, time.monotonic() - began)
    return Reach(family, problem=problem, absent=unrouted)


def _exchange(plain: socket.socket, place: tuple[str, str], question: bytes, deadline: Deadline) -> str:
    """Ask once; what is wrong with the answer, "" for nothing. *place*: host and path. Raises OSError, HTTPException,
    ValueError."""
    plain.settimeout(None)
    connection = HTTPConnection("responder.invalid")
    connection.sock = plain
    headers = {"Host": place[0], "Content-Type": "application/ocsp-request", "Connection": "close"}
    with cut_off(plain, deadline.left()):
        connection.request("POST" if question else "GET", place[1], body=question or None, headers=headers)
        answer = connection.getresponse()
        content = answer.read(_MOST_BYTES)
    if not question:
        return ""
    if answer.status != _OK:
        return f"it answers with HTTP {answer.status}"
    response = ocsp.load_der_ocsp_response(content)
    refused = response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL
    return f"it answers {response.response_status.name.lower()}" if refused else ""
