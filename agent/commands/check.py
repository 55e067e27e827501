"""check: looks at everything that the next install depends on, and changes nothing: trust, source, keys, files,
folders, the unit, commands, sockets, stapling, clock."""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from agent.commands.run import refuse_directors
from agent.commands.sandbox import UNIT, closed_folders, forbidden
from agent.commands.stapling import stapling_lines
from agent.commands.wiring import LocalTools
from agent.host.capacity import shortage
from agent.host.presence import found_programs, presence
from agent.journey.answers import offered
from agent.journey.examine import certificate_in_place, examine
from agent.journey.examine_services import examine_services
from agent.journey.ports import Turn
from agent.journey.take import objection
from agent.journey.update import kept_from
from agent.journey.watch import with_first_looks
from agent.model.certificate import Certificate
from agent.model.errors import SourceError
from agent.model.offer import Offer
from agent.rules.must_staple import socket_findings
from agent.rules.sandbox import writable
from agent.settings.config import AgentSettings, load_settings
from common.certificate import must_staple
from common.check_line import BAD, OK, WARN, Line
from common.clock import duration_text, utc_text
from common.command_line import report, say
from common.errors import CertfleetError
from common.files import is_locked
from common.issuer_key import issuer_key_id, parse_issuer_key
from common.monitoring import as_plugin
from common.nagios import Metric, State, line, worst
from common.probe.survey import looks
from common.terminal import PROGRESS

T = TypeVar("T")
_ENROL = "look at how agent.toml spells it; `certfleet-issuer populate` enrols it"
_RETRY = "`certfleet-agent status` says what to do; once that is done, `certfleet-agent run --retry` tries it at once"
MOST_APART = 300  # seconds


def check(arguments: argparse.Namespace) -> int:
    """One line for each finding; exit code 1 if one is bad. With --nagios one line, and the code of a plugin."""
    if arguments.nagios:
        return as_plugin("check", lambda: _plugin(_findings(arguments)))
    return _shown(_findings(arguments), arguments)


def _findings(arguments: argparse.Namespace) -> list[Line]:
    settings, certificates = load_settings(arguments.config, presence)
    # check too runs commands of agent.toml, and uses its secrets
    refuse_directors(arguments, settings.state_dir)
    here = [certificate for certificate in certificates if certificate.host is None]
    lines = [Line(OK, "configuration", f"{arguments.config} is well formed"), _trust(settings)]
    lines += _folders(settings, here)
    lines += _programs(here)
    lines += (_closed(folder) for folder in closed_folders(settings, certificates))
    lines += map(_forbidden, forbidden(arguments.config, settings))
    with closing(LocalTools(settings, certificates, arguments.config, retry=False)) as tools:
        reached = tools.reach(certificates)
        turns = with_first_looks([_turn(certificate, tools) for certificate in reached])
        examined = [one for turn in _told(turns, "looks at") for one in _examined(turn)]
        unsettled = dict.fromkeys(part.name for entry in tools.state.journals() for part in entry.parts)
        is_under_way = is_locked(tools.folder.lock_file)
        lines += (one for one in examined if not (is_under_way and one.subject in unsettled))
        PROGRESS.tell("asks the services' own checks")
        passed_over = unsettled if is_under_way else ()
        lines += examine_services([one for one in turns if isinstance(one, Turn)], passed_over)
        PROGRESS.tell("looks at stapling")
        lines += stapling_lines(settings, arguments.config)
        lines += (_under_way(name) if is_under_way else _interrupted(name) for name in unsettled)
        try:
            lines += _clock(tools)
            lines += (one for each in _told(reached, "asks the source for") for one in _offered(each, tools))
        except SourceError as error:
            lines.append(Line(BAD, "source", str(error), error.hint))
            lines += (one for certificate in reached for one in _offered(certificate, tools, error))
    return lines


