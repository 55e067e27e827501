"""Requires that a row is what an operator enrolled, before anything is ordered by it."""

from issuer.journey.ports import Seals, Tools
from issuer.model.enrolment import Enrolment
from issuer.model.errors import NotSealed, Overtaken
from issuer.rules.change import newest


def require_seal(row: Enrolment, seals: Seals) -> None:
    """Raise NotSealed unless *row* is what an operator enrolled: who writes the database chooses no key and no name."""
    faults = seals.faults(row)
    if faults:
        raise NotSealed(row.name, faults)


def require_seal_now(row: Enrolment, tools: Tools) -> None:
    """The same for a *row* that was read some time ago: raises Overtaken where it was sealed anew since."""
    try:
        require_seal(row, tools.seals)
    except NotSealed:
        there = [seen.seal for found in tools.certificates.enrolled([row.name]) for seen in (found, newest(found))]
        if row.seal not in there:
            raise Overtaken(row.name) from None
        raise
