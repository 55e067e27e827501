"""One run over the certificates of this host: settle what was interrupted, find what is due, and install that, group by
group; one certificate never stops another.

An unchanged run writes nothing but the lock and its date: a record is saved and a report sent only when something is
different.
Once a day it confirms all reports with one statement, so that the issuer's side can tell a quiet host from a dead one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.journey.on_record import on_record, recorded, reported
from agent.journey.pause import as_it_stands, in_its_window, while_away, without_source
from agent.journey.ports import Tools, Turn
from agent.journey.put_right import close_key
from agent.journey.update import update
from agent.journey.watch import with_first_looks
from agent.model.certificate import Certificate, Service
from agent.model.errors import HostLost, SourceError, Stopped
from agent.model.offer import Mark
from agent.model.remote_host import RemoteHost
from agent.model.result import Outcome, Result, with_notes_told
from agent.rules.standing import standing
from common.dataclasses import replace
from common.errors import CertfleetError, FileError
from common.late_log import LateLog

if TYPE_CHECKING:
    from agent.journey.due import Due
    from agent.journey.taken_down import Efforts
    from agent.rules.journal import JournalEntry

_log = LateLog()
_CONFIRM_AFTER = 20 * 3600  # seconds: a daily run may come four hours early


def run(selected: Sequence[Certificate], tools: Tools) -> Iterator[Result]:
    """Settle every install that was interrupted, then bring the *selected* certificates up to date. Yields the result
    of each; a result that differs by the end of the run comes again, and the later one counts.

    Raises FileError if a journal cannot be read: that needs a person. Raises Stopped on a request to stop.
    """
    selected, broken = tools.reach(selected), settle_all(tools)
    yield from broken
    by_name = {certificate.name: certificate for certificate in tools.certificates}
    results = {result.name: result for result in broken}
    todo = [certificate for certificate in selected if certificate.name not in results]
    named = [(by_name[result.name], result) for result in broken if result.name in by_name]
    for found in _up_to_date(todo, named, tools):
        results[found.name] = found
        yield found
    if results.keys() >= by_name.keys():
        _confirm(list(results.values()), tools)


def _up_to_date(
    todo: Sequence[Certificate], settled: Sequence[tuple[Certificate, Result]], tools: Tools
) -> Iterator[Result]:
    """Take up all of *todo*, and install what is due. The result of a certificate whose service an install may break
    comes when all installs are done. A result that has come before and differs now comes again. *settled*: the results
    of installs that were interrupted."""
    answer, before = asked(todo, tools), _broken(settled).keys()
    begins, efforts = _started_again([begun(one, answer, tools) for one in todo])
    due: list[Due] = []
    seen: list[tuple[Turn, Result]] = []
    installed: list[tuple[Turn, Result]] = []
    for turn, found in _each_taken_up(begins, answer):
        if not isinstance(found, Result):
            due.append(found)
        elif turn and (found.outcome.is_well or found.took_down or not before.isdisjoint(turn.certificate.services)):
            seen.append((turn, found))
        else:
            yield found
    try:
        for turn, result in _installed(due, tools):
            installed.append((replace(turn, before=result), result))
            yield result
    except Stopped:
        yield from (result for _, result in seen)
        raise
    broken = _broken([*settled, *((turn.certificate, result) for turn, result in installed)])
    told = {result.name: result for _, result in installed}
    for result in _looked_at_again([*seen, *installed], broken, efforts, after_installs=bool(due)):
        if told.get(result.name) != result:
            yield result


def _each_taken_up(
    begins: Sequence[Turn | Result], answer: Mapping[str, Mark] | SourceError
) -> "Iterator[tuple[Turn | None, Due | Result]]":
    """Each turn with what comes of it. While the source is away, a report of the first result is tried: where that is
    in vain, no other is."""
    is_silent = False
    for begin in with_first_looks(begins):
        if isinstance(begin, Result):
            yield None, begin
            continue
        found = taken_up(begin, answer, tell=not is_silent)
        begin.tools.files.release()
        is_silent = is_silent or (isinstance(answer, SourceError) and isinstance(found, Result) and found.unsent > 0)
        yield replace(begin, before=found) if isinstance(found, Result) and not found.took_down else begin, found


def _started_again(begins: Sequence[Turn | Result]) -> "tuple[Sequence[Turn | Result], Efforts]":
    """Start the services that an earlier install took down. Returns the turns after that, and what was done for these
    services."""
    if not any(isinstance(one, Turn) and one.before.took_down for one in begins):
        return begins, {}
    from agent.journey.taken_down import start_again, with_efforts  # noqa: PLC0415 - as rare as a broken install

    efforts = start_again([one for one in begins if isinstance(one, Turn)])
    return with_efforts(begins, efforts), efforts


def _looked_at_again(
    seen: Sequence[tuple[Turn, Result]], broken: Mapping[Service, bool], efforts: "Efforts", *, after_installs: bool
) -> list[Result]:
    """The results at the end of the run: a service that an install left broken may serve other certificates too."""
    if not broken and not any(result.took_down for _, result in seen):
        return [result for _, result in seen]
    from agent.journey.taken_down import look_again  # noqa: PLC0415 - as rare as a broken install

    return look_again(seen, broken, efforts, after_installs=after_installs)


def _broken(installed: Iterable[tuple[Certificate, Result]]) -> dict[Service, bool]:
    """The services of these installs whose result is BROKEN; true for a service that the install took down."""
    found: dict[Service, bool] = {}
    for certificate, result in installed:
        for service in certificate.services if result.outcome is Outcome.BROKEN else ():
            found[service] = found.get(service, False) or service.name in result.took_down
    return found


def settle_all(tools: Tools) -> list[Result]:
    """Settle every install that was interrupted. Returns the results of those that could not be brought back. Raises
    FileError."""
    entries = tools.state.journals()
    parts = {part.name for entry in entries for part in entry.parts}
    reached = tools.reach([certificate for certificate in tools.certificates if certificate.name in parts])
    by_name = {certificate.name: certificate for certificate in reached}
    broken = [result for entry in entries for result in _settled(by_name, entry, tools)]
    tools.state.sweep()
    return broken


def asked(certificates: Sequence[Certificate], tools: Tools) -> Mapping[str, Mark] | SourceError:
    """The marks of *certificates*, or why the source cannot be asked. One question for all: it costs one timeout at
    most."""
    try:
        return tools.source.marks([certificate.name for certificate in certificates])
    except SourceError as error:
        return error


def _settled(configured: Mapping[str, Certificate], entry: "JournalEntry", tools: Tools) -> list[Result]:
    """Bring interrupted installs back, and return those that failed; other certificates have their turn as usual."""
    from agent.journey.roll_back import note_roll_back, settle  # noqa: PLC0415 - an interrupted install is rare
    from agent.journey.stands import with_what_stands  # noqa: PLC0415 - as above

    # where agent.toml no longer names the certificate, its files are all that there is to mend
    certificates = [configured.get(part.name) or Certificate(part.name, frozenset(), Path()) for part in entry.parts]
    there = tools.on(_host_of(entry, certificates))
    turns = {one.name: Turn(one, tools.state.record(one.name), there) for one in certificates}
    with tools.unbroken():
        results = settle(entry, turns, there)
        results |= {part.name: with_what_stands(turns[part.name], part, results[part.name]) for part in entry.parts}
    there.files.release()
    broken = []
    for name, result in results.items():
        if result.outcome is Outcome.BROKEN:
            broken.append(recorded(turns[name], result))
        else:  # its own turn tells how it stands
            _log.warning("install.settled", certificate=name, outcome=result.outcome.value, detail=result.detail)
            if result.installed != turns[name].before.installed:
                results[name] = replace(result, ended=result.ended and recorded(turns[name], result, tell=False).ended)
    left = [name for name, result in results.items() if not result.ended]
    if not left:
        tools.state.finish(entry.name)
    elif len(left) < len(results):  # the others have their turn now, and no later settling is about them
        note_roll_back(entry.of(left), tools)
    return broken


def _host_of(entry: "JournalEntry", certificates: Sequence[Certificate]) -> RemoteHost | None:
    """The host that has the files of an install: by the journal, with the login that agent.toml has for it now."""
    hosts = [one.host for one in certificates if one.host is not None]
    return next((one for one in hosts if entry.host is not None and one.address == entry.host.address), entry.host)


def begun(certificate: Certificate, answer: Mapping[str, Mark] | SourceError, tools: Tools) -> Turn | Result:
    """The turn of a certificate; its result where its record cannot be read. *answer*: as from `asked`."""
    name = certificate.name
    try:
        before, pause = tools.state.record(name), tools.state.pause(name)
    except FileError as error:  # a record that cannot be read must not be overwritten either
        return Result(name, Outcome.FAILED, str(error), error.hint, unsent=int(tools.now))
    mark = answer.get(name) if not isinstance(answer, SourceError) else None
    pause = pause if pause is not None and pause.lasts(tools.now) else None
    disabled = mark.disabled if mark is not None else before.disabled
    staged = before.staged
    superseded = staged is not None and not isinstance(answer, SourceError) and mark != staged.mark
    there, journal = tools.on(certificate.host), tools.state.free_journal(name)
    return Turn(certificate, before, there, pause, disabled, journal=journal, superseded=superseded)


def taken_up(turn: Turn, answer: Mapping[str, Mark] | SourceError, *, tell: bool) -> "Due | Result":
    """The certificate that is due; else its standing, which is put on record, and reported if *tell*."""
    mark = answer.get(turn.certificate.name) if not isinstance(answer, SourceError) else None

    def found() -> "Due | Result":
        here = close_key(turn)
        if turn.pause is not None:
            return as_it_stands(here)
        if isinstance(answer, SourceError):
            return without_source(here, answer)
        try:
            return in_its_window(update(here, mark))
        except SourceError as error:
            return without_source(here, error)

    result = _guarded(turn, found)
    if not isinstance(result, Result):
        return result
    told = with_notes_told(standing(result, turn.tools.now))
    if told.took_down:  # the end of the run says how that service is, and puts it on record
        return told
    return recorded(turn, told, tell=tell)


def _guarded(turn: Turn, find: "Callable[[], Due | Result]") -> "Due | Result":
    """The outcome of *find*; an error is a result too."""
    try:
        return find()
    except HostLost as error:
        return turn.result(Outcome.UNREACHABLE, str(error), error.hint)
    except CertfleetError as error:
        return turn.result(Outcome.FAILED, str(error), error.hint)
    except Exception as error:  # noqa: BLE001 - the loop's border: a fault of ours must not stop the other certificates
        _log.info("run.fault", certificate=turn.certificate.name, exc_info=True)
        what = f"a fault in certfleet itself: {type(error).__name__}: {error}"
        return turn.result(Outcome.FAILED, what, "run again with -v and report what it prints")


def _installed(due: "Sequence[Due]", tools: Tools) -> Iterator[tuple[Turn, Result]]:
    """Install what is due, group by group. A journal stays open until all that it is about is on record."""
    if not due:
        return
    from agent.journey.groups import install_all  # noqa: PLC0415 - most days nothing is due

    for group in install_all(due):
        found = [(turn, with_notes_told(while_away(turn, standing(result, tools.now)))) for turn, result in group]
        results = on_record(found, tools)
        try:
            if all(result.ended for result in results):
                tools.state.finish(group[0][0].journal)
        except FileError as error:
            _log.warning("journal.not-written", certificate=group[0][0].certificate.name, error=str(error))
        if all(turn.away is None for turn, _ in group):
            results = reported(results, tools)
        yield from zip([turn for turn, _ in group], results, strict=True)


def _confirm(results: Sequence[Result], tools: Tools) -> None:
    """Confirm the reports once a day. Where the table has fewer of them, as after a restore, all are sent again: some
    may be gone, belong to another account, or tell something else."""
    told = [result for result in results if not result.unsent]
    if not told or 0 <= tools.now - tools.state.confirmed_at() < _CONFIRM_AFTER:
        return
    try:
        try:
            refused: Mapping[str, SourceError] = {}
            if tools.source.confirm(told, tools.host, int(tools.now)) < len(told):
                refused = tools.source.report(told, tools.host, int(tools.now))
        except SourceError as error:
            refused = dict.fromkeys((result.name for result in told), error)
        if refused:
            first = next(iter(refused.values()))
            _log.warning("report.unsent", certificates=len(refused), error=str(first), hint=first.hint)
            unsent = [replace(result, unsent=int(tools.now)) for result in told if result.name in refused]
            tools.state.save_records(unsent)
            return
        tools.state.save_confirmed(tools.now)
    except FileError as error:
        _log.warning("record.not-written", error=str(error), hint=error.hint)
