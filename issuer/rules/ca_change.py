"""Does a new certificate come from another CA than the one before, and what follows for firewalls and clients? Pure.

Let's Encrypt signs with one of several intermediates, chosen at random. So another intermediate is news only if no
certificate of this database came from it before, whichever name it was for.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from common.certificate import Bundle, issuer_text
from common.certificate_urls import urls
from common.egress.needs import by_url, merged
from issuer.model.events import Event, EventKind, ca_changed
from issuer.model.failure import Failure
from issuer.model.leaf import Damaged, key_type

_HINT = "let the hosts above through firewalls, of servers that staple and of clients that verify; "
_HINT += "look whether all clients trust the root"


@dataclass(frozen=True, slots=True)
class Lineage:
    """The CA behind a certificate. *issuer* and *root* are names for people; *root* is the issuer of the last
    certificate of the chain. *hosts*: "host:port" of each URL in leaf and chain (OCSP, CRL, issuers)."""

    issuer: str
    root: str
    key_type: str
    hosts: frozenset[str]


def lineage(bundle: Bundle) -> Lineage:
    """The lineage of a certificate with its chain."""
    certificates = (bundle.leaf, *bundle.chain)
    needs = [need for one in certificates for _, url in urls(one) for need in by_url(url, "")]
    hosts = frozenset(f"{passage.host}:{passage.port}" for passage in merged(needs))
    return Lineage(issuer_text(bundle.leaf), issuer_text(certificates[-1]), key_type(bundle.leaf.public_key()), hosts)


def is_other_issuer(before: Bundle | Damaged, after: Bundle) -> bool:
    """Is the intermediate another one? Then it matters whether it is known from other certificates."""
    return isinstance(before, Bundle) and issuer_text(before.leaf) != issuer_text(after.leaf)


def differences(before: Lineage, after: Lineage) -> list[str]:
    """A phrase for each, old → new."""
    found = [
        f"{what} {old} → {new}"
        for what, old, new in (
            ("issuer", before.issuer, after.issuer),
            ("root", before.root, after.root),
            ("type of key", before.key_type, after.key_type),
        )
        if old != new
    ]
    added, gone = sorted(after.hosts - before.hosts), sorted(before.hosts - after.hosts)
    if added:
        found.append(f"hosts that servers and clients must now reach: {', '.join(added)}")
    if gone:
        found.append(f"no longer: {', '.join(gone)}")
    return found


def change_of_ca(
    name: str,
    before: Bundle | Damaged,
    after: Bundle,
    *,
    directories: tuple[str, str],
    configured: Sequence[str],
    known: Bundle | None = None,
) -> Event | None:
    """The event that a certificate is the first one from another CA, intermediate or root, for another type of key, or
    with other hosts in it; None without news. *directories*: of the CA before ("" for unknown) and of this one;
    *configured*: in the order in which they are tried. *known*: the last certificate of any name from the same issuer,
    where that is another one than before."""
    moved = ca_changed(name, *directories, configured)
    if isinstance(before, Damaged):
        return moved
    old, new = lineage(before), lineage(after)
    if known is not None and moved is None:
        like = lineage(known)
        old = dataclasses.replace(old, issuer=like.issuer, hosts=like.hosts, root=like.root)
    different = differences(old, new)
    if not different:
        return moved
    why = "; ".join(different)
    if moved is not None:
        return dataclasses.replace(moved, told=dataclasses.replace(moved.told, why=why))
    what = "its certificate is the first one of this kind"
    return Event(EventKind.CA_CHANGED, name, Failure(what, why=why, hint=_HINT))
