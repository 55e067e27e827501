"""The addresses of a host name, by the recursive resolvers and not by /etc/hosts."""

from collections.abc import Sequence

from issuer.dns.asking import NoAnswer
from issuer.dns.find.resolvers import Resolvers
from issuer.dns.servers import rrset_in, targets


class Unresolved(Exception):
    """No resolver gives an answer about the name; the text says how."""


class Addresses:
    """Thread-safe; asks anew each time."""

    def __init__(self, resolvers: Sequence[str]):
        self._resolvers = Resolvers(resolvers)

    def of(self, name: str) -> list[str]:
        """Every A and AAAA address, aliases followed; [] when it has none. Raises Unresolved."""
        found: list[str] = []
        for kind in ("A", "AAAA"):
            try:
                answer = self._resolvers.ask(name, kind)
            except NoAnswer as error:
                raise Unresolved(f"its {kind} record cannot be looked up ({error})") from error
            found += targets(rrset_in(answer.answer, kind))
        return found
