"""What tests ask one DNS server directly, with nothing in between: its own answer, not a resolver's."""

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.rcode
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.ANY.TXT import TXT

SECONDS = 10.0
SOON_AGAIN_SECONDS = 3.0  # a server that is just starting never hears what was sent before


def txt_values(address: str, port: int, owner: str, flags: int = 0) -> set[str]:
    """The TXT values the server has for a name; nothing when the name does not exist. Other refusals are errors."""
    answer = _ask(address, port, owner, "TXT", flags)
    if answer.rcode() not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
        raise RuntimeError(f"{address}:{port} answers {owner} TXT with {dns.rcode.to_text(answer.rcode())}")
    records = [record for rrset in answer.answer for record in rrset if isinstance(record, TXT)]
    return {b"".join(record.strings).decode() for record in records}


def soa_serial(address: str, port: int, zone: str) -> int | None:
    """The zone's serial number as the server has it; None when it does not answer for that zone (yet)."""
    try:
        answer = _ask(address, port, zone, "SOA", seconds=SOON_AGAIN_SECONDS)
    except dns.exception.Timeout:
        return None
    if not answer.flags & dns.flags.AA:
        return None
    serials = [int(record.serial) for rrset in answer.answer for record in rrset if isinstance(record, SOA)]
    return serials[0] if serials else None


def send_notify(address: str, port: int, zone: str) -> None:
    """Tell a secondary that a zone may have changed (RFC 1996)."""
    message = dns.message.make_query(_absolute(zone), "SOA", flags=dns.flags.AA)
    message.set_opcode(dns.opcode.NOTIFY)
    dns.query.udp(message, address, port=port, timeout=SECONDS)


def _ask(
    address: str, port: int, name: str, rdtype: str, flags: int = 0, *, seconds: float = SECONDS
) -> dns.message.Message:
    query = dns.message.make_query(_absolute(name), rdtype, flags=flags)
    answer, _ = dns.query.udp_with_fallback(query, address, port=port, timeout=seconds)
    return answer


def _absolute(name: str) -> str:
    return name.rstrip(".") + "."
