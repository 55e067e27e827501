"""The findings of `check` about a certificate that is validated by dns-01."""

from collections.abc import Hashable, Sequence
from functools import partial
from itertools import filterfalse

from common.check_line import Line
from common.errors import CertfleetError
from common.names import is_address
from issuer.dns.asking import NoAnswer
from issuer.dns.dynamic import DynamicZones
from issuer.dns.find.resolvers import Resolvers
from issuer.dns.find.wildcard import wildcard_caution
from issuer.dns.probe.zone_probe import probe
from issuer.rules.findings import Findings, Probe, bad, warn


def examine(zones: DynamicZones, names: Sequence[str]) -> Findings:
    """A finding for each name that a wildcard answers for, and for each without a zone for its challenge. The zones of
    the others become probes. Never raises CertfleetError."""
    lines = []
    probes: dict[Hashable, Probe] = {}
    bare = list(dict.fromkeys(name.removeprefix("*.") for name in names))
    for name in filterfalse(is_address, bare):
        lines += _wildcard_lines(zones.resolvers, name)
    for name in bare:
        try:
            place = zones.locate(name)
            probes[place] = partial(probe, zones, place)
        except CertfleetError as error:
            lines.append(bad(name, str(error), error.hint))
    return Findings(lines, probes)


def _wildcard_lines(resolvers: Resolvers, name: str) -> list[Line]:
    """Does a wildcard answer for *name*, until its sub-zone is created?"""
    try:
        caution = wildcard_caution(resolvers, name)
    except NoAnswer as error:
        hint = "set resolvers in [dns]; a name that a wildcard answers for needs records of its own (docs/dns.md)"
        return [warn(name, f"cannot look up whether a DNS wildcard answers for it: {error}", hint)]
    return [warn(name, caution.sentence, caution.hint)] if caution is not None else []
