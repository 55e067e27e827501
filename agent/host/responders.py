"""How this host reaches an OCSP responder (RFC 6960 appendix A), by each address family, as a service of it would."""

import errno
import socket
import time

from cryptography.x509 import ocsp

from agent.model.stapling import Way
from common.certificate import PARSE_ERRORS
from common.deadline import Deadline
from common.revocation.fetch import NoAnswer, fetch
from common.threads import each_within

_FAMILIES = {"IPv4": socket.AF_INET, "IPv6": socket.AF_INET6}
_MOST_BYTES = 100_000  # of an answer
_NO_ADDRESS = (socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_ADDRFAMILY, errno.ENETUNREACH, errno.EADDRNOTAVAIL)


def ways_to(url: str, question: bytes, seconds: float) -> tuple[Way, ...]:
    """The way by each family, side by side. *question*: in DER; b"" asks nothing, and any answer counts."""
    deadline = Deadline(seconds)

    def late(family: str) -> Way:
        return Way(family, problem=f"no answer within {seconds:g} s")

    found = each_within(
        lambda family: _way(family, url, question, deadline), _FAMILIES, len(_FAMILIES), seconds + 0.2, late
    )
    if all(way.absent for way in found):  # then that is what is wrong
        return tuple(Way(way.family, problem=way.problem) for way in found)
    return tuple(found)


def _way(family: str, url: str, question: bytes, deadline: Deadline) -> Way:
    began = time.monotonic()
    try:
        problem = _refusal(fetch(url, deadline, _MOST_BYTES, question or None, _FAMILIES[family]))
    except NoAnswer as error:
        if question or error.is_away:
            cause = error.__cause__
            return Way(family, problem=str(error), absent=isinstance(cause, OSError) and cause.errno in _NO_ADDRESS)
        problem = ""
    if question and problem:
        return Way(family, problem=problem)
    return Way(family, time.monotonic() - began)


def _refusal(answer: bytes) -> str:
    """The fault of an OCSP response (DER), "" for none. Its content is not judged."""
    try:
        status = ocsp.load_der_ocsp_response(answer).response_status
    except PARSE_ERRORS as error:
        return f"what it sends is no OCSP response ({type(error).__name__})"
    return "" if status is ocsp.OCSPResponseStatus.SUCCESSFUL else f"it answers {status.name.lower()}"
