"""A service's own check, on all that is new together; where it fails, the certificates at fault are found and left out.

Between two tries files go back and come again. The service is not told meanwhile: it reads its files at a reload.
All are checked at first. Then it takes one check more for each bad certificate that the check names, and at most
⌈log2 n⌉ + 1 for one of n that it does not name: halving finds that one, and the rest is checked again. No method finds
one of n by fewer: a check that fails says nothing of those that were left out of it, so that the last has to pass.
Where the first of several bad ones fails alone, one more looks whether the check fails without any of them too.
"""

from collections.abc import Collection, Sequence

from agent.journey.member import Life, Member, is_to_start, life
from agent.journey.old_files import old_files
from agent.journey.ports import Tools
from agent.model.certificate import Service
from agent.model.errors import Awaits, BrokenBefore, InstallError
from agent.rules.blame import first_failing, is_named, suspects_last
from common.late_log import LateLog

_log = LateLog()


def leave_out(service: Service, users: Sequence[Member], tools: Tools) -> dict[str, InstallError]:
    """The *users* at fault by their names, each with what the check of the *service* said; their old files are back.

    A service that does not run blames nobody whom another service takes now. Nor does it blame anybody if its check
    failed before too: it may miss more than these certificates, as two that are new on one host miss each other.
    Where the check of one that runs fails without any of them, each has BrokenBefore, or Awaits if the check misses the
    first files of others. Raises FileError.
    """
    trial = _Trial(service, users, tools)
    left = _at_fault(service, users, trial, tools)
    if left and _stays_down(service, users, tools):
        for user in [user for user in users if user.name in left and _is_wanted_now(user, tools)]:
            _go_in(service, [user], left.pop(user.name))
        trial.put([user for user in users if user.name not in left])
    return left


def _at_fault(service: Service, users: Sequence[Member], trial: "_Trial", tools: Tools) -> dict[str, InstallError]:
    """The same, without a look at other services."""
    left: dict[str, InstallError] = {}
    remaining = list(users)
    passing: set[str] = set()  # the names of users that pass together, as any part of them does
    while remaining and (complaint := trial.complaint(remaining)) is not None:
        ordered, first = suspects_last(remaining, lambda one: one.texts, str(complaint))
        if first == len(ordered) - 1 > 0 and _went_with(ordered[-1], trial.complaint(ordered[:-1])):
            left[ordered[-1].name] = complaint
            remaining.remove(ordered[-1])
            continue
        bad = first_failing(
            len(ordered),
            lambda count: trial.complaint(ordered[:count]) is None,  # noqa: B023 - called at once
            first,
            _leading(ordered, passing),
        )
        fails_alone = bad == 1 and not passing and trial.complaint(ordered[1:]) is not None
        if fails_alone and (without := trial.complaint([])) is not None:
            if life(service, users, tools) is Life.STOPPED:
                _go_in(service, remaining, complaint)
                trial.put(remaining)
                return left
            return left | _broken(remaining, str(complaint), str(without), tools)
        passing, culprit = {one.name for one in ordered[: bad - 1]}, ordered[bad - 1]
        left[culprit.name] = trial.complaint(ordered[:bad]) or complaint
        remaining.remove(culprit)
    trial.put(remaining)
    return left


def _stays_down(service: Service, users: Sequence[Member], tools: Tools) -> bool:
    """Does it not run, and is it not started by this install either? Then its next start reads the files."""
    is_started = is_to_start(service, [user.turn for user in users])
    return not is_started and life(service, users, tools) is Life.STOPPED


def _is_wanted_now(user: Member, tools: Tools) -> bool:
    """Does a service of it run, or is it started? That one gets its files, whatever one says that stays down."""
    return any(one.is_told and not _stays_down(one, [user], tools) for one in user.certificate.services)


def _go_in(service: Service, users: Sequence[Member], complaint: InstallError) -> None:
    """They get their new files all the same, and what the check of the stopped service says is told with them."""
    _log.warning("install.check-fails-while-down", service=service.name, error=str(complaint))
    for user in users:
        user.refused_by = (*user.refused_by, f"{service.label} does not run, and its check fails: {complaint}")


class _Trial:
    """The files of the users, new or old, and what the check says of each choice; none is checked twice."""

    def __init__(self, service: Service, users: Sequence[Member], tools: Tools) -> None:
        self._service, self._users, self._tools = service, users, tools
        self._new = {user.name for user in users}
        self._said: dict[frozenset[str], InstallError | None] = {}

    def complaint(self, chosen: Sequence[Member]) -> InstallError | None:
        """The complaint of the check where only the *chosen* ones have their new files; None if it passes.

        Raises FileError.
        """
        names = frozenset(user.name for user in chosen)
        if names not in self._said:
            self.put(chosen)
            self._said[names] = self._check()
        return self._said[names]

    def put(self, chosen: Sequence[Member]) -> None:
        """Give just the *chosen* ones their new files. Raises FileError."""
        wanted = {user.name for user in chosen}
        coming = [user.planned for user in self._users if user.name in wanted - self._new]
        going = [old_files(user.saved, self._tools) for user in self._users if user.name in self._new - wanted]
        self._tools.files.replace({file: one.new for planned in coming for file, one in planned.items()})
        self._tools.files.restore({file: old for saved in going for file, old in saved.items()})
        self._new = wanted

    def _check(self) -> InstallError | None:
        try:
            self._tools.programs.run("check", self._service.check)
        except InstallError as error:
            return error
        return None


def _leading(ordered: Sequence[Member], passing: Collection[str]) -> int:
    """How many at the head of *ordered* are among the *passing*."""
    return next((place for place, one in enumerate(ordered) if one.name not in passing), len(ordered))


def _went_with(suspect: Member, complaint: InstallError | None) -> bool:
    """Was the suspect at fault, by what the check says without its new files? Not if that names it still."""
    return complaint is None or not any(is_named(text, str(complaint)) for text in suspect.texts)


def _broken(users: Sequence[Member], complaint: str, without: str, tools: Tools) -> dict[str, InstallError]:
    """Why each stays out of a service whose check fails with all of the *users*, by its *complaint*, and *without* any
    of them. A first certificate that is missed without, and named with it, is refused here; others wait for it."""
    awaited = _awaited(users, complaint, tools)
    said = complaint if awaited or len(users) > 1 else f"{complaint} {without}"
    named = [user.name for user in users if user.is_first and any(is_named(path, said) for path in user.paths)]
    refused: InstallError
    if named:
        what = f"waits for the first certificate of {', '.join(named)}, which the service's check refuses"
        refused = BrokenBefore(what, why=complaint)
    elif awaited:
        refused = Awaits(awaited, why=complaint)
    else:
        is_same = _words(complaint) == _words(without)
        both = complaint if is_same else f"{complaint}; without the new files: {without}"
        refused = BrokenBefore("the service's configuration was broken before", why=both)
    own = "the service's check fails with its first certificate, and misses that without"
    return {user.name: BrokenBefore(own, why=complaint) if user.name in named else refused for user in users}


def _words(said: str) -> list[str]:
    """The words of a complaint without dates and process ids, which differ each time."""
    return [word for word in said.split() if any(map(str.isalpha, word))]


def _awaited(users: Sequence[Member], complaint: str, tools: Tools) -> list[str]:
    """The other certificates of this machine of which the complaint names a file that is not there yet."""
    host, present = users[0].certificate.host, {user.name for user in users}
    others = (one for one in tools.certificates if one.host == host and one.name not in present)
    return [
        other.name
        for other in others
        if any(is_named(str(file.path), complaint) and tools.files.read(file.path) is None for file in other.files)
    ]
