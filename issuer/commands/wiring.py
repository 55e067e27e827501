"""Puts the real adapters together: `run`, `issue` and the daemon hand them to the journeys."""

import argparse
import contextlib
import functools
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from common.errors import FileError, LockedError
from common.files import create_new, locked, make_private_folder, read_regular
from common.log import Syslog, configure
from common.mail import MailServer
from common.owners import owner_hint
from issuer.ca.client import AcmeCa
from issuer.check.from_root import FaultsFromRoot
from issuer.commands.challenge_types import build_solvers
from issuer.commands.lock import id_file, locked_by_daemon
from issuer.commands.rollover import finish_rollovers
from issuer.dns.find.caa import caa_of
from issuer.dns.find.resolvers import Resolvers
from issuer.journey.pacing import Pacing
from issuer.journey.ports import Looks, Tools
from issuer.model.config import NotifySettings, Settings
from issuer.model.events import Event, of_statement_key
from issuer.model.failure import Failure
from issuer.model.tries import Tries
from issuer.notify.by_syslog import BySyslog
from issuer.notify.outbox import Channel, Outbox
from issuer.store.approvals import Approvals
from issuer.store.certificates import Certificates
from issuer.store.counts import Counts
from issuer.store.database import Database
from issuer.store.holds import Holds
from issuer.store.journal import Journal
from issuer.store.notices import Notices
from issuer.store.orders import Orders
from issuer.trust.looks import LOOKS, LooksFile
from issuer.trust.seals import Seals
from issuer.trust.statements import Statements


def build_tools(settings: Settings, database: Database, tell: Callable[[Event], None] = lambda _: None) -> Tools:
    """Everything that a journey needs. A change of the account key that was cut short is finished first. Raises
    ConfigError for an unusable key or file, StoreError, FileError."""
    finish_rollovers(settings, database)
    return build_tools_over(settings, database, AcmeCa, owner(settings), tell)


def build_tools_over(
    settings: Settings,
    database: Database,
    authority: type[AcmeCa],
    us: str = "",
    tell: Callable[[Event], None] = lambda _: None,
) -> Tools:
    """The same with another kind of *authority*. *us*: the owner of our leases."""
    solvers = build_solvers(settings)
    for solver in solvers.values():
        solver.load_keys()
    authorities = {ca.directory: authority(settings, ca, time.time) for ca in settings.authorities}
    seals, sign = Seals(settings.state_dir), Statements(settings.state_dir).sign
    certificates, resolvers = Certificates(database, sign=sign), Resolvers(settings.dns.resolvers)
    return Tools(
        settings=settings,
        authorities=authorities,
        solvers=solvers,
        certificates=certificates,
        outcomes=certificates,
        approvals=Approvals(database, sign=sign),
        seals=seals,
        looks=build_looks(settings),
        orders=Orders(database, us, seals),
        journal=Journal(database, us),
        holds=Holds(database),
        caa=functools.partial(caa_of, resolvers),
        faults_from_root=FaultsFromRoot(settings.dns, resolvers),
        pacing={ca.directory: Pacing(ca.directory, ca.limits, Counts(database)) for ca in settings.authorities},
        clock=time.time,
        tell=tell,
    )


def build_looks(settings: Settings) -> Looks:
    """The moments of the next looks, in the state folder."""
    return LooksFile(settings.state_dir / LOOKS)


def build_outbox(settings: Settings, database: Database, tries: Tries) -> Outbox:
    """Where events go. *tries*: who makes the next attempts. Raises ConfigError for an unusable password or CA file."""
    notify, host, statements = settings.notify, socket.gethostname(), Statements(settings.state_dir)

    def itself() -> Event:
        fault = statements.fault()
        return of_statement_key(host, Failure.of(fault) if fault is not None else None)

    return Outbox(
        build_notices(settings, database),
        MailServer(notify, host, comfort="; the mail is kept and sent later") if notify.email_to else None,
        _channels(notify),
        host=host,
        clock=time.time,
        tries=tries,
        itself=itself,
    )


def build_notices(settings: Settings, database: Database) -> Notices:
    """The alarms that people were told of, and the events that wait for a mail."""
    by_mail = bool(settings.notify.email_to)
    return Notices(database, stuck_after=settings.renewal.give_up_alarm, by_mail=by_mail)


def _channels(notify: NotifySettings) -> list[Channel]:
    """The channels that are configured; a new one is a file of its own in issuer/notify and a line here."""
    return [*([BySyslog(_syslog())] if notify.syslog else [])]


def build_authority(settings: Settings, directory: str) -> AcmeCa:
    """The CA with this directory URL. The CA of [acme] if the URL is "" or not configured any more."""
    known = {ca.directory: ca for ca in settings.authorities}
    return AcmeCa(settings, known.get(directory, settings.acme), time.time)


def configure_log(settings: Settings, arguments: argparse.Namespace, *, least: int = 0) -> None:
    """Set up the log as configured. *least*: the verbosity without -v."""
    verbosity = -1 if arguments.quiet else max(least, arguments.verbose)
    configure(
        verbosity,
        form="plain" if arguments.plain_log else settings.log.form,
        syslog=_syslog() if settings.log.syslog else None,
    )


@functools.cache
def _syslog() -> Syslog:
    """One socket for the life of the process."""
    return Syslog("certfleet-issuer")


@contextlib.contextmanager
def alone(settings: Settings, *, doing: str, beside_daemon: str = "") -> Iterator[None]:
    """While the block runs, no other issuer works with this state folder. Raises LockedError at once if one does, with
    the hint *beside_daemon*, if it is not "", where that is a daemon, which never ends by itself.

    It locks the file that names the owner of our leases. If somebody deletes that file, the next issuer makes
    another owner, so two processes never share an owner.
    """
    make_private_folder(settings.state_dir)
    with contextlib.ExitStack() as lock:
        try:
            lock.enter_context(locked(id_file(settings), doing=doing, skip=len(_id(id_file(settings)))))
        except LockedError as error:
            if beside_daemon and locked_by_daemon(settings):
                error.hint = beside_daemon
            raise
        yield


def owner(settings: Settings) -> str:
    """The owner of our leases. A crash does not change it, so our own orders go on at once. Raises FileError.

    :func:`alone` lets one process at a time use it.
    """
    return f"{socket.gethostname()[:40]}/{_id(id_file(settings))[:20]}"


@functools.cache  # the process keeps its owner even if the file is deleted
def _id(file: Path) -> str:
    """The first line of *file*; makes the file if there is none."""
    if not os.path.lexists(file):
        try:
            create_new(file, secrets.token_hex(8).encode(), mode=0o600)
        except FileError:
            if not os.path.lexists(file):  # else another run was quicker
                raise
    try:
        name = read_regular(file).decode("ascii").partition("\n")[0]
        if not (name and name.isprintable()):
            raise ValueError("it does not begin with a line of text")
    except (OSError, ValueError) as error:
        hint = owner_hint(file) if isinstance(error, PermissionError) else "delete it: a new one is made"
        raise FileError(f"cannot use {file}", why=getattr(error, "strerror", "") or str(error), hint=hint) from error
    return name
