"""A DNS server's address as the configuration writes it, the questions we put, and how to read an answer's head."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rdtypes.ANY.SOA
import dns.rrset

from common.endpoint import parse_endpoint
from common.errors import ConfigError, Finding, Retry
from issuer.model.errors import DnsError

DNS_PORT = 53
ROOT = "."


@dataclass(frozen=True, slots=True, order=True)
class Server:
    """One address of one server; *name* is what people call it."""

    address: str
    port: int
    name: str = ""

    def __str__(self) -> str:
        where = f"[{self.address}]" if ":" in self.address else self.address
        where += "" if self.port == DNS_PORT else f":{self.port}"
        return f"{self.name} ({where})" if self.name else where

    @property
    def ipv6(self) -> bool:
        return ":" in self.address


def parse_server(text: str, default_port: int = DNS_PORT) -> list[Server]:
    """Servers at "address", "address:port", "[v6]:port" or "name[:port]"; a name gives one for each of its addresses.

    Raises ValueError with a sentence.
    """
    host, port = parse_endpoint(text, default_port)
    if dns.inet.is_address(host):
        return [Server(host, port)]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ValueError(f"{host!r} is neither an address nor a name that this machine can resolve") from error
    return [Server(str(address), port, host) for address in sorted({entry[4][0] for entry in found})]


def configured_servers(key: str, texts: Sequence[str], default_port: int = DNS_PORT) -> list[Server]:
    """The servers that ``[dns]`` *key* names; ConfigError when one of them cannot be meant."""
    try:
        return [server for text in texts for server in parse_server(text, default_port)]
    except ValueError as error:
        raise ConfigError("configuration", [Finding(f"dns.{key}", str(error))]) from error


def question(name: str, kind: str, *, recursive: bool = False) -> dns.message.QueryMessage:
    """A query for *name*; RD off unless *recursive*, so that a server answers from what it is authoritative for.
    Raises DnsError for what is no name."""
    try:
        query = dns.message.make_query(dns.name.from_text(name), kind, use_edns=0, payload=1232)
    except dns.exception.DNSException as error:
        raise DnsError(f"DNS can hold no name like {name[:300]!r}", why=str(error), retry=Retry.NEVER) from error
    if not recursive:
        query.flags &= ~dns.flags.RD
    return query


def is_authoritative(answer: dns.message.Message) -> bool:
    return bool(answer.flags & dns.flags.AA)


def denies(answer: dns.message.Message) -> bool:
    """Does it say that the name, or this type of record at it, does not exist (RFC 2308)? Not so a SERVFAIL."""
    return answer.rcode() in (dns.rcode.NXDOMAIN, dns.rcode.NOERROR) and not answer.answer


def rcode_text(answer: dns.message.Message) -> str:
    return dns.rcode.to_text(answer.rcode())


def plain(name: dns.name.Name) -> str:
    """A name as we keep it: lower case, no dot at the end; "." is the root."""
    return str(name.to_text(omit_final_dot=True)).lower()


def rrset_in(section: Sequence[dns.rrset.RRset], kind: str, name: str = "") -> list[dns.rrset.RRset]:
    """The RRsets of one type in a section, only those at *name* if one is given."""
    wanted = dns.rdatatype.from_text(kind)
    return [rrset for rrset in section if rrset.rdtype == wanted and (not name or plain(rrset.name) == name)]


def targets(rrsets: Sequence[dns.rrset.RRset]) -> list[str]:
    """The names or addresses that NS, A and AAAA records hold."""
    return [record.to_text().removesuffix(".").lower() for rrset in rrsets for record in rrset]


def negative_times(rrsets: Sequence[dns.rrset.RRset]) -> list[tuple[int, int]]:
    """(minimum, TTL) of each SOA record, in seconds: what decides how long "there is nothing" is remembered."""
    return [(record.minimum, rrset.ttl) for rrset in rrsets for record in _soa_in(rrset)]


def serial_in(answer: dns.message.Message, zone: str) -> int | None:
    """The serial of *zone*, if the answer gives it with authority."""
    serials = [record.serial for rrset in rrset_in(answer.answer, "SOA", zone) for record in _soa_in(rrset)]
    return serials[0] if serials and is_authoritative(answer) else None


def primary_in(answer: dns.message.Message, zone: str) -> str:
    """The host that the SOA of *zone* names as primary (MNAME), "" without one."""
    return next((plain(soa.mname) for rrset in rrset_in(answer.answer, "SOA", zone) for soa in _soa_in(rrset)), "")


def _soa_in(rrset: dns.rrset.RRset) -> list[dns.rdtypes.ANY.SOA.SOA]:
    return [record for record in rrset if isinstance(record, dns.rdtypes.ANY.SOA.SOA)]
