"""Compare where the next certificates come from, by the configuration, with where the present ones came from. Pure.

Firewalls and trust stores are prepared before that, or a night's renewal takes services down.
"""

from collections.abc import Iterable, Iterator

from common.certificate import common_names
from common.dataclasses import dataclass, field
from common.text import some
from issuer.model.config import CaSettings
from issuer.model.enrolment import Enrolment
from issuer.model.leaf import Damaged
from issuer.rules.ca_change import lineage

NO_PROFILE = "-"  # as the profile of a certificate that was ordered without one; "" is not known


@dataclass(slots=True)
class Ahead:
    """One difference between the present certificates of *names* and their next ones. *other_ca*: another CA will sign
    them; *waits*: for a person's approval then. *hosts*: "host:port" that become necessary
    then, as far as they are known."""

    what: str
    other_ca: bool = False
    waits: bool = False
    names: list[str] = field(default_factory=list)
    hosts: frozenset[str] = frozenset()

    @property
    def sentence(self) -> str:
        count = "1 certificate" if len(self.names) == 1 else f"{len(self.names)} certificates"
        hosts = f"; these hosts become necessary: {', '.join(sorted(self.hosts))}" if self.hosts else ""
        waits = "; hosts get them after `approve`, or when [renewal] says (hold_for)" if self.waits else ""
        return f"{count} {self.what}: {some(self.names)}{hosts}{waits}"


def look_ahead(rows: Iterable[Enrolment], ca: CaSettings) -> list[Ahead]:
    """Each way in which the next certificates of *rows* will differ by the settings of the first *ca*; its *hosts* are
    those in a certificate of that CA, if one of *rows* has one. Of a name that is not renewed there is nothing to
    tell."""
    found: dict[str, Ahead] = {}
    theirs: frozenset[str] | None = None  # the hosts in a certificate of that CA, where there is one already
    for row in rows:
        if not row.crt or row.imported or not row.enabled:
            continue
        if theirs is None and row.directory == ca.directory and not isinstance(row.bundle, Damaged):
            theirs = lineage(row.bundle).hosts
        for one in _differences(row, ca):
            found.setdefault(one.what, one).names.append(row.name)
    for one in found.values():
        one.hosts = theirs or frozenset() if one.other_ca else one.hosts
    return list(found.values())


def _differences(row: Enrolment, ca: CaSettings) -> Iterator[Ahead]:
    if row.directory and row.directory != ca.directory:
        yield Ahead(f"will come from another CA, {row.directory} → {ca.directory}", other_ca=True)
        return
    wanted = ca.profile or NO_PROFILE
    if row.profile and row.profile != wanted:
        yield Ahead(f"will have another profile, {_profile(row.profile)} → {_profile(wanted)}")
    if ca.preferred_chain and not isinstance(bundle := row.bundle, Damaged):
        last = (bundle.leaf, *bundle.chain)[-1]
        if ca.preferred_chain not in common_names(last):
            yield Ahead(f"will have the chain of {ca.preferred_chain}, if {ca.directory} offers it")


def _profile(name: str) -> str:
    return "the CA's default" if name == NO_PROFILE else name
