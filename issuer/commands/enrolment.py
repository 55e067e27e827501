"""populate, enable, disable, remove."""

import argparse
import dataclasses
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from shlex import quote

from common.command_line import complain, say
from common.config_file import load
from common.errors import RefusedError, UsageError
from common.files import read_regular
from common.names import parse_name
from common.text import some
from issuer.commands.challenge_types import challenge_type, ways
from issuer.commands.change import new_ways
from issuer.commands.many import LIST, each, names_of
from issuer.commands.sealing import Sealer
from issuer.commands.wiring import build_looks
from issuer.model.config import Settings
from issuer.model.csr import LARGEST_REQUEST, CsrFacts
from issuer.model.enrolment import DNS, Enrolment, Validation
from issuer.model.errors import CompromisedKey, NotSealed
from issuer.model.leaf import Damaged
from issuer.model.seal_faults import OF_THE_CSR
from issuer.rules.change import Outcome, append_faults, difference, newest, outcome_of
from issuer.rules.csr import CsrRefused, cautions, compromised, not_counted, read_csr, refuse_compromised
from issuer.store.certificates import Certificates
from issuer.store.changes import Changes, Replacement
from issuer.store.database import Database
from issuer.store.revision import open_database

_LONGEST_COMMENT = 1000  # characters


def populate(arguments: argparse.Namespace) -> int:
    """Enrol names; each row is disabled until `enable`, or with --enable at once enabled. With --replace or --append,
    enrol another CSR for a name."""
    settings = load(Settings, arguments.config)
    checked_comment(arguments.comment)
    if (arguments.replace or arguments.append) and (arguments.webroot or arguments.comment or arguments.enable):
        raise UsageError("--webroot, --comment and --enable are for a name that is new", hint="leave them out")
    files = _files(arguments, settings)
    populating = _Populating(arguments, open_database(settings.database), Sealer(settings))
    return each(files, populating.change if arguments.replace or arguments.append else populating.enrol)


def _files(arguments: argparse.Namespace, settings: Settings) -> list[tuple[str, Path | None]]:
    """Each name with the file of its CSR, None for standard input. Raises UsageError."""
    if arguments.csr == LIST and LIST in arguments.name:
        raise UsageError("standard input cannot be both the CSR and the names", hint="name the CSR's file with --csr")
    names, folder = names_of(arguments.name), Path(arguments.csr or settings.csr_dir)
    if arguments.csr and not os.path.isdir(folder):  # pathlib's own raises an error where we may not look
        if len(names) != 1 and arguments.csr != LIST:
            _refuse_closed(folder, os.stat)
        if not names and arguments.csr != LIST and not os.path.exists(folder):
            raise UsageError(f"there is no folder {folder}", hint="correct --csr, or give the NAME that it is for")
        if len(names) != 1:
            raise UsageError(
                "one CSR is for one NAME", hint="give one NAME; or --csr FOLDER, which holds NAME.csr for each"
            )
        return [(names[0], None if arguments.csr == LIST else folder)]
    if names:
        return [(name, folder / f"{name}.csr") for name in names]
    if not arguments.csr:
        raise UsageError("no NAME is given", hint="give names; or --csr FOLDER with a NAME.csr for each")
    _refuse_closed(folder, os.listdir)
    found, others = _csrs_in(folder)
    if found and others:
        complain(f"passed over, as a CSR is called NAME.csr: {some([file.name for file in others])}")
    if not found:
        raise UsageError(
            f"no file in {folder} is called NAME.csr", hint="rename them, or give one NAME and its --csr FILE"
        )
    return [(os.fsencode(file.stem).decode(errors="replace"), file) for file in found]


def _refuse_closed(folder: Path, look: Callable[[Path], object]) -> None:
    """Raises UsageError if this user may not *look* at *folder*."""
    try:
        look(folder)
    except PermissionError as error:
        hint = "copy the CSRs into a folder that it may read, and name that"
        raise UsageError(f"this user may not read {folder}", hint=hint) from error
    except OSError:  # what else is wrong with it is told better where it is used
        pass


