"""HTTPS connections to a CA, with a time limit and a size limit for each whole answer.

urllib3 limits each read only. A server could send one `100 Continue` after another for ever (RFC 9110 §15.2). These
limits sit below urllib3, on the incoming bytes: they cover status, headers, body and the answer of a proxy.
"""

import base64
import logging
from http.client import HTTPResponse
from typing import Any
from urllib.parse import unquote_to_bytes

import urllib3
import urllib3.connection

from common.deadline import Deadline, Incoming

_MOST_RECEIVED = 4_000_000  # bytes; above transport._MOST_BYTES plus every header

# urllib3 logs malformed headers, with tracebacks on stderr
logging.getLogger("urllib3").setLevel(logging.CRITICAL + 1)


def pool_manager(proxy: str, answer_seconds: float, **options: Any) -> urllib3.PoolManager:
    """Connections for https:// only, through *proxy* unless it is "": a URL that may hold a login.

    *answer_seconds*: the time limit from a request to the last byte of its answer.
    """

    def answer(connection: Any, *arguments: Any, **named: Any) -> HTTPResponse:
        incoming: Any = Incoming(connection, Deadline(answer_seconds), _MOST_RECEIVED)
        return HTTPResponse(incoming, *arguments, **named)

    class Connection(urllib3.connection.HTTPSConnection):
        response_class: Any = staticmethod(answer)

    class Pool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Connection

    manager = _through(proxy, options) if proxy else urllib3.PoolManager(**options)
    manager.pool_classes_by_scheme = {"https": Pool}
    return manager


def _through(proxy: str, options: dict[str, Any]) -> urllib3.ProxyManager:
    """urllib3 sends no login of a proxy's URL, and quotes all of one that is malformed in its error."""
    scheme, _, rest = proxy.partition("://")
    login, _, host = rest.rpartition("@")
    basic = base64.b64encode(unquote_to_bytes(login)).decode()
    headers = {"Proxy-Authorization": f"Basic {basic}"} if login else None
    return urllib3.ProxyManager(f"{scheme}://{host}", proxy_headers=headers, **options)
