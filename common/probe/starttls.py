"""How a client asks for TLS in protocols that begin in clear. One function for each.

A function returns when the TLS handshake may begin, and raises Refused when the service does not want it. The
service's list of offers is not looked at: it is asked, and its answer counts.
"""

import io
import re
import socket
import struct
from collections.abc import Callable
from typing import NoReturn

from common.deadline import Deadline
from common.probe.target import STARTTLS_PORTS, ProbeTarget
from common.probe.wire import Wire
from common.text import one_line

_LDAP_REQUEST = b"\x77\x18\x80\x16" + b"1.3.6.1.4.1.1466.20037"  # ExtendedRequest, requestName: RFC 4511 §4.14.1
_POSTGRES_REQUEST = struct.pack("!II", 8, 80877103)
_MYSQL_CAPABILITIES = 0x0200 | 0x0800 | 0x8000  # 4.1 protocol, TLS, 4.1 authentication
_XMPP_TLS = "xmlns='urn:ietf:params:xml:ns:xmpp-tls'"


class Refused(Exception):
    """The service does not begin TLS; the text says why."""


def wire_for_tls(target: ProbeTarget, connection: socket.socket, deadline: Deadline, server_name: str) -> Wire:
    """The wire over a *connection* to *target*, where TLS begins: at once for a scheme of direct TLS. Raises Refused
    and OSError."""
    wire = Wire(connection, deadline)
    if target.proxy:
        wire.send_proxy_header(target.proxy)
    if target.scheme in STARTTLS_PORTS:
        _DIALOGUES[target.scheme](wire, server_name)
    return wire


def _smtp(wire: Wire, hello: str) -> None:
    """RFC 3207, and with LHLO RFC 2033. The name of an EHLO may be the client's address (RFC 5321 §4.1.3)."""
    _expect_code(wire, "220", "greets")
    own = wire.own_address
    wire.send(f"{hello} [{'IPv6:' if ':' in own else ''}{own}]\r\n".encode("ascii"))
    _expect_code(wire, "250", f"answers {hello}")
    _ask_code(wire, "STARTTLS", "220")


def _imap(wire: Wire, _server_name: str) -> None:
    """RFC 9051 §6.2.1."""
    greeting = wire.line()
    if not greeting.upper().startswith(b"* OK"):
        _refuse("greets", greeting)
    wire.send(b"a STARTTLS\r\n")
    answer = _last(wire, lambda line: line.startswith(b"a "))
    if not answer.upper().startswith(b"A OK"):
        _refuse("answers STARTTLS", answer)


def _pop3(wire: Wire, _server_name: str) -> None:
    """RFC 2595 §4."""
    for request, what in ((b"", "greets"), (b"STLS\r\n", "answers STLS")):
        wire.send(request)
        answer = wire.line()
        if not answer.startswith(b"+OK"):
            _refuse(what, answer)


def _sieve(wire: Wire, _server_name: str) -> None:
    """RFC 5804 §2.2. The greeting is a list of capabilities."""
    for request, what in ((b"", "greets"), (b"STARTTLS\r\n", "answers STARTTLS")):
        wire.send(request)
        answer = _last(wire, lambda line: re.match(rb"(?i)(OK|NO|BYE)\b", line) is not None)
        if not answer.upper().startswith(b"OK"):
            _refuse(what, answer)


def _ftp(wire: Wire, _server_name: str) -> None:
    """RFC 4217 §4."""
    _expect_code(wire, "220", "greets")
    _ask_code(wire, "AUTH TLS", "234")


def _nntp(wire: Wire, _server_name: str) -> None:
    """RFC 4642 §2.2."""
    _expect_code(wire, "20[01]", "greets")
    _ask_code(wire, "STARTTLS", "382")


def _ldap(wire: Wire, _server_name: str) -> None:
    """RFC 4511 §4.14. The message has the ID 1."""
    content = b"\x02\x01\x01" + _LDAP_REQUEST
    wire.send(bytes((0x30, len(content))) + content)
    _tag, length = _ber(wire.exactly)
    answer = io.BytesIO(wire.exactly(min(length, 4096))).read
    message_tag, length = _ber(answer)
    answer(length)
    response_tag, _length = _ber(answer)
    result_tag, length = _ber(answer)
    result = answer(length)
    if (message_tag, response_tag, result_tag) != (0x02, 0x78, 0x0A):
        raise Refused("it does not answer as an LDAP server")
    if any(result):
        raise Refused(f"it answers StartTLS with the result code {int.from_bytes(result, 'big')} (RFC 4511 §4.1.9)")


