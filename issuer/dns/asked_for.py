"""The questions about our records in the query logs of our name servers."""

from collections.abc import Mapping, Sequence

from issuer.logs.ends import ends_of
from issuer.model.asked import Asked
from issuer.rules.asked import asked_for
from issuer.rules.request_lines import dns_request


def asked_in(logs: Sequence[str], wanted: Mapping[str, Sequence[str]], since: float) -> Asked | None:
    """The questions since that moment (epoch seconds) about *wanted*: by the name that is validated, the names of the
    records. None without *logs*."""
    if not logs:
        return None
    names = {name: list(dict.fromkeys(owner.lower() for owner in owners)) for name, owners in wanted.items()}
    return asked_for("name server", names, ends_of(logs, since), since, dns_request)
