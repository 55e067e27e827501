"""The relevant CAA record set of a name: its own, else that of the nearest ancestor with one (RFC 8659 §3)."""

import dns.rdtypes.ANY.CAA

from issuer.dns.asking import NoAnswer
from issuer.dns.find.resolvers import Resolvers
from issuer.dns.servers import rrset_in
from issuer.model.errors import DnsError
from issuer.rules.caa import CaaRecord


def relevant_caa(resolvers: Resolvers, name: str) -> tuple[str, list[CaaRecord]]:
    """(owner, its CAA records), ("", []) without any. The resolver follows aliases at every step.

    Raises NoAnswer: a CA that cannot look up CAA must refuse too (RFC 8659 §3).
    """
    labels = name.removeprefix("*.").split(".")
    for first in range(len(labels)):
        candidate = ".".join(labels[first:])
        answer = resolvers.ask(candidate, "CAA")
        records = [
            CaaRecord(record.flags, record.tag.decode("ascii", "replace"), record.value.decode("utf-8", "replace"))
            for rrset in rrset_in(answer.answer, "CAA")
            for record in rrset
            if isinstance(record, dns.rdtypes.ANY.CAA.CAA)
        ]
        if records:
            return candidate, records
    return "", []


def caa_of(resolvers: Resolvers, name: str) -> list[CaaRecord]:
    """The relevant records of *name*. Raises DnsError when they cannot be looked up."""
    try:
        return relevant_caa(resolvers, name)[1]
    except NoAnswer as error:
        hint = "check the resolvers in [dns], or this machine's own"
        raise DnsError(f"the CAA records of {name} cannot be looked up", why=str(error), hint=hint) from error
