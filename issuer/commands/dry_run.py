"""--dry-run of run, issue and reissue: what they would do, and why. Writes nothing, anywhere; needs no lock."""

import dataclasses
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from common.clock import utc_text
from common.command_line import complain, report, say
from common.text import some
from common.threads import each_on_thread
from issuer.ca.client import AcmeCa
from issuer.commands.wiring import build_tools_over
from issuer.journey.pacing import Pacing
from issuer.journey.rehearsal import (
    Rehearsed,
    RehearsedCertificates,
    RehearsedCounts,
    RehearsedOrders,
    Verdict,
    rehearse,
)
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment
from issuer.rules.change import failed_as
from issuer.rules.due import urgency
from issuer.rules.shared_failures import by_failure, concerned
from issuer.store.certificates import Certificates
from issuer.store.counts import Counts
from issuer.store.database import Database
from issuer.store.orders import Orders
from issuer.store.overview import Overview
from issuer.trust.seals import Seals

_NOT_TRIED = "whether the answers can be published there, and seen from outside, was not tried: `check` tries it"


class _Onlooker(AcmeCa):
    """A CA at which our account is looked up, and never registered."""

    def account_url(self) -> str:
        return self.find_account()


def rehearsal(
    settings: Settings, database: Database, rows: Sequence[Enrolment], *, wish: str = "", retry: bool = False
) -> list[Rehearsed]:
    """The rehearsals of *rows*, the most urgent first. *wish*: the reason for which a person wants them now;
    *retry*: those that failed count as due. Raises CertfleetError."""
    now, names = int(time.time()), [row.name for row in rows]
    left = Orders(database, "", Seals(settings.state_dir)).under_way(now)
    orders = RehearsedOrders(left, Overview(database).leased(now))
    certificates = RehearsedCertificates(Certificates(database))
    if wish:
        orders.take_from_hand(names)
        certificates.request_reissue(names, wish)
    if retry:
        certificates.retry_now([row.name for row in rows if failed_as(row)])
    counts = RehearsedCounts(Counts(database), orders)
    tools = dataclasses.replace(
        build_tools_over(settings, database, _Onlooker),
        certificates=certificates,
        orders=orders,
        pacing={ca.directory: Pacing(ca.directory, ca.limits, counts) for ca in settings.authorities},
    )
    wanted = sorted(certificates.enrolled(names), key=lambda row: (*urgency(row, now), row.name))
    return [out.result() for out in each_on_thread(partial(rehearse, tools=tools), wanted, settings.acme.workers)]


def show(found: Sequence[Rehearsed], *, as_json: bool, staging: str = "", ahead: Sequence[str] = ()) -> int:
    """Print what was *found*; the exit code is 1 if anything would fail or be held. *staging*: the directory where it
    was ordered. *ahead*: sentences on how the next certificates differ from the present ones."""
    untried = _NOT_TRIED if any(one.verdict is Verdict.ORDERED for one in found) else None
    if as_json:
        documents = [_document(one) for one in found]
        facts = {"dry_run": True, "staging": staging or None, "not_tried": untried, "ahead": [*ahead]}
        report({"certificates": documents, **facts})
    else:
        for one in found:
            say(_line(one))
        for paragraph in _complaints(found):
            complain(*paragraph)
        counts = [(verdict, sum(one.verdict is verdict for one in found)) for verdict in Verdict]
        counted = ", ".join(f"{count} {verdict.value}" for verdict, count in counts if count)
        begin = "dry run, nothing was done"
        if staging:
            there = any(one.directory == staging for one in found)
            begin = f"ordered at {staging}, nothing is stored" if there else f"nothing was ordered at {staging}"
        say(f"{begin}: {counted or 'nothing is due'}", *ahead)
        if untried:
            say(untried)
    return 0 if all(one.well for one in found) else 1


def _line(one: Rehearsed) -> str:
    words = f"{one.name}: {one.verdict.value}"
    if one.places:
        words += f" at {one.directory} by {one.way} in {some(one.places)}: {one.why}"
    elif one.verdict is Verdict.HELD:
        words += f" until {utc_text(one.until)}: {one.failure}"
    elif one.why:
        words += f" ({one.why})"
    return words


def _complaints(found: Sequence[Rehearsed]) -> list[list[str]]:
    failing = [(one.name, one.failure) for one in found if one.verdict is Verdict.FAILED and one.failure]
    return [
        common.failure.paragraph(f"{concerned([name for name, _ in common.all])}: would fail: ")
        for common in by_failure(failing, lambda told: told)
    ]


def _document(one: Rehearsed) -> dict[str, Any]:
    return {
        "name": one.name,
        "ending": one.verdict.value,
        "detail": one.failure.sentence if one.failure else one.why,
        "next": utc_text(one.until) if one.until else None,
        "failure": one.failure.fields if one.failure else None,
        "directory": one.directory or None,
        "validated_by": one.way or None,
        "places": list(one.places),
    }
