"""A DNS server's address as the configuration writes it, and one question to it."""

import socket
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.query
import dns.rcode

ASK_SECONDS = 2.0


@dataclass(frozen=True, slots=True, order=True)
class Server:
    """One address of one server; *name* is what people call it."""

    address: str
    port: int
    name: str = ""

    def __str__(self) -> str:
        where = f"[{self.address}]" if ":" in self.address else self.address
        where += "" if self.port == 53 else f":{self.port}"
        return f"{self.name} ({where})" if self.name else where


def parse_server(text: str, default_port: int = 53) -> list[Server]:
    """Servers at "address", "address:port", "[v6]:port" or "name[:port]"; a name gives one for each of its addresses.

    Raises ValueError with a sentence.
    """
    host, port = _split(text, default_port)
    if dns.inet.is_address(host):
        return [Server(host, port)]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ValueError(f"{host!r} is neither an address nor a name that this machine can resolve") from error
    return [Server(str(address), port, host) for address in sorted({entry[4][0] for entry in found})]


def _split(text: str, default_port: int) -> tuple[str, int]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, ""
    if port and not (port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r} has a malformed port")
    if not host:
        raise ValueError(f"{text!r} names no server")
    return host, int(port) if port else default_port


class NoAnswer(Exception):
    """The server gave no usable answer; the text says how. *unreachable*: this machine has no route to it at all."""

    def __init__(self, text: str, *, unreachable: bool = False):
        super().__init__(text)
        self.unreachable = unreachable


def ask(server: Server, question: dns.message.QueryMessage, seconds: float = ASK_SECONDS) -> dns.message.Message:
    """The server's answer over UDP, over TCP when it is truncated. Raises NoAnswer."""
    try:
        answer, _ = dns.query.udp_with_fallback(question, server.address, timeout=seconds, port=server.port)
    except dns.exception.Timeout as error:
        raise NoAnswer(f"no answer within {seconds:g} s") from error
    except OSError as error:
        unreachable = not isinstance(error, ConnectionError | TimeoutError)
        raise NoAnswer(error.strerror or str(error), unreachable=unreachable) from error
    except dns.exception.DNSException as error:
        raise NoAnswer(f"a malformed answer ({error})") from error
    return answer


def question(name: str, kind: str, *, recursive: bool = False) -> dns.message.QueryMessage:
    """A query for *name*; RD off unless *recursive*, so that a server answers from what it is authoritative for."""
    query = dns.message.make_query(name, kind, use_edns=0, payload=1232)
    if not recursive:
        query.flags &= ~dns.flags.RD
    return query


def is_authoritative(answer: dns.message.Message) -> bool:
    return bool(answer.flags & dns.flags.AA)


def rcode_text(answer: dns.message.Message) -> str:
    return dns.rcode.to_text(answer.rcode())