def _csrs_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files of *folder* that are called NAME.csr, in any case of letters, and the others; without hidden ones."""
    files = sorted(file for file in folder.glob("[!.]*") if not file.is_dir())
    found = [file for file in files if file.suffix.lower() == ".csr"]
    return found, [file for file in files if file not in found]


class _Populating:
    """One `populate`: its *arguments*, the database, and what seals."""

    def __init__(self, arguments: argparse.Namespace, database: Database, sealer: Sealer):
        self._sealer = sealer
        self._arguments = arguments
        self._certificates = Certificates(database)
        self._changes = Changes(database)

    def enrol(self, given: tuple[str, Path | None]) -> None:
        """Enrol a new name. Raises CertfleetError."""
        arguments = self._arguments
        name = enrolment_name(given[0], label=arguments.label)
        facts, origin = read_request(given[1])
        if not arguments.label:
            refuse_other_name(name, facts, origin)
        validation = _validation(arguments, facts.names, Validation(bool(arguments.webroot), arguments.webroot))
        ready = _ready(validation, facts.names)
        if facts.spki_sha256 in self._certificates.compromised(name):
            raise CompromisedKey([name])
        now = int(time.time())
        seal = self._sealer.enrolling(name, facts, validation, now)
        self._certificates.enrol(name, facts, comment=arguments.comment, validation=validation, now=now, seal=seal)
        self._sealer.remember([seal])
        say(f"{name}: enrolled, {facts.key_type}, {len(facts.names)} name(s), md5_modulus {facts.md5_modulus}")
        _caution(name, facts)
        if arguments.enable:
            self._certificates.set_enabled([name], True, now)
            say(f"it is enabled: the next run issues it, if {ready}")
        else:
            say(f"it is disabled; `certfleet-issuer enable {quote(name)}` when {ready}")

    def change(self, given: tuple[str, Path | None]) -> None:
        """Enrol another CSR for a name that is enrolled. Raises CertfleetError."""
        row, (facts, origin) = self._enrolled(given[0]), read_request(given[1])
        before = newest(row)
        if not (self._arguments.label or _is_label(row)):
            refuse_other_name(row.name, facts, origin)
        faults = append_faults(before, facts) if self._arguments.append else []
        if faults:
            hint = "nothing was changed; --replace takes another key and other names"
            raise RefusedError(f"the CSR in {origin} adds nothing to {row.name}", why="; ".join(faults), hint=hint)
        validation = _validation(self._arguments, facts.names, self._ways_before(row, facts))
        ready = _ready(validation, facts.names)
        if facts.spki_sha256 in row.compromised:
            raise CompromisedKey([row.name])
        outcome = self._replace(row, facts, validation, int(time.time()))
        say(f"{row.name}: {outcome.value}")
        for sentence in new_ways(row, facts.names, validation, waits=outcome is Outcome.WAITS):
            say(sentence)
        if outcome in (Outcome.WAITS, Outcome.TAKEN):
            _caution(row.name, facts)
            _tell_change(row, facts, ready)

    def _ways_before(self, row: Enrolment, facts: CsrFacts) -> Validation:
        """The ways that count where --by does not say otherwise: those of the CSR that was enrolled last, unless the
        change is dropped, or is not what was sealed."""
        last = newest(row)
        is_own = outcome_of(row, facts) in (Outcome.SAME, Outcome.DROPPED)
        return row.validation if is_own or self._sealer.seals.faults(last) else last.validation

    def _replace(self, row: Enrolment, facts: CsrFacts, validation: Validation, now: int) -> Outcome:
        """Enrol the CSR of *facts* as the change of *row*. It also mends a stored CSR that somebody changed. Raises
        NotSealed for a row that differs otherwise from what was enrolled: the new seals would cover that."""
        faults = self._sealer.seals.faults(row)
        if set(faults) - OF_THE_CSR:
            raise NotSealed(row.name, faults)
        seal = self._sealer.enrolling(row.name, facts, validation, now, change=True)
        own = None if faults else self._sealer.of_row(dataclasses.replace(row, validation=validation), now)
        outcome, placed = self._changes.replace(row.name, Replacement(facts, validation, seal, own), now)
        if outcome in (Outcome.TAKEN, Outcome.DROPPED):
            self._sealer.seals.dropped(row.name)
        self._sealer.remember(placed)
        return outcome

    def _enrolled(self, text: str) -> Enrolment:
        """The row of a name, which may be a label. Raises UsageError."""
        found = self._certificates.enrolled([text])
        return found[0] if found else self._certificates.get([enrolment_name(text, label=self._arguments.label)])[0]


def _tell_change(row: Enrolment, facts: CsrFacts, ready: str) -> None:
    different = difference(row, facts)
    say(f"it {different}")
    if different.another_key and row.crt:
        say("the host goes on with its present key until the new certificate is stored, and needs the new one then")
    typed = quote(row.name)
    if row.enabled:
        say(f"the next `run` orders it; `certfleet-issuer issue {typed}` does so at once when {ready}")
    else:
        say(f"it is disabled; `certfleet-issuer enable {typed}` when {ready}")


def _is_label(row: Enrolment) -> bool:
    """Is the name of the row none of its CSR's names?"""
    return not isinstance(row.request, Damaged) and bool(row.csr) and row.name not in row.request.names


def refuse_other_name(name: str, facts: CsrFacts, origin: str) -> None:
    """Raise RefusedError unless *name* is one of the names of the CSR that came from *origin*."""
    if name not in facts.names:
        why = "; ".join([f"it is for {', '.join(facts.names)}", *not_counted(facts)])
        hint = "correct the name; or add --label if NAME is meant to be a label of your own"
        raise RefusedError(f"the CSR in {origin} is not for {name}", why=why, hint=hint, reference="csr-other-name")


