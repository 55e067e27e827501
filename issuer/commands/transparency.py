"""transparency: certificates for our names, with keys that we never knew, in logs of Certificate Transparency."""

import argparse
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from cryptography import x509

from common.certificate import PARSE_ERRORS, certified_names
from common.clock import utc_text
from common.command_line import complain, report, say, table
from common.config_file import load
from common.errors import CertfleetError, UsageError, render
from common.files import locked
from common.monitoring import as_plugin
from common.nagios import Metric, State, line
from common.terminal import PROGRESS
from issuer.commands.lock import tries
from issuer.commands.looks import counted
from issuer.commands.rows import Rows
from issuer.commands.wiring import build_outbox, configure_log
from issuer.model.config import Settings
from issuer.model.errors import noted
from issuer.model.events import foreign_key
from issuer.model.leaf import Leaf
from issuer.model.transparency import Entry, OurNames, Sighting, sighting
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.history import History
from issuer.store.known_keys import keys_of_certificates, seals
from issuer.store.revision import open_database
from issuer.transparency.crt_sh import CrtSh
from issuer.transparency.static_log import StaticLog
from issuer.trust.transparency import TRANSPARENCY, TransparencyMemory

_LOCK = "transparency.lock"  # in the state folder: a source may be slow for hours, and cron comes again


def transparency(arguments: argparse.Namespace) -> int:
    """Look at every source, and tell which certificates are not ours. Exit code 1 if there is one, or a source could
    not be read to its end; with --nagios that of a plugin."""
    if arguments.nagios:
        return as_plugin("transparency", lambda: _plugin(*_look(arguments)))
    foreign, troubles = _look(arguments)
    _show(arguments, foreign, troubles)
    return 1 if foreign or troubles else 0


def _look(arguments: argparse.Namespace) -> tuple[list[Sighting], list[CertfleetError]]:
    accepted = [_key_id(text) for text in arguments.accept]
    settings = load(Settings, arguments.config)
    wanted = settings.transparency
    if not (wanted.log or wanted.crt_sh):
        hint = "name crt_sh or a [[transparency.log]] in issuer.toml: docs/transparency.md"
        raise UsageError("no source of Certificate Transparency is configured", hint=hint)
    configure_log(settings, arguments)
    memory = TransparencyMemory(settings.state_dir / TRANSPARENCY)
    alone = locked(settings.state_dir / _LOCK, doing="certfleet-issuer transparency")
    with alone, closing(open_database(settings.database)) as database, closing(memory):
        if accepted:
            memory.accept(accepted)
        look = _Sources(settings, database, memory)
        troubles = look.at_sources()
        foreign = look.foreign()
        _tell(settings, database, memory, foreign)
    return foreign, troubles


def _plugin(foreign: Sequence[Sighting], troubles: Sequence[CertfleetError]) -> tuple[State, str]:
    """A certificate that is not ours is critical; a source that was not read leaves unknown what it has."""
    told = [_sentence(one) for one in foreign] or [str(one) for one in troubles]
    state = State.CRITICAL if foreign else State.UNKNOWN if troubles else State.OK
    text = told[0] if told else "no certificate for our names has a key that we do not know"
    text += f", and {len(told) - 1} more" if len(told) > 1 else ""
    metrics = [Metric("foreign", len(foreign)), Metric("unread", len(troubles))]
    return state, line("transparency", state, text, metrics)


def _key_id(text: str) -> str:
    """The SHA-256 of a key, as the command prints it. Raises UsageError."""
    found = text.strip().lower().replace(":", "")
    if len(found) != 64 or not set(found) <= set("0123456789abcdef"):
        raise UsageError(f"--accept: {text!r} is no SHA-256 in hex", hint="give the KEY that `transparency` prints")
    return found


