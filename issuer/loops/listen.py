"""/healthz, /metrics and the page to look at over plain HTTP, on loopback unless the configuration says otherwise.

It reads memory only, so a scrape never waits for the database; a page that needs more has its own bound. Every local
user can connect, and none can keep others out or use up the daemon's descriptors: connections are few, each ends soon,
and a new one replaces the oldest.
"""

import contextlib
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import structlog

from common.deadline import Deadline, Incoming
from common.endpoint import parse_endpoint
from common.errors import Finding
from issuer.model.errors import AddressAway

log = structlog.get_logger()
_MOST_CONNECTIONS = 32
_SECONDS = 5.0  # for a whole request, and again for its answer
_LONGEST_REQUEST = 16_384  # bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a page. *query*: that of its address. *is_local*: it comes over loopback, so from this machine."""

    accept: str
    query: str
    is_local: bool


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


Page = Callable[[Asked], Answer]


class Listener:
    """Answers from a thread of its own, from the start on. Raises AddressAway when the address cannot be had."""

    def __init__(self, address: str, pages: dict[str, Page]):
        host, port = parse_endpoint(address)
        try:
            self._server = _Server((host, port), _handler(pages))
        except OSError as error:
            problem = f"{address} cannot be listened on: {error.strerror or error}"
            hint = 'end what listens there, choose another port, or switch it off with listen = ""'
            raise AddressAway("configuration", [Finding("daemon.listen", problem)], hint=hint) from error
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
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]):
        self._room = threading.Semaphore(_MOST_CONNECTIONS)
        self._open: list[socket.socket] = []  # the oldest first
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Cut the oldest connection where there is no room: no scraper, which is served within milliseconds."""
        if not self._room.acquire(blocking=False):
            with contextlib.suppress(IndexError, OSError):  # one has ended meanwhile
                self._open[0].shutdown(socket.SHUT_RDWR)
            self._room.acquire()
        self._open.append(request)
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread could be started
            self._ended(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._ended(request)

    def _ended(self, request: Any) -> None:
        self._open.remove(request)
        self._room.release()

    def server_bind(self) -> None:
        """HTTPServer's own asks DNS for our name, and DNS may be what has failed."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "certfleet", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """socketserver prints a traceback for each client that goes away."""
        log.debug("listen.client_lost", client=str(client_address))


def is_ours(host: str, reached: str) -> bool:
    """Does a Host header (RFC 9110 §7.2) name this machine, when *reached* is the address that the client connected to?
    A browser sends another name when a page of that name had its own name resolve to us ("DNS rebinding")."""
    name = host.strip().lower()
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    if name in ("", "localhost", os.uname().nodename.lower()):  # no browser leaves it out
        return True
    try:
        address = _plain(name)
    except ValueError:
        return False
    return address.is_loopback or address == _plain(reached)


def over_loopback(*addresses: str) -> bool:
    """Are these, the two ends of a connection, both of loopback?"""
    return all(_plain(address).is_loopback for address in addresses)


def _plain(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(text)
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _handler(pages: dict[str, Page]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """GET and HEAD of a few pages; everything else is refused."""

        timeout = _SECONDS
        server_version = "certfleet"
        sys_version = ""

        def setup(self) -> None:
            super().setup()
            self.rfile.close()
            self.rfile = Incoming(self.connection, Deadline(_SECONDS), _LONGEST_REQUEST).makefile()

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def _answer(self, *, with_body: bool) -> None:
            path, _, query = self.path.partition("?")
            reached, page = self.connection.getsockname()[0], pages.get(path)
            if not is_ours(self.headers.get("Host", ""), reached):
                answer = Answer(421, "text/plain", b"ask by the address of this page, or as localhost\n")
            elif page is None:
                answer = Answer(404, "text/plain", f"{', '.join(pages)} are here\n".encode())
            else:
                is_local = over_loopback(reached, self.client_address[0])
                answer = page(Asked(self.headers.get("Accept", ""), query, is_local))
            self.connection.settimeout(_SECONDS)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(answer.body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Scrapes are not news."""

    return Handler
