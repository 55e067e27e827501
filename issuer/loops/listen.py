"""/healthz and /metrics over plain HTTP, on loopback unless the configuration says otherwise.

It reads memory only, so a scrape never waits for the database.
"""

import socket
import socketserver
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import structlog

from common.endpoint import parse_endpoint
from common.errors import ConfigError, Finding

log = structlog.get_logger()
Page = Callable[[str], tuple[int, str, bytes]]
"""(status, content type, body) for an Accept header."""


class Listener:
    """Answers from a thread of its own, from the start on. Raises ConfigError when the address cannot be had."""

    def __init__(self, address: str, pages: dict[str, Page]):
        host, port = parse_endpoint(address)
        try:
            self._server = (_Server6 if ":" in host else _Server)((host, port), _handler(pages))
        except OSError as error:
            problem = f"{address} cannot be listened on: {error.strerror or error}"
            hint = 'end what listens there, choose another port, or switch it off with listen = ""'
            raise ConfigError("configuration", [Finding("daemon.listen", problem)], hint=hint) from error
        self.address = address
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a hanging scraper must not delay the end of the daemon

    def server_bind(self) -> None:
        """HTTPServer's own asks DNS for our name, and DNS may be what has failed."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "certfleet", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """socketserver prints a traceback for each client that goes away."""
        log.debug("listen.client_lost", client=str(client_address))


class _Server6(_Server):
    address_family = socket.AF_INET6


def _handler(pages: dict[str, Page]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """GET and HEAD of a few pages; everything else is refused."""

        timeout = 5.0
        server_version = "certfleet"
        sys_version = ""

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def _answer(self, *, with_body: bool) -> None:
            page = pages.get(self.path.partition("?")[0])
            if page is None:
                status, content_type, body = 404, "text/plain", b"/healthz and /metrics are here\n"
            else:
                status, content_type, body = page(self.headers.get("Accept", ""))
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Scrapes are not news."""

    return Handler