class _Sources:
    """One look at every source."""

    def __init__(self, settings: Settings, database: Database, memory: TransparencyMemory):
        self._settings, self._memory = settings.transparency, memory
        ours = _Ours(settings, database)
        self._names = OurNames(ours.names, frozenset(settings.transparency.domains))
        self._known = ours.keys | memory.accepted()
        self._now = int(time.time())

    def at_sources(self) -> list[CertfleetError]:
        """Look at each; returns what was in the way. One that fails keeps no other from being read."""
        troubles: list[CertfleetError] = []
        for settings in self._settings.log:
            with noted(troubles):
                self._read_log(StaticLog(settings))
        if self._settings.crt_sh:
            with noted(troubles):
                self._search(CrtSh(self._settings.crt_sh, self._settings.crt_sh_pause))
        return troubles

    def foreign(self) -> list[Sighting]:
        """The certificates found now or before that have not ended and whose key is still unknown."""
        return [one for one in self._memory.sightings(self._now) if one.spki_sha256 not in self._known]

    def _read_log(self, log: StaticLog) -> None:
        found: list[Sighting] = []

        def take(number: int, entry: Entry) -> None:
            PROGRESS.tell(f"{log.url}: entry {number}")
            found.extend(self._concerning(entry.certificate, f"{log.url} entry {number}"))

        PROGRESS.tell(f"{log.url}: its newest checkpoint")
        tree = log.read(self._memory.tree(log.url), take)
        self._memory.read_log(log.url, tree, found)

    def _search(self, search: CrtSh) -> None:
        seen = self._memory.asked(search.url)
        below = (f"%.{domain}" for domain in sorted(self._names.domains))
        asked = (*sorted(self._names.names | self._names.domains), *below)
        for done, name in enumerate(asked):
            PROGRESS.tell(f"{search.url}: {done} of {len(asked)} names")
            for number, certificate in search.certificates(name, seen):
                seen.add(number)
                found = self._concerning(certificate, f"{search.url}?id={number}")
                self._memory.read_search(search.url, [number], found)
        search.require_read()

    def _concerning(self, certificate: x509.Certificate | None, where: str) -> list[Sighting]:
        """A sighting of a certificate for one of our names; none of another."""
        if certificate is None:
            return []
        try:
            ours = self._names.among(certified_names(certificate))
            return [sighting(certificate, ours, where)] if ours else []
        except PARSE_ERRORS:
            return []


class _Ours:
    """The names and keys that the issuer can prove to be ours: by a genuine seal, by a certificate that it remembers
    to have stored, by the names that it remembers to have sealed. Rows that others wrote, or took away, change none."""

    def __init__(self, settings: Settings, database: Database):
        rows, names = Rows(settings, database), set[str]()
        memory = rows.seals.memory
        for row in counted(Certificates(database).all(chains=False)):
            if isinstance(row.present, Leaf) and not rows.is_unsigned(row):  # that remembers it where it is signed
                names.update(row.present.names if row.fingerprint in memory.past(row.name).stored else ())
        sealed = [one for one in map(rows.seals.sealed, seals(database)) if one is not None]
        names.update(name for one in sealed for name in one.names)
        names.update(name for name in memory.names() if "." in name)
        self.names = frozenset(names)
        self.keys = {one.key for one in sealed} | keys_of_certificates(database, memory.certificates())


def _tell(settings: Settings, database: Database, memory: TransparencyMemory, foreign: Sequence[Sighting]) -> None:
    """An incident: in the history of each name, to syslog, in a mail; each once."""
    news = memory.untold(foreign)
    if not news:
        return
    now, outbox = int(time.time()), build_outbox(settings, database, tries(settings))
    for one in news:
        for name in one.ours:
            History(database).note(name, "foreign key", _sentence(one), now)
            outbox.note(foreign_key(name, _sentence(one)))
    memory.told(news)
    outbox.deliver()


def _sentence(one: Sighting) -> str:
    return f"{one.issuer} has certified {', '.join(one.ours)} with the key {one.spki_sha256}, which we never knew"


def _show(arguments: argparse.Namespace, foreign: Sequence[Sighting], troubles: Sequence[CertfleetError]) -> None:
    accepted = [_key_id(text) for text in arguments.accept]
    if arguments.json:
        unread = [{"what": str(error), "what_to_do": error.hint or None} for error in troubles]
        found = {"foreign": [_facts(one) for one in foreign], "unread": unread, "accepted": accepted}
        report({"well": not (foreign or troubles)} | found)
        return
    if not arguments.quiet:
        say(*(f"the key {key} is kept as one of ours: no certificate with it is told from now on" for key in accepted))
    if foreign:
        rows = [
            [", ".join(one.ours), one.issuer, one.serial, utc_text(one.starts), one.where, one.spki_sha256]
            for one in foreign
        ]
        say(*table(["NAME", "ISSUER", "SERIAL", "FROM", "SEEN AT", "KEY"], rows))
        say("others have certificates for our names, with keys that are not ours: see docs/transparency.md")
    elif not (troubles or arguments.quiet):
        say("no certificate for our names has a key that we do not know")
    for error in troubles:
        complain(*render(error))


def _facts(one: Sighting) -> dict[str, Any]:
    return {
        "ours": one.ours,
        "names": one.names,
        "key": one.spki_sha256,
        "issuer": one.issuer,
        "serial": one.serial,
        "not_before": utc_text(one.starts),
        "not_after": utc_text(one.ends),
        "seen_at": one.where,
    }
