"""Would the clients of this host trust a certificate? A client's own verification says so, before a live file changes.

The roots are those that agent.toml names. Where the system's store does not know the CA, the CA of the certificate in
place vouches for its successor: a host whose store is old goes on, and says so.
"""

from agent.journey.ports import Turn
from agent.model.certificate import Anchors
from agent.model.host_key import HostKey
from agent.rules.remedy import REVOKED
from agent.rules.verify import leaf_faults
from common.certificate import Bundle, pem
from common.dataclasses import dataclass
from common.errors import Finding
from common.late_log import LateLog
from common.revocation.state import Status

_log = LateLog()


@dataclass(frozen=True, slots=True)
class Voucher:
    """The roots that a certificate leads to: *anchors*, "none" where agent.toml asks for none. *is_issuer*: are they
    the CAs of the certificate in place?"""

    anchors: Anchors
    is_issuer: bool = False


def vouch(turn: Turn, bundle: Bundle, key: HostKey, in_place: Bundle | None) -> tuple[Voucher, list[Finding]]:
    """The voucher of *bundle*, and each reason why clients do not take it. *in_place*: the certificate in place, with
    the CAs above it.

    Raises ConfigError for a file of roots that cannot be read.
    """
    roots = turn.certificate.roots
    refused = _objection(turn, bundle, key, roots)
    if roots == "none":
        return Voucher(roots), [Finding("form", refused)] if refused else []
    faults = [Finding("leaf", fault) for fault in leaf_faults(bundle.leaf)]
    if not refused:
        return Voucher(roots), faults
    above = b"".join(map(pem, in_place.chain)) if in_place is not None else b""
    if roots == "system" and above and not _objection(turn, bundle, key, above):
        return Voucher(above, is_issuer=True), faults
    trusted = "the system's roots" if roots == "system" else f"the roots in {roots}"
    return Voucher(roots), [*faults, Finding("trust", f"a client that trusts {trusted} refuses it: {refused}")]


def revoked(turn: Turn, bundle: Bundle) -> list[Finding]:
    """The finding that *bundle* is revoked, if its CA says so. A CA that does not answer stops nothing: the host may
    have no way to it, and a person waits for this certificate."""
    said = turn.tools.revocations.of(bundle, turn.tools.now)
    if said.status is Status.UNKNOWN:
        _log.warning("trust.revocation-unknown", certificate=turn.certificate.name, error=said.sentence)
    return [Finding(REVOKED, f"{said.sentence}, by {said.by}")] if said.status is Status.REVOKED else []


def is_trusted(turn: Turn, in_place: Bundle, key: HostKey, voucher: Voucher) -> bool:
    """Do clients that have the roots of *voucher* take the certificate in place too? One that they do not take is a
    placeholder."""
    if voucher.anchors == "none":
        return True
    return not leaf_faults(in_place.leaf) and not _objection(turn, in_place, key, voucher.anchors)


def _objection(turn: Turn, bundle: Bundle, key: HostKey, anchors: Anchors) -> str:
    fullchain = bundle.leaf_pem + bundle.chain_pem
    return turn.tools.trust.objection(fullchain, key, sorted(turn.certificate.names), anchors)
