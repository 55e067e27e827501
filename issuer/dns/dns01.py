"""The challenge type dns-01: a TXT record in a zone of its own (RFC 8555 §8.4). Imports no DNS library."""

import hashlib
import re
from collections.abc import Callable, Sequence

from common import base64url
from common.errors import UsageError
from common.names import is_address
from issuer.model.acme import CaChallenge, Challenge
from issuer.model.enrolment import Validation
from issuer.rules.challenges import token_of

_DIGEST = re.compile(r"[A-Za-z0-9_-]{43}")  # a SHA-256 in base64url
_LONGEST_NAME = 253  # characters of a domain name without its final dot


def sub_zone(name: str) -> str:
    """The name of the TXT record for *name*, and of the zone that is made for it."""
    return f"_acme-challenge.{name.removeprefix('*.')}"


def refuse_unfit(name: str, kind: str = "dns-01", owner: Callable[[str], str] = sub_zone) -> None:
    """Raise ValueError for a name that can have no TXT record of this *kind*: an address (RFC 8738 §7), or one whose
    record, at *owner*, would have more octets than a domain name may (RFC 1035 §2.3.4)."""
    if is_address(name):
        raise ValueError(f"{name} is an IP address, and {kind} cannot validate addresses")
    longest = _LONGEST_NAME - len(owner(""))
    if len(name.removeprefix("*.")) > longest:
        raise ValueError(f"{name} has more than the {longest} characters that {kind} leaves to a name")


def require_records(names: Sequence[str], kind: str, owner: Callable[[str], str]) -> None:
    """As :func:`refuse_unfit` for each of *names*. Raises UsageError."""
    try:
        for name in names:
            refuse_unfit(name, kind, owner)
    except ValueError as error:
        hint = "validate it by http-01 (--webroot, or --by NAME=/webroot), or leave it out of the CSR"
        raise UsageError(str(error), hint=hint, reference="not-by-dns") from error


class Dns01:
    """The default challenge type. The methods are described in :class:`issuer.journey.solver.ChallengeType`."""

    name = "dns-01"
    standing = False
    ready = "its sub-zone is in place"
    from_outside = "check the zone from outside: dig +trace TXT _acme-challenge.NAME"

    def chosen_by(self, validation: Validation) -> bool:
        return not validation.way  # a webroot claims a name after this

    def require(self, validation: Validation, names: Sequence[str]) -> None:
        """Raises UsageError for an address, and for a name too long for a zone of its own; wildcards have one."""
        require_records(names, self.name, self.owner)

    def owner(self, name: str) -> str:
        return sub_zone(name)

    def content(self, challenge: CaChallenge, name: str, key_authorization: Callable[[str], str]) -> str:
        """The TXT value: base64url of the SHA-256 of the key authorization."""
        digest = hashlib.sha256(key_authorization(token_of(challenge, name)).encode()).digest()
        return base64url.encode(digest)

    def is_answer(self, value: str, key_authorization: Callable[[str], str]) -> bool:
        """Judged by its form alone: the token is not journalled."""
        return _DIGEST.fullmatch(value) is not None

    def instruction(self, entry: Challenge) -> str:
        return f'{entry.owner}. 60 IN TXT "{entry.value}"'

    def leaves(self, names: Sequence[str]) -> str:
        zones = ", ".join(dict.fromkeys(map(sub_zone, names)))
        unneeded = "delete them only if nobody enrols these names again and no other certificate needs them"
        return zones and f"in DNS stay {zones} and the NS records: {unneeded}"
