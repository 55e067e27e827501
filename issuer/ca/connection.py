"""HTTPS connections to a CA, with a time limit and a size limit for each whole answer.

urllib3 limits each read only. A server could send one `100 Continue` after another for ever (RFC 9110 §15.2). These
limits sit below urllib3, on the incoming bytes: they cover status, headers, body and the answer of a proxy.
"""

import logging
from http.client import HTTPResponse
from typing import Any

import urllib3
import urllib3.connection

from common.deadline import Deadline, Incoming

_MOST_RECEIVED = 4_000_000  # bytes; above transport._MOST_BYTES plus every header

# urllib3 logs malformed headers, with tracebacks on stderr
logging.getLogger("urllib3").setLevel(logging.CRITICAL + 1)


def pool_manager(proxy: str, answer_seconds: float, **options: Any) -> urllib3.PoolManager:
    """Connections for https:// only, through *proxy* unless it is "".

    *answer_seconds*: the time limit from a request to the last byte of its answer.
    """

    def answer(connection: Any, *arguments: Any, **named: Any) -> HTTPResponse:
        incoming: Any = Incoming(connection, Deadline(answer_seconds), _MOST_RECEIVED)
        return HTTPResponse(incoming, *arguments, **named)

    class Connection(urllib3.connection.HTTPSConnection):
        response_class: Any = staticmethod(answer)

    class Pool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Connection

    manager = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
    manager.pool_classes_by_scheme = {"https": Pool}
    return manager
