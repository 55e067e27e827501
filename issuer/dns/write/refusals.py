"""The errors of a failed UPDATE, with hints for a sysadmin (RFC 2136 §2.2, RFC 8945 §5.2). Pure."""

import dns.rcode
import dns.tsig

from common.clock import duration_text, utc_text
from common.dataclasses import dataclass
from common.errors import Retry
from issuer.dns.servers import Server
from issuer.model.errors import DnsError

_FUDGE = 300  # seconds that TSIG lets two clocks differ


def silent(server: Server, zone: str, seconds: float) -> DnsError:
    """The error where *server* gave no answer within *seconds*."""
    why, hint = f"no answer within {seconds:g} s", f"check the network and firewall: TCP to port {server.port}"
    return DnsError(_failed(server, zone), why=why, hint=hint, reference="dns-unreachable", retry=Retry.SOON)


def unreachable(error: OSError, server: Server, zone: str) -> DnsError:
    """The error where no connection to *server* came about."""
    hint = "check that the name server runs and that server and port are right"
    why = error.strerror or str(error)
    return DnsError(_failed(server, zone), why=why, hint=hint, reference="dns-unreachable", retry=Retry.SOON)


def impossible(error: Exception, zone: str) -> DnsError:
    """The error where an update cannot be put into a message at all: no later attempt can succeed."""
    hint = "look at the rows of the table challenges: certfleet itself writes no such names and values"
    what = f"the update of {zone[:300]!r} cannot be encoded as a DNS message"
    return DnsError(what, why=str(error), hint=hint, retry=Retry.NEVER)


@dataclass(frozen=True, slots=True)
class SentUpdate:
    """An UPDATE that was sent to *server*: change *owner* in *zone*, signed with *key*.

    *named*: does a ``[[dns.zone]]`` name exactly *zone*?
    """

    server: Server
    zone: str
    key: dns.tsig.Key
    owner: str
    named: bool

    @property
    def key_name(self) -> str:
        return str(self.key.name.to_text(omit_final_dot=True))

    @property
    def first(self) -> str:
        """The beginning of a hint, "" for none. If the update went to a zone above *owner* that the configuration does
        not name, the sub-zone is probably missing."""
        name = self.owner.removeprefix("_acme-challenge.")
        if self.named or self.owner in (self.zone, name):  # an owner without that prefix was reached by an alias
            return ""
        prints = f"`certfleet-issuer zone {name}` prints it"
        return f"create the sub-zone {self.owner} first ({prints}), or if {self.zone} is meant, "


def not_verified(error: Exception, sent: SentUpdate, *, own_clock: float, server_clock: int) -> DnsError:
    """The error for an answer with a TSIG error of the server, or with a signature that does not verify here.

    The clocks are in epoch seconds; *server_clock* is 0 when it is unknown.
    """
    what = _failed(sent.server, sent.zone)
    named = f"{sent.key_name} ({sent.key.algorithm.to_text(omit_final_dot=True)})"
    if isinstance(error, dns.tsig.PeerBadKey | dns.tsig.BadKey | dns.tsig.BadAlgorithm):
        hint = (
            f"{sent.first}add the key {named} to the name server and reload it, or name the right tsig_key_file; "
            "Knot says so too when its ACL does not allow the change"
        )
        why = "BADKEY: the name server does not know this key, or not with this algorithm"
        return DnsError(what, why=why, hint=hint, reference="dns-badkey", retry=Retry.NEVER)
    if isinstance(error, dns.tsig.PeerBadSignature | dns.tsig.BadSignature):
        hint = f"copy the key {named} again: its secret on the name server differs from the one in tsig_key_file"
        why = "BADSIG: the name server knows this key with another secret"
        return DnsError(what, why=why, hint=sent.first + hint, reference="dns-badsig", retry=Retry.NEVER)
    if isinstance(error, dns.tsig.PeerBadTime | dns.tsig.BadTime):
        theirs = "is unknown"
        if server_clock:
            theirs = f"{utc_text(server_clock)} ({duration_text(abs(int(own_clock) - server_clock))} apart)"
        own = f"this machine's clock says {utc_text(own_clock)}"
        why = f"BADTIME: {own}, the name server's {theirs}; TSIG allows {_FUDGE} s"
        return DnsError(what, why=why, hint="set both clocks by NTP", reference="dns-badtime")
    why = f"its answer cannot be trusted ({type(error).__name__}: {error})"
    hint = "look at the name server's log; something between here and there may rewrite DNS"
    return DnsError(what, why=why, hint=hint, reference="dns-unsigned", retry=Retry.LATER)


def refused(rcode: dns.rcode.Rcode, sent: SentUpdate) -> DnsError:
    """The error for a refusal with *rcode* (RFC 2136 §2.2)."""
    word = dns.rcode.to_text(rcode)
    by_key = "" if sent.server.key else "; if BIND chooses the view by the key: sign_queries = true in [dns]"
    hints = {
        "REFUSED": f"{sent.first}allow the key there; "
        f'for BIND: update-policy {{ grant "{sent.key_name}" name {sent.owner}. TXT; }}; '
        f"if the zone was frozen for an edit: `rndc thaw {sent.zone}`; "
        "PowerDNS answers the same for an unknown key, a wrong secret and clocks that differ",
        "NOTAUTH": f"{sent.first}create it there, as that server is not authoritative for it, or mend server in [dns]"
        + by_key,
        "NOTZONE": f"{sent.owner} lies outside that zone: mend the [[dns.zone]] entry",
        "NOTIMP": "that server takes no updates at all: turn them on (`zone` prints how), or mend server in [dns]",
        "SERVFAIL": "look at the name server's log; often its user may not write the zone's folder or journal",
    }
    return DnsError(
        f"the update of {sent.zone} at {sent.server} was refused",
        why=word,
        hint=hints.get(word, "look at the name server's log"),
        reference=f"dns-{word.lower()}",
    )


def _failed(server: Server, zone: str) -> str:
    return f"the update of {zone} at {server} failed"
