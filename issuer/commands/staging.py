"""--staging of run, issue and reissue: real orders at the CA's staging directory, beside everything that is stored.

They are those of another issuer, whose state folder is ``staging`` in ours: with its own lock, account key and SQLite
file, which lives as long as its orders. So our database, holds and failures cannot change, the daemon may run
meanwhile, and what a killed process has published stands in a journal: the next command withdraws it.
"""

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Sequence

import structlog

from common.errors import CertfleetError, LockedError, UsageError
from common.files import make_private_folder
from issuer.ca.account import create_account_key
from issuer.commands.sealing import Sealer
from issuer.commands.stopping import finish
from issuer.commands.wiring import alone, build_tools
from issuer.journey.ports import Tools
from issuer.journey.rehearsal import Rehearsed, Verdict
from issuer.journey.sweep import sweep
from issuer.journey.withdraw import abandon
from issuer.loops.run import Pass, silent
from issuer.model.config import DatabaseSettings, Settings
from issuer.model.csr import CsrFacts
from issuer.model.enrolment import Enrolment
from issuer.model.failure import Failure
from issuer.model.outcomes import Ended, Ending
from issuer.rules.change import newest
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.trust.seals import create_key, key_file
from issuer.trust.statements import Statements

log = structlog.get_logger()
_DATABASE = "staging.db"
_ORDERED_THERE = (Verdict.ORDERED, Verdict.GOES_ON, Verdict.HELD)
_OF_ENDING = {Ending.STORED: Verdict.ISSUED, Ending.FAILED: Verdict.FAILED, Ending.HELD: Verdict.HELD}


def staging_directory(settings: Settings) -> str:
    """The staging directory of the CA of [acme]. Raises UsageError if none is known."""
    if settings.acme.staging_directory:
        return settings.acme.staging_directory
    hint = "set `staging` in [acme] to the URL of its staging directory, if it has one"
    raise UsageError(f"no staging directory of {settings.acme.directory} is known", hint=hint)


def order_at_staging(settings: Settings, rows: Sequence[Enrolment], found: Sequence[Rehearsed]) -> list[Rehearsed]:
    """Order there the certificates that would be ordered, as a rehearsal *found* about *rows*, and tell how that ended.
    Raises LockedError while another process does, and CertfleetError."""
    theirs = _settings(settings, staging_directory(settings))
    wanted = {one.name for one in found if one.verdict in _ORDERED_THERE}
    make_private_folder(theirs.state_dir)
    with alone(theirs, doing="certfleet-issuer --staging"), _tools(theirs) as (database, tools):
        seen = [newest(row) for row in rows if row.name in wanted]
        names = _enrol(seen, Certificates(database), Sealer(theirs))
        one_pass = Pass(tools, silent, silent)
        finish(lambda: one_pass.run(Certificates(database).get(names), stay=0), one_pass.stop)
        endings = one_pass.summary.endings
    return [_rehearsed(endings[one.name], theirs) if one.name in endings else one for one in found]


def clear_staging(settings: Settings) -> None:
    """Withdraw what a killed process has published for the staging CA. Never raises CertfleetError: the next command
    tries again."""
    theirs = _settings(settings, settings.acme.staging_directory or settings.acme.directory)
    if not (theirs.state_dir / _DATABASE).exists():
        return
    try:
        with alone(theirs, doing="withdrawing what --staging left"), _tools(theirs):
            pass
    except LockedError:  # it is still at work
        return
    except CertfleetError as error:
        log.warning("staging.left", error=str(error), hint=error.hint)


@contextlib.contextmanager
def _tools(theirs: Settings) -> Iterator[tuple[Database, Tools]]:
    """The staging database and what works on it. Before and after the block nothing is left of it in the world, or the
    database stays, with its journal."""
    from issuer.store import migrate  # noqa: PLC0415 - Alembic takes a while, and each `run` imports this module

    key = theirs.account_key(theirs.acme)
    if not key.exists():
        create_account_key(key)
    statements = Statements(theirs.state_dir)
    if statements.absent:
        statements.create()
    if not key_file(theirs.state_dir).exists():
        create_key(key_file(theirs.state_dir))
    database = Database(theirs.database)
    try:
        migrate.upgrade(database)
        tools = build_tools(theirs, database)
        _clear(tools)
        yield database, tools
        if _clear(tools):
            databases = theirs.state_dir.glob("*.db*")  # its own, and this issuer's memory of what is in it
            for file in (*databases, statements.file, key_file(theirs.state_dir)):
                file.unlink(missing_ok=True)
    finally:
        database.close()


def _clear(tools: Tools) -> bool:
    """End every order and withdraw every answer; is nothing left?"""
    now = int(tools.clock())
    tools.orders.let_go_left()
    for record in tools.orders.end_left(tools.orders.under_way(now), "a staging order is not gone on with", now):
        abandon(record, tools)
    sweep(tools)
    return not tools.journal.orphans()


def _enrol(rows: Sequence[Enrolment], certificates: Certificates, sealer: Sealer) -> list[str]:
    now, here = int(time.time()), {row.name for row in certificates.all()}
    for row in rows:
        if row.name in here:  # of a killed process, and perhaps with another CSR
            certificates.remove(row.name, now)
        assert isinstance(row.request, CsrFacts)  # noqa: S101 - a damaged one would not be ordered
        seal = sealer.enrolling(row.name, row.request, row.validation, now)
        certificates.enrol(row.name, row.request, comment="", validation=row.validation, now=now, seal=seal)
    names = [row.name for row in rows]
    certificates.set_enabled(names, True, now)
    return names


def _rehearsed(ended: Ended, theirs: Settings) -> Rehearsed:
    verdict = _OF_ENDING.get(ended.ending, Verdict.STOPPED)
    failure = ended.failure
    if failure is not None and verdict is Verdict.HELD:
        failure = Failure(failure.what, failure.why)
    return Rehearsed(ended.name, verdict, ended.detail, ended.retry_at, failure, theirs.acme.directory)


def _settings(settings: Settings, directory: str) -> Settings:
    folder = settings.state_dir / "staging"
    acme = dataclasses.replace(
        settings.acme,
        directory=directory,
        account_key=None,
        fallback=(),
        limit_new_orders=None,
        limit_per_domain=None,
        limit_per_name_set=None,
    )
    database = DatabaseSettings(url=f"sqlite:///{folder / _DATABASE}")
    return dataclasses.replace(settings, state_dir=folder, database=database, acme=acme)