def read_request(file: Path | None) -> tuple[CsrFacts, str]:
    """The CSR in a file, or for None on standard input, and where it came from. Raises RefusedError."""
    origin = "standard input" if file is None else str(file)
    try:
        content = sys.stdin.buffer.read(LARGEST_REQUEST + 1) if file is None else read_regular(file, LARGEST_REQUEST)
        return read_csr(content), origin
    except OSError as error:
        what = f"the CSR {origin} cannot be read"
        hint = "copy the CSR from the host there, or name it with --csr FILE (- is standard input)"
        if isinstance(error, PermissionError):
            hint = "this user may not read it: pipe it in with --csr -, from a shell that may; or copy it to csr_dir"
        raise RefusedError(what, why=error.strerror or "", hint=hint, reference="csr") from error
    except CsrRefused as error:
        hint = "nothing was enrolled; make a new CSR on the host with `certfleet-agent request`"
        raise RefusedError(f"the CSR in {origin} is refused", why=str(error), hint=hint, reference="csr") from error


def enable(arguments: argparse.Namespace) -> int:
    """Switch automatic renewal on; refused for a compromised key."""
    return _switch(arguments, enabled=True)


def disable(arguments: argparse.Namespace) -> int:
    """Switch automatic renewal off."""
    return _switch(arguments, enabled=False)


def _switch(arguments: argparse.Namespace, *, enabled: bool) -> int:
    settings = load(Settings, arguments.config)
    database = open_database(settings.database)
    certificates, names = Certificates(database), names_of(arguments.name)
    rows = {row.name: row for row in certificates.enrolled(names)}
    good = [name for name in names if name in rows and not (enabled and compromised([newest(rows[name])]))]
    certificates.set_enabled(good, enabled, int(time.time()))
    for name in [] if enabled else good:
        build_looks(settings).plan(name, None)  # so that nobody is told what they did themselves

    def tell(name: str) -> None:
        if name not in good:  # why not?
            refuse_compromised(map(newest, certificates.get([name])))
        say(f"{name}: {'enabled' if enabled else 'disabled'}")

    return each(names, tell)


def _ready(validation: Validation, names: Sequence[str]) -> str:
    """The advice on what must be there before the first order. Raises UsageError or RefusedError for a name that
    cannot be validated in that way."""
    chosen = ways(validation, names)
    for way, kind, validated in chosen:
        kind.require(way, validated)
    return " and ".join(dict.fromkeys(kind.ready for _, kind, _ in chosen))


def _caution(name: str, facts: CsrFacts) -> None:
    for caution in cautions(name, facts):
        complain(str(caution))


def _validation(arguments: argparse.Namespace, names: Sequence[str], before: Validation) -> Validation:
    """*before* with the ways of --by. Raises UsageError for a --by that names no way, or none of *names*."""
    exceptions, usual = dict(before.exceptions), ""
    for text in arguments.by:
        name, _, way = (part.strip() for part in (text if "=" in text else f"={text}").partition("="))
        try:
            challenge_type(Validation(way=way).usual)
        except RefusedError as error:
            raise UsageError(f"--by {text}: {error.what}", hint=error.hint) from error
        if not name and way and not usual and not arguments.webroot:
            usual = way
        elif name.lower() in names and way:
            exceptions[name.lower()] = way
        else:
            hint = f"write NAME={DNS} or NAME=/webroot; the CSR's names are {', '.join(names)}; without NAME= it is for"
            hint += " all of them, once and without --webroot"
            raise UsageError(f"--by {text!r} does not say how one of the CSR's names is validated", hint=hint)
    return dataclasses.replace(before, exceptions=tuple(exceptions.items()), way=usual or before.way)


def enrolment_name(text: str, *, label: bool) -> str:
    """The name to enrol under: a DNS name, or with *label* any text that fits. Raises UsageError."""
    if label:
        fits = 0 < len(text) <= 250 and text.isprintable() and "/" not in text and text == text.strip()
        if not fits or text.startswith((".", "-")):  # it becomes part of file names
            hint = "1 to 250 printable characters without /, the first one neither . nor -"
            raise UsageError(f"{text[:250]!r} cannot be a label", hint=hint)
        return text
    try:
        return parse_name(text)
    except ValueError as error:
        raise UsageError(str(error), hint="give the DNS name or address that the certificate is for") from error


def checked_comment(text: str) -> str:
    """*text*, if it is one line that fits. Raises UsageError."""
    if len(text) > _LONGEST_COMMENT or "\n" in text:
        raise UsageError(f"--comment must be one line of at most {_LONGEST_COMMENT} characters", hint="shorten it")
    return text
