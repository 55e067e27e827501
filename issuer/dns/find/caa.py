"""The CAA record set that counts for a name: its own, or that of the nearest ancestor that has one (RFC 8659 §3)."""

import dns.rdtypes.ANY.CAA

from issuer.dns.asking import NoAnswer
from issuer.dns.find.resolvers import Resolvers
from issuer.dns.servers import rrset_in
from issuer.model.errors import DnsError
from issuer.rules.caa import CaaRecord


def relevant_caa(resolvers: Resolvers, name: str) -> tuple[str, list[CaaRecord]]:
    """(the name that has it, its records), or ("", []). Aliases are followed at every step, as the resolver does it.

    Raises NoAnswer: a CA refuses too when it cannot look (RFC 8659 §3 leaves no other way).
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
    """The records that count for *name*. Raises DnsError where they cannot be asked for."""
    try:
        return relevant_caa(resolvers, name)[1]
    except NoAnswer as error:
        hint = "check the resolvers in [dns], or this machine's own"
        raise DnsError(f"the CAA records of {name} cannot be asked for", why=str(error), hint=hint) from error