def _ber(read: Callable[[int], bytes]) -> tuple[int, int]:
    """Tag and length of the next value (X.690 §8.1)."""
    tag, length = read(1)[:1] or b"\0", int.from_bytes(read(1), "big")
    if length & 0x80:
        length = int.from_bytes(read(min(length & 0x7F, 4)), "big")
    return tag[0], length


def _postgres(wire: Wire, _server_name: str) -> None:
    """SSLRequest, in "Frontend/Backend Protocol" of PostgreSQL's documentation."""
    wire.send(_POSTGRES_REQUEST)
    if (answer := wire.exactly(1)) != b"S":
        raise Refused("it answers SSLRequest with no" if answer == b"N" else "it does not answer as PostgreSQL does")


def _mysql(wire: Wire, _server_name: str) -> None:
    """Handshake and SSLRequest, in "Connection Phase" of MySQL's and MariaDB's documentation."""
    length = int.from_bytes(wire.exactly(4)[:3], "little")
    greeting = wire.exactly(min(length, 4096))
    if greeting[:1] != b"\x0a":  # a refusal is 0xff and the error's number
        _refuse("greets", greeting[3:] if greeting[:1] == b"\xff" else greeting)
    _version, _end, rest = greeting[1:].partition(b"\0")
    capabilities = int.from_bytes(rest[13:15], "little")  # behind the thread's number, 8 bytes of salt, a filler
    if not capabilities & 0x0800:
        raise Refused("it offers no TLS")
    request = struct.pack("<IIB23x", _MYSQL_CAPABILITIES, 1 << 24, 33)
    wire.send(len(request).to_bytes(3, "little") + b"\x01" + request)


def _xmpp(wire: Wire, server_name: str) -> None:
    """RFC 6120 §5.4."""
    from xml.sax.saxutils import quoteattr  # noqa: PLC0415 - imports HTTP and mail too, which the other protocols do without

    names = "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    to = f" to={quoteattr(server_name)}" if server_name else ""
    wire.send(f"<?xml version='1.0'?><stream:stream {names}{to} version='1.0'>".encode())
    features = wire.until(b"</stream:features>", b"<stream:features/>", b"</stream:error>", b"</stream:stream>")
    if b"urn:ietf:params:xml:ns:xmpp-tls" not in features:
        _refuse("offers no TLS", features)
    wire.send(f"<starttls {_XMPP_TLS}/>".encode("ascii"))
    answer = wire.until(b">")
    if b"<proceed" not in answer:
        _refuse("answers starttls", answer)


def _ask_code(wire: Wire, request: str, code: str) -> None:
    wire.send(f"{request}\r\n".encode("ascii"))
    _expect_code(wire, code, f"answers {request}")


def _expect_code(wire: Wire, code: str, what: str) -> None:
    """An answer with this code, a regular expression, in one line or several."""
    first = answer = wire.line()
    if first[3:4] == b"-":  # lines between may be of any form in FTP (RFC 959 §4.2)
        answer = _last(wire, lambda line: line.startswith(first[:3] + b" "))
    if not re.match(code.encode("ascii"), answer):
        _refuse(what, answer)


def _last(wire: Wire, is_last: Callable[[bytes], bool]) -> bytes:
    """The line that ends an answer. The wire has an end, whatever comes."""
    while not is_last(line := wire.line()):
        pass
    return line


def _refuse(what: str, answer: bytes) -> NoReturn:
    raise Refused(f"it {what}: {one_line(answer[:200].decode('utf-8', 'replace'))!r}")


_DIALOGUES: dict[str, Callable[[Wire, str], None]] = {
    "smtp": lambda wire, _: _smtp(wire, "EHLO"),
    "submission": lambda wire, _: _smtp(wire, "EHLO"),
    "lmtp": lambda wire, _: _smtp(wire, "LHLO"),
    "imap": _imap,
    "pop3": _pop3,
    "sieve": _sieve,
    "ldap": _ldap,
    "ftp": _ftp,
    "postgres": _postgres,
    "mysql": _mysql,
    "xmpp": _xmpp,
    "nntp": _nntp,
}
