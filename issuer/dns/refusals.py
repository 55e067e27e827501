"""What a failed UPDATE means and what to do about it: RFC 2136 §2.2 and RFC 8945 §5.2 in a sysadmin's words. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import dns.rcode
import dns.tsig

from common.clock import duration_text, utc_text
from common.errors import Retry
from issuer.dns.servers import Server
from issuer.errors import DnsError

_FUDGE = 300  # seconds that TSIG lets two clocks differ


def silent(server: Server, zone: str, seconds: float) -> DnsError:
    why, hint = f"no answer within {seconds:g} s", f"check the network and firewall: TCP to port {server.port}"
    return DnsError(_failed(server, zone), why=why, hint=hint, reference="dns-unreachable", retry=Retry.SOON)


def unreachable(error: OSError, server: Server, zone: str) -> DnsError:
    hint = "check that the name server runs and that server and port are right"
    why = error.strerror or str(error)
    return DnsError(_failed(server, zone), why=why, hint=hint, reference="dns-unreachable", retry=Retry.SOON)


def impossible(error: Exception, zone: str) -> DnsError:
    hint = "look at the rows of the table challenges: certfleet writes no such names and values itself"
    what = f"the update of {zone[:300]!r} cannot be put into words of DNS"
    return DnsError(what, why=str(error), hint=hint, retry=Retry.NEVER)


@dataclass(frozen=True, slots=True)
class Clocks:
    """This machine's and the name server's, in epoch seconds; *server* is 0 when it is not known."""

    own: float
    server: int

    @property
    def apart(self) -> float:
        return abs(int(self.own) - self.server) if self.server else 0.0

    def __str__(self) -> str:
        own = f"this machine's clock says {utc_text(self.own)}, the name server's"
        return (
            f"{own} {utc_text(self.server)} ({duration_text(self.apart)} apart)" if self.server else f"{own} is unknown"
        )


def not_verified(error: Exception, server: Server, zone: str, key: dns.tsig.Key, clocks: Clocks) -> DnsError:
    """The answer carries a TSIG error of the server's, or a signature that does not hold here."""
    what = _failed(server, zone)
    named = f"{key.name.to_text(omit_final_dot=True)} ({key.algorithm.to_text(omit_final_dot=True)})"
    if isinstance(error, dns.tsig.PeerBadKey | dns.tsig.BadKey | dns.tsig.BadAlgorithm):
        hint = (
            f"add the key {named} to the name server and reload it, or name the right tsig_key_file; "
            "Knot says so too when its ACL does not allow the change"
        )
        why = "BADKEY: the name server does not know this key, or not with this algorithm"
        return DnsError(what, why=why, hint=hint, reference="dns-badkey", retry=Retry.NEVER)
    if isinstance(error, dns.tsig.PeerBadSignature | dns.tsig.BadSignature):
        hint = f"copy the key {named} again: its secret on the name server is another one than in tsig_key_file"
        why = "BADSIG: the name server knows this key with another secret"
        return DnsError(what, why=why, hint=hint, reference="dns-badsig", retry=Retry.NEVER)
    if isinstance(error, dns.tsig.PeerBadTime | dns.tsig.BadTime):
        why = f"BADTIME: {clocks}; TSIG allows {_FUDGE} s"
        return DnsError(what, why=why, hint="set both clocks by NTP", reference="dns-badtime")
    why = f"its answer is not one that can be trusted ({type(error).__name__}: {error})"
    hint = "look at the name server's log; something between here and there may rewrite DNS"
    return DnsError(what, why=why, hint=hint, reference="dns-unsigned", retry=Retry.LATER)


def _no_zone_of_its_own(zone: str, owner: str) -> str:
    """The commonest cause, where the update would have gone into a zone above: the sub-zone is not there yet."""
    if zone == owner:
        return ""
    name = owner.removeprefix("_acme-challenge.")
    return f"create the sub-zone {owner} first (`certfleet-issuer zone {name}` prints it), or if {zone} is meant, "


def refused(rcode: dns.rcode.Rcode, server: Server, zone: str, key: dns.tsig.Key, owners: Sequence[str]) -> DnsError:
    name = key.name.to_text(omit_final_dot=True)
    word = dns.rcode.to_text(rcode)
    hints = {
        "REFUSED": f"{_no_zone_of_its_own(zone, owners[0])}allow the key there; "
        f'for BIND: update-policy {{ grant "{name}" name {owners[0]}. TXT; }}; '
        "PowerDNS says no more than this for an unknown key, a wrong secret or clocks apart too",
        "NOTAUTH": "that server is not authoritative for the zone: create it there, or mend server in [dns]",
        "NOTZONE": f"{owners[0]} lies outside that zone: mend the [[dns.zone]] entry",
        "NOTIMP": "that server takes no updates at all: turn them on (`zone` prints how), or mend server in [dns]",
        "SERVFAIL": "look at the name server's log; often its user may not write the zone's folder or journal",
    }
    return DnsError(
        f"the update of {zone} at {server} was refused",
        why=word,
        hint=hints.get(word, "look at the name server's log"),
        reference=f"dns-{word.lower()}",
    )


def _failed(server: Server, zone: str) -> str:
    return f"the update of {zone} at {server} failed"