def _told(each: Sequence[T], what: str) -> Iterator[T]:
    """The items of *each*, one for each certificate; a terminal shows how many have been yielded."""
    for number, one in enumerate(each, 1):
        PROGRESS.tell(f"{what} certificate {number} of {len(each)}")
        yield one


def _shown(lines: Sequence[Line], arguments: argparse.Namespace) -> int:
    well = all(one.level != BAD for one in lines)
    if arguments.json:
        report({"well": well, "findings": [_document(one) for one in lines]})
    else:
        for one in lines:
            if one.level == BAD or not arguments.quiet:
                say(str(one))
    return 0 if well else 1


_STATES = {OK: State.OK, WARN: State.WARNING, BAD: State.CRITICAL}


def _plugin(lines: Sequence[Line]) -> tuple[State, str]:
    """The worst finding, how many others are as bad, and the numbers."""
    state = worst(_STATES[one.level] for one in lines)
    found = [one for one in lines if _STATES[one.level] is state]
    told = f"{found[0].subject}: {found[0].sentence}" if state else f"{len(lines)} things are well"
    told += f", and {len(found) - 1} more" if state and len(found) > 1 else ""
    counts = [Metric(level.value, sum(one.level is level for one in lines)) for level in (BAD, WARN)]
    return state, line("check", state, told, counts)


def _document(one: Line) -> dict[str, str | None]:
    return {
        "name": one.kind or None,
        "level": one.level.value,
        "subject": one.subject,
        "finding": one.sentence,
        "what_to_do": one.hint or None,
    }


def _trust(settings: AgentSettings) -> Line:
    """Is an offer believed by the issuer's signature, or because it is in the database?"""
    if settings.trust.issuer_key:
        known = issuer_key_id(parse_issuer_key(settings.trust.issuer_key))
        return Line(OK, "trust", f"only what the issuer with the key {known} has signed is installed")
    sentence = "the database is believed: whoever can write to it chooses among certificates for the keys of this host"
    hint = "set issuer_key in [trust] to what `certfleet-issuer key show` prints"
    return Line(WARN, "trust", sentence, hint)


def _turn(certificate: Certificate, tools: LocalTools) -> Turn | Line:
    try:
        return Turn(certificate, tools.state.record(certificate.name), tools.on(certificate.host))
    except CertfleetError as error:
        return Line(BAD, certificate.name, str(error), error.hint)


def _examined(turn: Turn | Line) -> list[Line]:
    if isinstance(turn, Line):
        return [turn]
    name = turn.certificate.name
    try:
        waiting = turn.before.postponed
        waits = [Line(OK, name, waiting.sentence)] if waiting is not None else []
        return [*examine(turn), *_stapled(turn), *waits]
    except CertfleetError as error:
        return [Line(BAD, name, str(error), error.hint)]
    finally:
        turn.tools.files.release()


def _stapled(turn: Turn) -> list[Line]:
    """The findings on the sockets of a certificate that must be served with a staple."""
    certificate = turn.certificate
    try:
        leaf = certificate_in_place(turn)
    except CertfleetError:  # `examine` says what is wrong with key and files
        return []
    if leaf is None or not must_staple(leaf):
        return []
    wanted = [(probe, [probe.server_name or certificate.server_name]) for probe in certificate.probes]
    installed = turn.before.installed is not None
    return socket_findings(certificate.name, leaf, looks(wanted, time.time()), installed=installed)


def _under_way(name: str) -> Line:
    return Line(OK, name, "a run is installing it: its files and sockets are not judged at this moment")


def _interrupted(name: str) -> Line:
    return Line(WARN, name, "an install was interrupted", "the next run settles that first")


def _folders(settings: AgentSettings, certificates: Sequence[Certificate]) -> Iterator[Line]:
    """Room and rights where an install writes."""
    targets = {file.path.parent for certificate in certificates for file in certificate.files}
    folders = [one for one in (settings.state_dir, *sorted(targets)) if os.path.exists(one)]
    short = [(one, why) for one in folders if (why := shortage(one))]
    for folder, why in short:
        yield Line(BAD, "folders", f"{folder} {why}", "nothing is installed there before that is mended")
    if folders and not short:
        yield Line(OK, "folders", f"there is room in {', '.join(map(str, folders))}")


