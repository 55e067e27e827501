"""The OCSP answer that a server staples to its certificate. The handshake is begun, and left once both are seen."""

import itertools
import secrets
import socket
from collections.abc import Iterator

from common.deadline import Deadline
from common.probe import hello
from common.probe.addresses import Address
from common.probe.hello import Answered, Reader
from common.probe.key_exchange import Opener, OwnKeys
from common.probe.starttls import Refused, wire_for_tls
from common.probe.target import ProbeTarget
from common.probe.view import KeyType
from common.probe.wire import Wire

_LONGEST_MESSAGE = 200_000  # bytes
_MOST = 1000  # records, and messages
_ALERTS = {40: "handshake failure", 70: "protocol version", 80: "internal error", 112: "unrecognized name"}


class NotSeen(Exception):
    """It could not be seen whether there is a staple; the text says why."""


def stapled(
    target: ProbeTarget, address: Address, server_name: str, seconds: float, key_type: KeyType = ""
) -> Answered:
    """The certificate and staple for a client that asks for both by this type of key. Raises NotSeen, after *seconds*
    at the latest."""
    deadline = Deadline(seconds)
    family, where = address
    try:
        with socket.socket(family, socket.SOCK_STREAM) as plain:
            plain.settimeout(deadline.left())
            plain.connect(where)
            return _exchange(wire_for_tls(target, plain, deadline, server_name), server_name, key_type)
    except TimeoutError as error:
        raise NotSeen("no answer in time") from error
    except OSError as error:
        raise NotSeen(error.strerror or str(error)) from error
    except (Refused, ValueError) as error:
        raise NotSeen(str(error)) from error


def _exchange(wire: Wire, server_name: str, key_type: KeyType) -> Answered:
    keys = OwnKeys()
    asked = hello.client_hello(server_name, key_type, secrets.token_bytes(64), keys.shares)
    wire.send(hello.record(asked))
    messages = _messages(_clear(wire))
    kind, body = next(messages)
    if kind != hello.SERVER_HELLO:
        raise ValueError("it answers with another message than ServerHello")
    chosen = hello.server_hello(body)
    if chosen.version == hello.TLS_1_3:
        answer = bytes((kind,)) + len(body).to_bytes(3, "big") + body
        opener = Opener(chosen, keys.shared(chosen.group, chosen.share), asked + answer)
        return _in_secret(_messages(_encrypted(wire, opener)))
    return _in_clear(messages)


def _in_clear(messages: Iterator[tuple[int, bytes]]) -> Answered:
    shown, staple = Answered(()), b""
    for kind, body in messages:
        if kind == hello.CERTIFICATE:
            shown = hello.certificates(body)
        elif kind == hello.CERTIFICATE_STATUS:
            staple = hello.status(body)
        elif kind == hello.SERVER_HELLO_DONE:
            break
    return Answered(shown.shown, staple)


def _in_secret(messages: Iterator[tuple[int, bytes]]) -> Answered:
    for kind, body in messages:
        if kind == hello.CERTIFICATE:
            return hello.certificates_1_3(body)
    raise AssertionError("the wire has an end, and that is an error")


def _messages(contents: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Kind and body of each handshake message; one may stretch over records."""
    data, count = b"", 0
    for content in itertools.islice(contents, _MOST):
        data += content
        while len(data) >= 4 and len(data) >= 4 + int.from_bytes(data[1:4], "big"):
            reader = Reader(data)
            kind, body = reader.number(1), reader.sized(3)
            data, count = reader.left, count + 1
            yield kind, body
        if len(data) > _LONGEST_MESSAGE or count > _MOST:
            break
    raise ValueError("its answer has no end")


def _clear(wire: Wire) -> Iterator[bytes]:
    while True:
        head, body = _record(wire)
        yield _handshake_in(head[0], body)


def _encrypted(wire: Wire, opener: Opener) -> Iterator[bytes]:
    while True:
        head, body = _record(wire)
        if head[0] == hello.CHANGE_CIPHER_SPEC:  # it means nothing here: RFC 8446 §D.4
            continue
        yield _handshake_in(*(opener.opened(head, body) if head[0] == hello.APPLICATION_DATA else (head[0], body)))


def _handshake_in(kind: int, content: bytes) -> bytes:
    if kind == hello.ALERT:
        alert = content[1] if len(content) > 1 else 0
        raise ValueError(f"it ends the handshake ({_ALERTS.get(alert, f'alert {alert}')})")
    if kind != hello.HANDSHAKE:
        raise ValueError("it does not speak TLS")
    return content


def _record(wire: Wire) -> tuple[bytes, bytes]:
    head = wire.exactly(5)
    return head, wire.exactly(int.from_bytes(head[3:], "big"))
