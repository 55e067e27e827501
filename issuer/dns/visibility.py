"""Does a server show a value? One question, one verdict; who is asked and how long is decided elsewhere."""

from collections.abc import Collection

import dns.rcode
import dns.rdatatype
import dns.rdtypes.ANY.TXT

from issuer.dns.servers import Server, ask, is_authoritative, question, rcode_text


def missing_txt(server: Server, owner: str, values: Collection[str]) -> str:
    """ "" when the server shows every value with authority, else its verdict as a phrase. Raises NoAnswer."""
    answer = ask(server, question(owner, "TXT"))
    if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return f"answers {rcode_text(answer)}"
    if not is_authoritative(answer):
        return "is not authoritative for it (lame delegation)"
    shown = {
        b"".join(record.strings).decode("ascii", "replace")
        for rrset in answer.answer
        if rrset.rdtype == dns.rdatatype.TXT
        for record in rrset
        if isinstance(record, dns.rdtypes.ANY.TXT.TXT)
    }
    absent = len(set(values) - shown)
    return f"does not show {absent} of {len(set(values))} values yet" if absent else ""