def _programs(certificates: Sequence[Certificate]) -> Iterator[Line]:
    """Are the programs of all commands there? The services' own checks are left out: they are run later."""
    services = dict.fromkeys(service for certificate in certificates for service in certificate.services)
    commands = [
        (service, command) for service in services for command in (*service.activate, *service.verify, *service.start)
    ]
    missing = [(service, command[0]) for service, command in commands if not found_programs([command[0]])]
    for service, program in dict.fromkeys(missing):
        hint = "name one that is installed here, or another preset"
        yield Line(BAD, service.name or "commands", f"there is no program {program} that this user can run", hint)
    if commands and not missing:
        yield Line(OK, "commands", f"{len({command[0] for _, command in commands})} programs are there")


def _clock(tools: LocalTools) -> Iterator[Line]:
    """Does this host's clock agree with that of the source? Dates of certificates are judged by it. Raises
    SourceError."""
    there = tools.source.moment()
    if there is None:
        return
    ahead = time.time() - there
    if abs(ahead) > MOST_APART:
        which = "ahead of" if ahead > 0 else "behind"
        sentence = f"the clock is {duration_text(abs(ahead))} {which} that of the database server"
        yield Line(
            BAD, "clock", sentence, "set the one that is wrong: good certificates may be refused, or bad ones taken"
        )
    else:
        yield Line(OK, "clock", "it goes with that of the database server")


def _closed(folder: Path) -> Line:
    """The finding on a folder that the timer's unit may not write. A run in a shell may."""
    hint = f"`certfleet-agent init --system` gives the unit its line, {writable(folder)}"
    return Line(BAD, UNIT, f"it may not write {folder}, so the timer's run installs nothing there", hint)


def _forbidden(line: str) -> Line:
    """The finding on what the timer's unit may not do for a service, which needs it in some configurations."""
    hint = "`certfleet-agent init --system` gives the unit this line"
    return Line(WARN, UNIT, f"it lacks {line}, which commands of a service may need", hint)


def _offered(certificate: Certificate, tools: LocalTools, away: SourceError | None = None) -> Iterator[Line]:
    """The finding on the source's offer for *certificate*; on what is staged, where the source is *away*. Raises
    SourceError."""
    try:
        before = tools.state.record(certificate.name)
    except CertfleetError:  # another line tells of it
        return
    turn = Turn(certificate, before, tools.on(certificate.host), away=away)
    offer = offered(turn)
    if offer is not None and offer.leaf_pem.strip():
        yield from _judged(turn, offer)
    elif offer is not None:
        yield Line(OK, certificate.name, "enrolled, waiting for its first certificate")
    elif away is None:
        yield Line(BAD, certificate.name, "the source does not know it", _ENROL)


def _judged(turn: Turn, offer: Offer) -> Iterator[Line]:
    """Tell whether the next run takes the certificate of *offer*. Yields nothing where a bad key or a lost host keeps
    that open: another line tells of it."""
    certificate = turn.certificate
    try:
        refused, failed = objection(turn, offer), kept_from(turn, offer)
    except CertfleetError:
        return
    finally:
        turn.tools.files.release()
    if refused is not None:
        yield Line(BAD, certificate.name, str(refused), refused.hint)
    elif failed is not None:
        until, outcome = utc_text(failed.until), failed.outcome.value
        sentence = f"the certificate offered is not tried before {until}; last time: {outcome}: {failed.reason}"
        yield Line(WARN, certificate.name, sentence, _RETRY)
    else:
        which = "offered" if turn.away is None else "staged"
        signed = "is signed by the issuer, and " if certificate.issuer_key else ""
        yield Line(OK, certificate.name, f"the certificate {which} {signed}fits this host")
