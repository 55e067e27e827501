"""The remedies for a certificate that must not be installed. Pure."""

from collections.abc import Collection
from shlex import quote

from agent.rules.standing import ROOTS_HINT
from agent.rules.statement import NO_COLUMN, OTHER_KEY, OTHER_KEY_HINT, STATEMENT
from common.clock import utc_text
from common.errors import Finding

REVOKED = "revocation"  # the path of a finding
_REISSUE = "`certfleet-issuer reissue {name}` makes a new one; it is taken when it comes"
_REMEDIES = {
    "key": (
        "put its key in place; or make a CSR here with `certfleet-agent request {name}`, then on the issuer "
        "`certfleet-issuer populate --replace {name} --csr FILE`"
    ),
    "names": (  # another certificate for the same CSR would have the same names
        "say in `names` of agent.toml what it has to cover, as for a label; or on the issuer "
        "`certfleet-issuer populate --append {name} --csr FILE` with a CSR that has the names"
    ),
    STATEMENT: "on the issuer `check {name}` says what is wrong, and `key sign {name}` signs it if it is meant",
    OTHER_KEY: f"{OTHER_KEY_HINT}; else on the issuer `check {{name}}` says what is wrong",
    REVOKED: "on the issuer `reissue {name}` makes a new one, and `rollback {name} --serial SERIAL` names another one",
    "trust": f"{ROOTS_HINT}; {_REISSUE}",
    "dates": f"if it is {{now}}, as this host's clock says, {_REISSUE}",
    "age": "if the older one is meant, say so with `certfleet-issuer rollback {name}`",
}
"""By the path of a finding. The faults that every other certificate would have too come first."""


def remedy(name: str, findings: Collection[Finding], now: float) -> str:
    """The hint for a certificate *name* of which these are all *findings* at *now* (epoch seconds)."""
    kinds = {finding.path for finding in findings}
    kind = next((kind for kind in _REMEDIES if kind in kinds), "")
    if kind == STATEMENT and any(finding.problem == NO_COLUMN for finding in findings):
        return "run `certfleet-issuer db upgrade` on the issuer"
    return _REMEDIES.get(kind, _REISSUE).format(name=quote(name), now=utc_text(now))
