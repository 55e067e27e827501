"""TXT values in an answer. Pure."""

from collections.abc import Collection

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rdtypes.ANY.TXT

from issuer.dns.servers import is_authoritative, rcode_text


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
    return {
        b"".join(record.strings).decode("ascii", "replace")
        for rrset in answer.answer
        if rrset.rdtype == dns.rdatatype.TXT
        for record in rrset
        if isinstance(record, dns.rdtypes.ANY.TXT.TXT)
    }
