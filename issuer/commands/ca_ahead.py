"""Tell from which CA the next certificates will come: in `check`, `run --dry-run` and `reissue`, before it happens."""

import time
from collections.abc import Iterable
from contextlib import closing

from common.check_line import Line
from common.command_line import complain
from common.egress.needs import by_url, merged
from common.errors import CertfleetError
from issuer.ca.client import AcmeCa
from issuer.commands.confirm import confirm
from issuer.model.config import AWAIT_APPROVAL, Settings
from issuer.model.enrolment import Enrolment
from issuer.rules.ca_ahead import Ahead, look_ahead
from issuer.rules.ca_calendar import announced
from issuer.rules.findings import bad, warn

_HINT = "if that is meant, open firewalls for the hosts before (`egress`), and look at CAA and trust stores"


def ahead(settings: Settings, rows: Iterable[Enrolment]) -> list[Ahead]:
    """Each difference between the present certificates of *rows* and their next ones. The CA is asked for its directory
    where another one signed any of them."""
    found = look_ahead(rows, settings.acme)
    for one in found:
        one.waits = one.other_ca and settings.renewal.on_ca_change == AWAIT_APPROVAL
    if any(one.other_ca for one in found):
        hosts = _hosts(settings)
        for one in found:
            one.hosts |= hosts if one.other_ca else frozenset()
    return found


def _hosts(settings: Settings) -> frozenset[str]:
    """ "host:port" of the first CA, also of its further resources where it can be asked."""
    urls = [settings.acme.directory]
    try:
        with closing(AcmeCa(settings, settings.acme, time.time)) as authority:
            urls += authority.endpoints
    except CertfleetError:  # `check` says so
        pass
    return frozenset(f"{one.host}:{one.port}" for one in merged(need for url in urls for need in by_url(url, "")))


def ahead_lines(settings: Settings, rows: Iterable[Enrolment]) -> list[Line]:
    """The findings of `check`: what comes by the configuration, and what CAs have announced."""
    lines = [warn("CA", one.sentence, _HINT) for one in ahead(settings, rows)]
    for one in announced(settings.authorities, time.time()):
        level = bad if one.ends else warn
        lines.append(level(f"CA {one.host}", f"{one.day.isoformat()}: {one.what} ({one.source})", one.hint))
    return lines


def let_confirm(settings: Settings, rows: Iterable[Enrolment], *, yes: bool) -> None:
    """Show what a reissue of *rows* would come from, and raise RefusedError unless a person wants it. The way back from
    a configured fallback to the first CA was wanted when both were configured."""
    fallbacks = {ca.directory for ca in settings.acme.fallback}
    found = [] if yes else ahead(settings, [row for row in rows if row.directory not in fallbacks])
    if not found:
        return
    complain(*(one.sentence for one in found))
    otherwise = f"nothing was changed; {_HINT}"
    confirm("yes", "type yes to reissue: ", yes=False, otherwise=otherwise, what="it was not confirmed")
