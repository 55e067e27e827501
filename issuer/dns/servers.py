"""Addresses of DNS servers, queries, and functions that read an answer. Asks nobody but the system's resolver."""

import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rdtypes.ANY.SOA
import dns.rdtypes.ANY.TXT
import dns.rrset
import dns.tsig

from common.endpoint import parse_endpoint
from common.errors import ConfigError, Finding, Retry
from issuer.model.errors import DnsError

DNS_PORT = 53
ROOT = "."


@dataclass(frozen=True, slots=True, order=True)
class Server:
    """One address of one server; *name* is its host name, "" if it is unknown.

    *key* signs the queries to it (RFC 8945): BIND can choose the view of a zone by the key (``match-clients``).
    """

    address: str
    port: int
    name: str = ""
    key: dns.tsig.Key | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        where = f"[{self.address}]" if ":" in self.address else self.address
        where += "" if self.port == DNS_PORT else f":{self.port}"
        return f"{self.name} ({where})" if self.name else where

    @property
    def ipv6(self) -> bool:
        return ":" in self.address


def parse_server(text: str, default_port: int = DNS_PORT) -> list[Server]:
    """Servers at "address", "address:port", "[v6]:port" or "name[:port]"; one for each address of a name.

    Raises ValueError, whose text is a whole sentence; DnsError where the resolver of this machine has no answer now.
    """
    host, port = parse_endpoint(text, default_port)
    if dns.inet.is_address(host):
        return [Server(host, port)]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
            what, hint = f"the name server {host} cannot be resolved", "look at the resolver of this machine"
            raise DnsError(what, why=error.strerror or "", hint=hint, retry=Retry.SOON) from error
        raise ValueError(f"{host!r} is neither an address nor a name that this machine can resolve") from error
    return [Server(str(address), port, host) for address in sorted({entry[4][0] for entry in found})]


def configured_servers(key: str, texts: Sequence[str], default_port: int = DNS_PORT) -> list[Server]:
    """The servers in *texts*, the value of ``[dns]`` *key*. Raises ConfigError for a malformed or unknown one,
    DnsError as `parse_server`."""
    try:
        return [server for text in texts for server in parse_server(text, default_port)]
    except ValueError as error:
        raise ConfigError("configuration", [Finding(f"dns.{key}", str(error))]) from error


def has_route(server: Server) -> bool:
    """Does this machine know a way to *server*? Nothing is sent."""
    family = socket.AF_INET6 if server.ipv6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((server.address, server.port))
    except OSError:
        return False
    return True


def question(name: str, kind: str, *, recursive: bool = False) -> dns.message.QueryMessage:
    """A query for *name*. Unless *recursive*, RD is off, so that a server answers from its own zones only. Raises
    DnsError for a malformed name."""
    try:
        query = dns.message.make_query(dns.name.from_text(name), kind, use_edns=0, payload=1232)
    except dns.exception.DNSException as error:
        raise DnsError(f"{name[:300]!r} is not a valid DNS name", why=str(error), retry=Retry.NEVER) from error
    if not recursive:
        query.flags &= ~dns.flags.RD
    return query


def is_authoritative(answer: dns.message.Message) -> bool:
    """Does the server that gave *answer* serve the zone itself (AA, RFC 1035 §4.1.1)?"""
    return bool(answer.flags & dns.flags.AA)


def denies(answer: dns.message.Message) -> bool:
    """Does it say that the name or the record type does not exist (RFC 2308)? A SERVFAIL does not."""
    return answer.rcode() in (dns.rcode.NXDOMAIN, dns.rcode.NOERROR) and not answer.answer


def rcode_text(answer: dns.message.Message) -> str:
    """The response code by its name in RFC 1035 §4.1.1 and later ones, such as "SERVFAIL"."""
    return dns.rcode.to_text(answer.rcode())


def plain(name: dns.name.Name) -> str:
    """A name in lower case without the final dot; "." is the root."""
    return str(name.to_text(omit_final_dot=True)).lower()


def rrset_in(section: Sequence[dns.rrset.RRset], kind: str, name: str = "") -> list[dns.rrset.RRset]:
    """The RRsets of type *kind* in a section; only those at *name* if it is not ""."""
    wanted = dns.rdatatype.from_text(kind)
    return [rrset for rrset in section if rrset.rdtype == wanted and (not name or plain(rrset.name) == name)]


def targets(rrsets: Sequence[dns.rrset.RRset]) -> list[str]:
    """The names or addresses in NS, CNAME, A and AAAA records."""
    return [record.to_text().removesuffix(".").lower() for rrset in rrsets for record in rrset]


def missing_txt(answer: dns.message.Message, values: Collection[str], *, authoritative: bool = True) -> str:
    """ "" when the answer shows every value, and with authority if that is wanted; else a phrase with the reason."""
    if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return f"answers {rcode_text(answer)}"
    if authoritative and not is_authoritative(answer):
        return "is not authoritative for it (lame delegation)"
    absent = len(set(values) - shown_txt(answer))
    return f"does not show {absent} of {len(set(values))} values yet" if absent else ""


def shown_txt(answer: dns.message.Message) -> set[str]:
    """Every TXT value of the answer, also one reached through aliases."""
    records = [record for rrset in rrset_in(answer.answer, "TXT") for record in rrset]
    return {
        b"".join(record.strings).decode("ascii", "replace")
        for record in records
        if isinstance(record, dns.rdtypes.ANY.TXT.TXT)
    }


def addresses_in(section: Sequence[dns.rrset.RRset], name: str = "") -> list[str]:
    """The addresses in a section's A and AAAA records; only in those at *name* if it is not ""."""
    return [address for kind in ("A", "AAAA") for address in targets(rrset_in(section, kind, name))]


def soa_in(answer: dns.message.Message, zone: str) -> tuple[dns.rdtypes.ANY.SOA.SOA, int] | None:
    """The SOA record of *zone*, and its TTL in seconds; None without one."""
    found = [(record, rrset.ttl) for rrset in rrset_in(answer.answer, "SOA", zone) for record in rrset]
    return next((pair for pair in found if isinstance(pair[0], dns.rdtypes.ANY.SOA.SOA)), None)
