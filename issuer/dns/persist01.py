"""The challenge type dns-persist-01: a TXT record that a person publishes once (draft-ietf-acme-dns-persist).

Imports no DNS library.
"""

from collections.abc import Callable, Sequence

from issuer.dns.dns01 import require_records
from issuer.model.acme import CaChallenge, Challenge
from issuer.model.enrolment import Validation
from issuer.rules.persist import owner_of, wanted_by, zone_line


class DnsPersist01:
    """The challenge type of names with this way; see :class:`issuer.journey.solver.ChallengeType`. The value of a
    Challenge has a line for each record that counts."""

    name = "dns-persist-01"
    standing = True
    ready = "its record is in DNS (`zone --persist` prints it)"
    from_outside = "check the record from outside: dig +trace TXT _validation-persist.NAME"

    def chosen_by(self, validation: Validation) -> bool:
        return validation.way == self.name

    def require(self, validation: Validation, names: Sequence[str]) -> None:
        """Raises UsageError for an address, and for a name too long for a record; wildcards have one."""
        require_records(names, self.name, self.owner)

    def owner(self, name: str) -> str:
        return owner_of(name)

    def content(self, challenge: CaChallenge, name: str, key_authorization: Callable[[str], str]) -> str:
        """The records that count, a line each. The challenge has no token."""
        return "\n".join(wanted_by(challenge, name).records)

    def is_answer(self, value: str, key_authorization: Callable[[str], str]) -> bool:
        return False  # the record is a person's, and never withdrawn

    def instruction(self, entry: Challenge) -> str:
        return zone_line(entry.owner, entry.value.partition("\n")[0])

    def leaves(self, names: Sequence[str]) -> str:
        records = ", ".join(dict.fromkeys(map(owner_of, names)))
        return records and f"in DNS stay {records}: as long as they are there, our account may have certificates"
