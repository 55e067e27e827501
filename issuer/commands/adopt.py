"""adopt: a person looks at rows that no seal fits, or no statement, and takes them as they are."""

import argparse
import time
from collections.abc import Sequence

from common.clock import utc_text
from common.command_line import complain, say
from common.config_file import load
from common.errors import UsageError, render
from issuer.commands.change import way_fields, way_words
from issuer.commands.confirm import confirm
from issuer.commands.keys import facts, sign_seen
from issuer.commands.many import names_of
from issuer.commands.rows import Rows
from issuer.commands.sealing import Sealer
from issuer.model.config import Settings
from issuer.model.csr import CsrFacts
from issuer.model.enrolment import Enrolment
from issuer.model.seal import Sealed
from issuer.rules.change import newest
from issuer.rules.statements import Read, fault_by_hand
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.revision import open_database
from issuer.store.rows import any_row
from issuer.store.seals import Seal, SealStore
from issuer.trust.seals import create_key, key_file
from issuer.trust.statements import Statements


def adopt(arguments: argparse.Namespace) -> int:
    """Show the rows of NAMEs, or with --all every row, that no seal fits, or whose certificates have no statement of
    ours; seal and sign them after confirmation. With --all keys that are gone are made anew."""
    settings = load(Settings, arguments.config)
    database = open_database(settings.database)
    if bool(arguments.name) == arguments.all:
        raise UsageError("give either names or --all", hint="`status` shows which rows are not sealed")
    keyless = arguments.all and not key_file(settings.state_dir).exists()  # no seal can be proven: every row is shown
    sealer, certificates, look = Sealer(settings), Certificates(database), Rows(settings, database)
    statements = Statements(settings.state_dir)
    lost = arguments.all and statements.absent
    read = _reader(statements, lost=lost)
    every = certificates.all() if arguments.all else certificates.get(names_of(arguments.name))
    rows = [row for row in every if keyless or look.faults(row) or (read and fault_by_hand(row, read))]
    if not rows and not lost and not keyless:
        say("every row is sealed as it is; nothing was changed")
        return 0
    unsealed = [row for row in rows if keyless or look.faults(row)]
    unsigned = [row for row in rows if read and fault_by_hand(row, read)]
    for row in unsealed:
        show(row)
    for row in unsigned:
        say(facts(row))
    _confirm(rows, yes=arguments.yes)
    if keyless:
        create_key(key_file(settings.state_dir))
        complain(f"{key_file(settings.state_dir)} is a new key: put it into the backup, and onto the other issuers")
    seal_all(unsealed, sealer, SealStore(database), int(time.time()))
    say(f"{len(unsealed)} sealed")
    if lost:
        complain(f"{statements.file} is a new key: put it into the backup, and onto the other issuers")
        complain(f"{statements.create().sentence}; no earlier key vouches for it, so write it into each agent.toml")
    return sign_seen(unsigned, statements, database) if unsigned else 0


def _reader(statements: Statements, *, lost: bool) -> Read | None:
    """How statements are read: none is, where their key is *lost*. None, with a complaint, for a key that is to be
    restored or mended."""
    if lost:
        return lambda _: None
    if (fault := statements.fault()) is not None:
        complain(*render(fault), "  meanwhile: no certificate is signed")
        return None
    return statements.key().statement


def _confirm(rows: Sequence[Enrolment], *, yes: bool) -> None:
    if not rows:
        return
    word = rows[0].name if len(rows) == 1 else str(len(rows))
    what = f"the name again to take {word}" if len(rows) == 1 else "how many these are to take them all"
    otherwise = "nothing was sealed or signed"
    confirm(word, f"type {what} as shown: ", yes=yes, otherwise=otherwise, what="that differs")


def seal_anew(settings: Settings, database: Database) -> None:
    """After a migration: seal every row once where no row was ever sealed, and list them. Where the seal key is lost,
    nothing is sealed. Raises CertfleetError."""
    if any_row(database, "seal"):
        return
    sealer, store = Sealer(settings), SealStore(database)
    if sealer.seals.memory.names():
        complain("error: no row is sealed any more: somebody took the seals away; `adopt --all` after a look")
        return
    if not key_file(settings.state_dir).exists():
        create_key(key_file(settings.state_dir))
    now, seals = int(time.time()), list[Seal]()
    for row in Certificates(database).all():
        show(row)
        seals += _seals_of(row, sealer, now)
    store.put(seals, now, whole=True)  # once a row is sealed, no upgrade seals another
    sealer.remember(seals)
    if count := sum(not one.change for one in seals):
        say(f"{count} sealed as listed: a row that changes past certfleet is not ordered from now on (docs/trust.md)")


def seal_all(rows: Sequence[Enrolment], sealer: Sealer, store: SealStore, now: int) -> None:
    """Seal *rows* and their changes as they were read."""
    seals = [seal for row in rows for seal in _seals_of(row, sealer, now)]
    store.put(seals, now)
    sealer.remember(seals)


def _seals_of(row: Enrolment, sealer: Sealer, now: int) -> list[Seal]:
    return [sealer.of_row(seen, now) for seen in dict.fromkeys((row, newest(row)))]


def show(row: Enrolment) -> None:
    """All that a seal of *row* covers, and one of its change: key and names of the CSR, how they are validated, whether
    the certificate is imported, and the moment of a takeover."""
    for seen in dict.fromkeys((row, newest(row))):
        request = seen.request
        what = "its change: " if seen.changing else ""
        if isinstance(request, CsrFacts):
            key = f"key {request.spki_sha256}, for {', '.join(request.names)}"
        elif row.imported:
            key = "without a CSR"
        else:
            key = f"its CSR is not usable: {request.why}"
        content = Sealed.of(seen, 0)
        way = f"; validated by {way_words(way_fields(seen))}"
        later = f"; ordered from {utc_text(content.takeover)} on" if content.takeover else ""
        say(f"{row.name}: {what}{key}{'; imported' if content.imported else way}{later}")
