"""Due certificates are installed in groups, one install each; the outcome of each certificate is remembered."""

from collections.abc import Iterator, Sequence

from agent.journey.answers import still_refused
from agent.journey.due import Due, concluded
from agent.journey.install import install
from agent.journey.keep import keep
from agent.journey.member import Member
from agent.journey.ports import Tools, Turn
from agent.model.certificate import Service
from agent.model.errors import HostLost
from agent.model.result import Outcome, Result
from agent.rules.groups import groups
from common.dataclasses import dataclass, replace
from common.errors import CertfleetError, FileError
from common.late_log import LateLog

_log = LateLog()
Found = list[tuple[Turn, Result]]

_PATIENCE = 5  # halves that may fail, and two more for each that is taken: three bad ones never use that up


def install_all(due: Sequence[Due]) -> Iterator[Found]:
    """Install everything; for each group what came of each. The turn of its first one has the name of its journal.

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
    """Install the *group*. Where a service took none of several and ran on, some of them may be at fault: both halves
    are tried, and so on with each that fails, the larger ones first, until it is of one. Where too many fail, or the
    service goes down, the rest goes by one in later runs."""
    patience, whole = _PATIENCE, _tried(group, tools)
    yield from whole.final
    failing = [whole.suspects]
    while patience > 0 and len(failing[-1]) > 1:
        suspects = failing.pop()
        middle = len(suspects) // 2
        first, second = suspects[:middle], suspects[middle:]
        trials = [trial := _tried([due for due, _ in first], tools)]
        yield from trial.final
        if trial.took_all or trial.is_over:  # if all were taken, the others are at fault, as was seen
            failing.append(second)
        else:
            trials.append(trial := _tried([due for due, _ in second], tools))
            yield from trial.final
        failing = sorted((one for one in [*failing, *(one.suspects for one in trials)] if one), key=len)
        patience += sum(2 if one.took_some else -1 for one in trials)
        if not failing or trial.is_over:
            break
    left = [one for suspects in failing for _, one in suspects]
    yield from ([one if len(whole.suspects) == 1 else _to_go_alone(*one)] for one in left)


@dataclass(frozen=True, slots=True)
class _Trial:
    """An install that was tried: its *final* results, in groups, and the *suspects*, each with its result: a service
    took none of them, and ran on."""

    final: list[Found]
    suspects: list[tuple[Due, tuple[Turn, Result]]]

    @property
    def took_some(self) -> bool:
        return any(result.changed for found in self.final for _, result in found)

    @property
    def took_all(self) -> bool:
        return not self.suspects and all(result.changed for found in self.final for _, result in found)

    @property
    def is_over(self) -> bool:
        """Is no more to be tried? A service went down, or an install has not ended."""
        return not self.suspects and not self.took_some


def _tried(group: Sequence[Due], tools: Tools) -> _Trial:
    found = _installed(group, tools)
    suspects = [(due, one) for due, one in zip(group, found, strict=True) if one[1].ran_on]
    if not suspects or not all(result.ended for _, result in found) or not _is_closed(group, tools):
        return _Trial([found], [])
    final = [one for one in found if not one[1].ran_on]
    return _Trial([final] if final else [], suspects)


def _to_go_alone(turn: Turn, result: Result) -> tuple[Turn, Result]:
    refusal = result.refusal
    return turn, replace(result, refusal=refusal and replace(refusal, alone=True))


def _is_closed(group: Sequence[Due], tools: Tools) -> bool:
    """Close the journal of an install whose files are all as they were."""
    try:
        tools.state.finish(group[0].turn.journal)
    except FileError:
        return False
    return True


def _installed(group: Sequence[Due], tools: Tools) -> Found:
    try:
        found = [(due, _concluded(due, result, member)) for due, result, member in install(group, tools)]
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


def _concluded(due: Due, result: Result, member: Member | None) -> Result:
    planned, committed = (member.planned, member.committed) if member is not None else ({}, True)
    return concluded(due, result, planned, committed=committed)


def _refused_again(due: Due) -> Result:
    refusal = due.turn.before.refusal
    assert refusal is not None  # noqa: S101 - it goes alone by its refusal
    return still_refused(due.turn, refusal)
