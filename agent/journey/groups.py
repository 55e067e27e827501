"""Due certificates are installed in groups, one install each; the outcome of each certificate is remembered."""

from collections.abc import Iterator, Sequence

from agent.journey.answers import still_refused
from agent.journey.due import Due, concluded
from agent.journey.install import install
from agent.journey.keep import keep
from agent.journey.ports import Tools, Turn
from agent.model.certificate import Service
from agent.model.errors import HostLost
from agent.model.result import Outcome, Result
from agent.rules.groups import groups
from common.errors import CertfleetError, FileError
from common.late_log import LateLog

_log = LateLog()
Found = list[tuple[Turn, Result]]


def install_all(due: Sequence[Due]) -> Iterator[Found]:
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
        for results in _with_halves(group, first.turn.tools):
            if first.goes_alone and not results[0][1].changed:
                suspect |= set(first.turn.certificate.services)
            yield results


def _with_halves(group: Sequence[Due], tools: Tools) -> Iterator[Found]:
    """Install the *group*. Where a service took none of several and ran on, one of them may be at fault alone: half of
    them is tried, and so on with the half at fault, until one is left. Where both halves fail, or the service goes
    down, the rest goes by one in later runs."""
    found = _installed(group, tools)
    suspects = [due for due, (_, result) in zip(group, found, strict=True) if result.ran_on]
    if len(suspects) < 2 or not all(result.ended for _, result in found) or not _is_closed(group, tools):
        yield found
        return
    if others := [(turn, result) for turn, result in found if not result.ran_on]:
        yield others
    left = [(turn, result) for turn, result in found if result.ran_on]
    while len(suspects) > 1:
        middle = len(suspects) // 2
        first, second = suspects[:middle], suspects[middle:]
        tried = _installed(first, tools)
        if _took_some(tried):  # then the others are at fault, as was seen
            yield tried
            suspects, left = second, left[middle:]
            continue
        ran_on = all(result.ran_on for _, result in tried)
        rest = _installed(second, tools) if ran_on and _is_closed(first, tools) else left[middle:]
        if not _took_some(rest):
            yield tried
            left = rest
            break
        yield rest
        suspects, left = first, tried
    yield left


def _took_some(found: Found) -> bool:
    return any(result.changed for _, result in found)


def _is_closed(group: Sequence[Due], tools: Tools) -> bool:
    """Close the journal of an install whose files are all as they were."""
    try:
        tools.state.finish(group[0].name)
    except FileError:
        return False
    return True


def _installed(group: Sequence[Due], tools: Tools) -> Found:
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
    finally:
        tools.files.release()
    # the journal of the install is open: the next run settles it
    return [(due.turn, due.turn.result(Outcome.FAILED, *failure)) for due in group]


def _refused_again(due: Due) -> Result:
    refusal = due.turn.before.refusal
    assert refusal is not None  # noqa: S101 - it goes alone by its refusal
    return still_refused(due.turn, refusal)
