"""All writing of DNS: RFC 2136 UPDATE over TCP, signed with TSIG (RFC 8945). Values are added and deleted exactly.

One message a zone carries every value, so that a secondary is told once: BIND holds back the second NOTIFY of a zone
by five seconds.
"""

import time
from collections.abc import Sequence

import dns.exception
import dns.query
import dns.rcode
import dns.tsig
import dns.update

from common.clock import utc_text
from common.errors import Retry
from issuer.dns.servers import Server
from issuer.errors import DnsError

_TTL = 60  # seconds
_UPDATE_SECONDS = 10.0

TxtValue = tuple[str, str]
"""(owner name, value)"""


def change_txt(
    server: Server, zone: str, key: dns.tsig.Key, *, add: Sequence[TxtValue] = (), delete: Sequence[TxtValue] = ()
) -> None:
    """Add and delete exactly these TXT values in one UPDATE. Both can be repeated without harm. Raises DnsError."""
    update = dns.update.UpdateMessage(f"{zone}.", keyring=key)
    for owner, value in delete:
        update.delete(f"{owner}.", "TXT", f'"{value}"')
    for owner, value in add:
        update.add(f"{owner}.", _TTL, "TXT", f'"{value}"')
    try:
        answer = dns.query.tcp(update, server.address, timeout=_UPDATE_SECONDS, port=server.port)
    except (dns.exception.DNSException, OSError, EOFError) as error:
        raise _failure(error, server, zone, key) from error
    if answer.rcode() != dns.rcode.NOERROR:
        raise _refusal(answer.rcode(), server, zone, key, [owner for owner, _ in (*add, *delete)])


def _failure(error: Exception, server: Server, zone: str, key: dns.tsig.Key) -> DnsError:
    what = f"the update of {zone} at {server} failed"
    named = f"{key.name.to_text(omit_final_dot=True)} ({key.algorithm.to_text(omit_final_dot=True)})"
    if isinstance(error, dns.tsig.PeerBadKey):
        hint = (
            f"the name server does not know the key {named}: add it there and reload, or name the right tsig_key_file"
        )
        return DnsError(what, why="BADKEY", hint=hint, reference="dns-badkey", retry=Retry.NEVER)
    if isinstance(error, dns.tsig.PeerBadSignature | dns.tsig.BadSignature):
        hint = f"the key {named} has another secret on the name server than in tsig_key_file: copy it again"
        return DnsError(what, why="BADSIG", hint=hint, reference="dns-badsig", retry=Retry.NEVER)
    if isinstance(error, dns.tsig.PeerBadTime | dns.tsig.BadTime):
        why = f"BADTIME; this machine's clock says {utc_text(time.time())}"
        return DnsError(what, why=why, hint="set both clocks by NTP; TSIG allows 300 s", reference="dns-badtime")
    if isinstance(error, dns.exception.Timeout):
        why, hint = f"no answer within {_UPDATE_SECONDS:g} s", "check the network and firewall: TCP to that port"
    elif isinstance(error, OSError):
        why, hint = error.strerror or str(error), "check that the name server runs and that server and port are right"
    else:
        why, hint = f"{type(error).__name__}: {error}", "look at the name server's log"
    return DnsError(what, why=why, hint=hint, reference="dns-unreachable", retry=Retry.SOON)


def _refusal(rcode: dns.rcode.Rcode, server: Server, zone: str, key: dns.tsig.Key, owners: Sequence[str]) -> DnsError:
    name = key.name.to_text(omit_final_dot=True)
    word = dns.rcode.to_text(rcode)
    hints = {
        "REFUSED": f"allow it there: update-policy {{ grant {name} name {owners[0]}. TXT; }};",
        "NOTAUTH": "that server is not authoritative for the zone: create it there, or mend server in [dns]",
        "NOTZONE": "the name lies outside that zone: mend the [[dns.zone]] entry",
        "SERVFAIL": "look at the name server's log; often its user may not write the zone's folder or journal",
    }
    hint = hints.get(word, "look at the name server's log")
    return DnsError(
        f"the update of {zone} at {server} was refused", why=word, hint=hint, reference=f"dns-{word.lower()}"
    )
