"""Does a name get its records from a DNS wildcard, and does the sub-zone stop that?

A wildcard answers only for names that do not exist. Creating ``_acme-challenge.NAME`` makes NAME exist, without records
(RFC 4592 §2.2.2). From then on the wildcard no longer answers for NAME and the names below it.
"""

import secrets

import dns.rcode

from common.dataclasses import dataclass
from issuer.dns.find.locate import soa_owner
from issuer.dns.find.resolvers import Resolvers
from issuer.dns.servers import rrset_in

_ASKED = ("A", "AAAA", "MX")  # each of these answers shows an alias too
_KINDS = ("CNAME", *_ASKED)


@dataclass(frozen=True, slots=True)
class Caution:
    """A warning about the sub-zone of a name, and what to do."""

    sentence: str
    hint: str


def wildcard_caution(resolvers: Resolvers, name: str) -> Caution | None:
    """The caution where a wildcard answers for *name*, or would answer without the sub-zone; else None. Raises
    NoAnswer."""
    zone = soa_owner(resolvers.ask(name, "SOA"), name)
    if zone == name:  # the top of a zone exists by itself
        return None
    hint = f"give {name} the wildcard's records as its own, in the zone of the wildcard"
    shown = _records(resolvers, name)
    if shown and _is_covered(resolvers, name, shown):
        sentence = (
            f"{name} gets its records from a DNS wildcard; "
            f"creating _acme-challenge.{name} stops the wildcard from answering for {name} and below (RFC 4592)"
        )
        return Caution(sentence, f"first {hint}")
    if not shown and _is_below_wildcard(resolvers, name, zone):
        sentence = (
            f"{name} has no A, AAAA, CNAME or MX: "
            f"_acme-challenge.{name} stops the DNS wildcard from answering for it (RFC 4592)"
        )
        return Caution(sentence, hint)
    return None


def _is_covered(resolvers: Resolvers, name: str, shown: frozenset[str]) -> bool:
    """Does *shown* come from a wildcard? Then unknown names beside and below *name* show the same records. Below a name
    that exists, no wildcard answers."""
    return all(_records(resolvers, _unheard_of(above)) == shown for above in (_parent(name), name))


def _is_below_wildcard(resolvers: Resolvers, name: str, zone: str) -> bool:
    """Would a wildcard answer for *name*, were it not for the sub-zone? *zone*: the zone of *name*, "" if unknown."""
    above = _parent(name)
    while above:
        if _records(resolvers, _unheard_of(above)):
            return True
        if above == zone or not zone or _records(resolvers, above):
            return False
        above = _parent(above)
    return False


def _records(resolvers: Resolvers, name: str) -> frozenset[str]:
    """The A, AAAA, MX and CNAME records at *name*, as text. Raises NoAnswer."""
    found: set[str] = set()
    for kind in _ASKED:
        answer = resolvers.ask(name, kind)
        rrsets = [rrset for known in _KINDS for rrset in rrset_in(answer.answer, known, name)]
        found |= {f"{rrset.rdtype} {record.to_text()}" for rrset in rrsets for record in rrset}
        if answer.rcode() == dns.rcode.NXDOMAIN:
            break
    return frozenset(found)


def _unheard_of(above: str) -> str:
    """A name below *above* that does not exist, no longer than the challenge's name, so that it is valid too."""
    return f"{secrets.token_hex(7)}.{above}"


def _parent(name: str) -> str:
    return name.partition(".")[2]
