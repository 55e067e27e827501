"""A CA that can be made to misbehave: a real Pebble behind a proxy that adds, changes or replaces single answers.

Pebble builds its URLs from the Host header, so every request of a client that begins at the proxy's directory passes
here. Debian's Pebble knows no ARI and no profiles; a rule adds them to its directory.
"""

import base64
import contextlib
import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers.authority import Authority, Files
from tests.servers.pebble import Pebble
from tests.servers.ports import LOOPBACK, free_port, release_port

_SECONDS = 30
_KEPT = ("Content-Type", "Location", "Link", "Replay-Nonce", "Retry-After")


@dataclass(frozen=True, slots=True)
class Request:
    """What the client asked; *payload* is the decoded JWS payload, None for a GET and for POST-as-GET."""

    method: str
    path: str
    payload: dict[str, Any] | None
    body: bytes = field(repr=False, default=b"")


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def json_reply(document: object, status: int = 200, **headers: str) -> Reply:
    kind = "application/json" if status < 400 else "application/problem+json"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps(document).encode(), {"Content-Type": kind, **named})


def problem(kind: str, detail: str, status: int, **headers: str) -> Reply:
    """An ACME problem document (RFC 8555 §6.7)."""
    return json_reply({"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail}, status, **headers)


Before = Callable[[Request], Reply | None]
"""May answer in Pebble's place."""
After = Callable[[Request, Reply], Reply]
"""May change Pebble's answer."""


class CaProxy:
    """Context manager. *before* and *after* are asked in order for each request; *seen* keeps every request, and
    *most_at_once* how many were under way together."""

    def __init__(self, folder: Path, pebble: Pebble, *, delay: float = 0.0):
        self.pebble = pebble
        self.port = free_port()
        self.before: list[Before] = []
        self.after: list[After] = []
        self.seen: list[Request] = []
        self.delay = delay
        self.most_at_once = 0
        self._under_way = 0
        self._lock = threading.Lock()
        authority = Authority("Proxy API CA")
        self.ca_file = authority.write(folder)
        self._tls = authority.issue(["localhost", LOOPBACK]).write(folder)
        self._trust = ssl.create_default_context(cafile=str(pebble.ca_file))
        self._server = _Server((LOOPBACK, self.port), _handler(self))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.show()
        self._server.socket = self._context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def directory(self) -> str:
        return f"https://localhost:{self.port}/dir"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        release_port(self.port)

    def show(self, files: Files | None = None) -> None:
        """The certificate that connections get from now on: the proxy's own, or another one."""
        files = files or self._tls
        self._context.load_cert_chain(files.fullchain, files.key)

    def paths(self, part: str) -> list[Request]:
        """The requests whose path contains *part*."""
        return [request for request in self.seen if part in request.path]

    def answer(self, request: Request, headers: Mapping[str, str]) -> Reply:
        """What the client gets."""
        with self._counting():
            self.seen.append(request)
            time.sleep(self.delay)
            for rule in self.before:
                reply = rule(request)
                if reply is not None:
                    return reply
            reply = self._ask_pebble(request, headers)
            for change in self.after:
                reply = change(request, reply)
            return reply

    @contextlib.contextmanager
    def _counting(self) -> Iterator[None]:
        with self._lock:
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1

    def _ask_pebble(self, request: Request, headers: Mapping[str, str]) -> Reply:
        connection = http.client.HTTPSConnection(LOOPBACK, self.pebble.port, timeout=_SECONDS, context=self._trust)
        passed = {name: headers[name] for name in ("Content-Type", "User-Agent") if name in headers}
        try:
            connection.request(
                request.method, request.path, request.body or None, {"Host": f"localhost:{self.port}", **passed}
            )
            answer = connection.getresponse()
            kept = {name: ", ".join(answer.headers.get_all(name, [])) for name in _KEPT if name in answer.headers}
            return Reply(answer.status, answer.read(), kept)
        finally:
            connection.close()


def in_directory(**entries: object) -> After:
    """A rule that adds entries to the directory (a dictionary for "meta" is merged)."""

    def change(request: Request, reply: Reply) -> Reply:
        if request.path != "/dir":
            return reply
        document = json.loads(reply.body)
        for name, value in entries.items():
            merged = isinstance(value, dict) and isinstance(document.get(name), dict)
            document[name] = {**document[name], **value} if merged else value  # type: ignore[dict-item]
        return json_reply(document)

    return change


def times(count: int, path: str, reply: Reply | Callable[[Request], Reply]) -> Before:
    """A rule that answers the first *count* requests whose path contains *path*; Pebble never sees them."""
    left = [count]

    def answer(request: Request) -> Reply | None:
        if request.method == "HEAD" or path not in request.path or left[0] == 0:
            return None
        left[0] -= 1
        return reply if isinstance(reply, Reply) else reply(request)

    return answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no event."""


def _handler(proxy: CaProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._serve()

        do_HEAD = do_POST = do_GET  # noqa: N815 - http.server's names

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            body = self.rfile.read(length)
            if len(body) < length:  # the client was killed before it had said all
                self.close_connection = True
                return
            request = Request(self.command, self.path, _payload(body), body)
            reply = proxy.answer(request, dict(self.headers))
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: what was asked stands in `seen`."""

    return Handler


def _payload(body: bytes) -> dict[str, Any] | None:
    try:
        text: str = json.loads(body)["payload"]
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, dict) else None
