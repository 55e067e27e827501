"""The way from the DNS root to the names of a certificate, as a CA's resolver goes it."""

from collections.abc import Sequence

import structlog

from common.check_line import Level, Line
from issuer.journey.ports import Tools
from issuer.journey.solver import looked_up
from issuer.model.enrolment import Enrolment
from issuer.model.errors import DnsError

log = structlog.get_logger()


def require_served(row: Enrolment, names: Sequence[str], tools: Tools) -> None:
    """Raises DnsError for a zone above *names*, some of those of *row*, that no server serves. Other faults are
    logged: a CA may get round them."""
    faults = faults_from_root(row, names, tools)
    for line in faults:
        log.info("dns.fault", certificate=row.name, subject=line.subject, why=line.sentence)
    fatal = [line for line in faults if line.level is Level.BAD]
    if fatal:
        why = "; ".join(f"{line.subject}: {line.sentence}" for line in fatal)
        raise DnsError("a CA would find nothing", why=why, hint=fatal[-1].hint, reference="dns-not-served")


def faults_from_root(row: Enrolment, names: Sequence[str], tools: Tools) -> Sequence[Line]:
    """The faults on the way to *names*, and to the records by which they are validated."""
    wanted = (each for name in names for each in looked_up(tools.solver(row, name).type, name))
    return tools.faults_from_root(list(dict.fromkeys(wanted)))
