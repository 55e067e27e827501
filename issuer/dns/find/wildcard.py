"""Does a name live on a wildcard, and does it lose that by the sub-zone below it?

A wildcard answers only for names that do not exist, and ``_acme-challenge.NAME`` makes NAME exist, if only as one
without records (RFC 4592 §2.2.2). From then on NAME, and whatever else was answered for below it, has no addresses.
"""

import secrets
from dataclasses import dataclass

import dns.rcode

from issuer.dns.find.locate import soa_owner
from issuer.dns.find.resolvers import Resolvers
from issuer.dns.servers import rrset_in

_ASKED = ("A", "AAAA", "MX")  # an alias stands in each of these answers
_KINDS = ("CNAME", *_ASKED)


@dataclass(frozen=True, slots=True)
class Caution:
    """What is to be known and done before the sub-zone of a name is created, or soon after."""

    sentence: str
    hint: str


def wildcard_caution(resolvers: Resolvers, name: str) -> Caution | None:
    """None for a name that has records of its own, or none to lose. Raises NoAnswer."""
    zone = soa_owner(resolvers.ask(name, "SOA"), name)
    if zone == name:  # the top of a zone exists by itself
        return None
    hint = f"give {name} the wildcard's records as its own, in the zone that the wildcard is in"
    held = _records(resolvers, name)
    if held and _is_covered(resolvers, name, held):
        sentence = f"{name} lives on a wildcard, which _acme-challenge.{name} takes from it and all below (RFC 4592)"
        return Caution(sentence, f"first {hint}")
    if not held and _is_below_wildcard(resolvers, name, zone):
        sentence = f"{name} has no A, AAAA, CNAME or MX: _acme-challenge.{name} keeps the wildcard from it (RFC 4592)"
        return Caution(sentence, hint)
    return None


def _is_covered(resolvers: Resolvers, name: str, held: frozenset[str]) -> bool:
    """Is *held* what a wildcard gives to every name? A name beside it may have the same records as its own: only what
    does not exist lets the wildcard answer for the names below it as well."""
    return all(_records(resolvers, _unheard_of(above)) == held for above in (_parent(name), name))


def _is_below_wildcard(resolvers: Resolvers, name: str, zone: str) -> bool:
    """Would a wildcard of *zone*, "" if unknown, answer for *name* and those above it that have nothing either?"""
    above = _parent(name)
    while above:
        if _records(resolvers, _unheard_of(above)):
            return True
        if above == zone or not zone or _records(resolvers, above):
            return False
        above = _parent(above)
    return False


def _records(resolvers: Resolvers, name: str) -> frozenset[str]:
    """What *name* itself holds, of the kinds that a wildcard is made for."""
    found: set[str] = set()
    for kind in _ASKED:
        answer = resolvers.ask(name, kind)
        rrsets = [rrset for known in _KINDS for rrset in rrset_in(answer.answer, known, name)]
        found |= {f"{rrset.rdtype} {record.to_text()}" for rrset in rrsets for record in rrset}
        if answer.rcode() == dns.rcode.NXDOMAIN:
            break
    return frozenset(found)


def _unheard_of(above: str) -> str:
    """A name that nobody has created. No longer than the challenge's own, so that it fits where that one does."""
    return f"{secrets.token_hex(7)}.{above}"


def _parent(name: str) -> str:
    return name.partition(".")[2]
