"""Due certificates are installed in groups, one install each; the outcome of each certificate is remembered."""

from collections.abc import Iterator, Sequence

from agent.journey.due import Due, concluded
from agent.journey.install import install
from agent.journey.keep import keep
from agent.journey.ports import Tools, Turn
from agent.journey.update import still_refused
from agent.model.certificate import Service
from agent.model.errors import HostLost
from agent.model.result import Outcome, Result
from agent.rules.groups import groups
from common.errors import CertfleetError
from common.late_log import LateLog

_log = LateLog()


def install_all(due: Sequence[Due]) -> Iterator[list[tuple[Turn, Result]]]:
    """Install everything; for each group what came of each. The journal of the install has the name of its first one.

    Of those that go alone after a service went down with them, the first that fails again ends the trials with this
    service in this run: it must not go down for each of them.
    """
    suspect: set[Service] = set()
    ordered = sorted(due, key=lambda one: one.attempts)
    for group in groups(ordered, lambda one: one.turn.certificate, lambda one: one.goes_alone):
        first = group[0]
        if first.goes_alone and not suspect.isdisjoint(first.turn.certificate.services):
            yield [(first.turn, _refused_again(first))]
            continue
        results = _installed(group, first.turn.tools)
        first.turn.tools.files.release()
        if first.goes_alone and not results[0][1].changed:
            suspect |= set(first.turn.certificate.services)
        yield results


def _installed(group: Sequence[Due], tools: Tools) -> list[tuple[Turn, Result]]:
    try:
        found = [
            (due, concluded(due, result, member.planned if member is not None else {}))
            for due, result, member in install(group, tools)
        ]
        in_place = [due for due, result in found if result.outcome not in {Outcome.FAILED, Outcome.BROKEN}]
        keep([(due.name, due.bundle) for due in in_place], tools)
        return [(due.turn, result) for due, result in found]
    except HostLost as error:  # at the very end: the new files are in place
        return [(due.turn, due.turn.result(Outcome.UNREACHABLE, str(error), error.hint)) for due in group]
    except CertfleetError as error:
        failure = (str(error), error.hint)
    except Exception as error:  # noqa: BLE001 - the loop's border: a fault of ours must not stop the other groups
        _log.info("run.fault", certificate=group[0].name, exc_info=True)
        what = f"a fault in certfleet itself: {type(error).__name__}: {error}"
        failure = (what, "run again with -v and report what it prints")
    # the journal of the install is open: the next run settles it
    return [(due.turn, due.turn.result(Outcome.FAILED, *failure)) for due in group]


def _refused_again(due: Due) -> Result:
    refusal = due.turn.before.refusal
    assert refusal is not None  # noqa: S101 - it goes alone by its refusal
    return still_refused(due.turn, refusal)
