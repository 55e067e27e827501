"""A validation that failed: the CA's own words, and what our servers' logs tell of those who asked for the answers."""

from collections.abc import Sequence

from common.errors import Retry
from issuer.journey.from_root import faults_from_root
from issuer.journey.ports import Tools
from issuer.journey.solver import shares
from issuer.journey.work import Work, authority, journalled
from issuer.model.acme import CaOrder, Challenge, Problem
from issuer.model.asked import Asked
from issuer.model.errors import AcmeProblem
from issuer.rules.asked import advice, sentences
from issuer.rules.challenges import failure, page

VALIDATION_SECONDS = 3600  # that the CA may take


def validation_failed(order: CaOrder, work: Work, tools: Tools) -> AcmeProblem:
    """The error for an *order* with an authorization that did not become valid. Raises AcmeProblem where the CA cannot
    be asked why."""
    ca = authority(work.record, tools)
    authorizations = [ca.authorization(url) for url in order.authorizations]
    failed = [item for item in authorizations if item.status not in ("valid", "pending")]
    urls = {item.url for item in failed or authorizations}
    asked = [entry for entry in journalled(work, tools) if entry.authorization_url in urls]
    hints = [solver.type.from_outside for solver, _ in shares(asked, tools.solvers)]
    seen = _askers(asked, work, tools)
    faults = faults_from_root(work.row, list(dict.fromkeys(item.name for item in failed or authorizations)), tools)
    error = order.error or Problem("", f"the order is {order.status or 'without a status'}")
    words, url = (list(map(failure, failed)), page(failed)) if failed else ([error.detail], error.url)
    why = "; ".join([*words, *(f"{line.subject}: {line.sentence}" for line in faults)])
    told = "; ".join(sentence for found in seen for sentence in sentences(found))
    hint = "; ".join(filter(None, [*map(advice, seen), *(line.hint for line in faults), *hints]))
    what = "the CA could not validate"
    return AcmeProblem(what, why=why, hint=hint, kind="unauthorized", retry=Retry.LATER, url=url, asked=told)


def _askers(entries: Sequence[Challenge], work: Work, tools: Tools) -> list[Asked]:
    """The requests for *entries* since the CA was told to look, by the logs of our own servers."""
    since = min(work.told_at, (work.record.deadline or 0) - VALIDATION_SECONDS) if work.resumed else work.told_at
    looks = [solver.asked(some, since) for solver, some in shares(entries, tools.solvers)]
    return [found for found in looks if found is not None]
