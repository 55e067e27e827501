"""The http-01 solver: locate, publish, see and withdraw challenge files (RFC 8555 §8.3).

In a Challenge *owner* is the name of the web site. *zone* is the webroot_path; the machine's name stands before a local
folder. *value* is the key authorization, which begins with the token (RFC 8555 §8.1). These three are enough to remove
the file after a crash. An issuer removes a file of another machine only from a folder that both share.
"""

import dataclasses
import importlib
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from common.egress.needs import Need
from common.errors import CertfleetError, ConfigError, Retry
from common.ssh_host_keys import load_pinned_keys
from common.ssh_limits import SshLimits
from common.threads import each_on_thread
from issuer.dns.find.resolvers import Resolvers
from issuer.ground.ttl_cache import TtlCache
from issuer.logs.ends import ends_of, readable
from issuer.model.acme import CaIdentity, Challenge, Laggard
from issuer.model.asked import Asked
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment, Validation
from issuer.model.errors import WebrootError, noted
from issuer.rules.asked import asked_for
from issuer.rules.egress import Needs, of_web_hosts
from issuer.rules.findings import Findings, bad_lines, ok
from issuer.rules.request_lines import web_request
from issuer.webroot.http01 import Http01
from issuer.webroot.layout import Folder, check, gone, put, take, take_seen
from issuer.webroot.ledger import MadeFolders
from issuer.webroot.local import open_local
from issuer.webroot.location import Location, from_journal, parse_location, refuse_wildcard, to_journal
from issuer.webroot.serving import Net, not_serving

if TYPE_CHECKING:
    from issuer.webroot.ssh import SshHost

_CHECKED_SECONDS = 60.0  # the names of a certificate often share a webroot
_LOOKS_AT_ONCE = 16
_ByWebroot = dict[Location, list[Challenge]]
_FORM = "/var/www/html or sftp://user@host/var/www/html"


class Webroots:
    """The :class:`issuer.journey.solver.CheckableSolver` of http-01. Thread-safe. Each host has one SSH connection,
    which its first use opens and which closes when it is idle.

    *machine* is the name of this machine: a webroot without a host is a folder here.
    """

    type = Http01()
    propagation: Mapping[str, float] = {}

    def __init__(self, settings: Settings, machine: str, limits: SshLimits | None = None):
        self._settings = settings.webroot
        self.patience = self._settings.propagation_timeout
        self._machine = machine
        self._limits = limits or SshLimits()
        self._made = MadeFolders(settings.state_dir / "webroot-folders.json")
        resolvers = Resolvers(settings.dns.resolvers)
        ports = self._settings.http_port, self._settings.https_port
        self._net = Net(resolvers.addresses, *ports, inside=settings.acme.ca_bundle is not None)
        self._hosts: dict[tuple[str, str, int], SshHost] = {}
        self._turns: dict[Location, threading.Lock] = {}
        self._checked: TtlCache[Location, bool] = TtlCache(_CHECKED_SECONDS)
        self._lock = threading.Lock()

    def place(self, name: str, row: Enrolment) -> tuple[str, str]:
        _provable(name)
        validation = row.validation.of(name)
        location = _location(row.name, validation)
        self._check(location)
        return name, to_journal(_lasting(location, validation.webroot_path.strip()), self._machine)

    def examine(
        self, subject: str, names: Sequence[str], validation: Validation, authorities: Sequence[CaIdentity]
    ) -> Findings:
        """Can challenge files be made in the webroot?"""
        lines = [line for error in self._obstacles(subject, names, validation) for line in bad_lines(subject, error)]
        return Findings(lines or [ok(subject, f"challenge files can be put into {validation.webroot_path}")])

    def needs(self, names: Sequence[str], validations: Sequence[Validation]) -> Needs:
        """The web servers of *names*, and the machines of their webroots."""
        found = of_web_hosts(names, self._settings.http_port, fetched=self._settings.fetch)
        for validation in validations:
            with suppress(ValueError):  # `check` says so
                location = parse_location(validation.webroot_path.strip())
                if location.host:
                    found.outwards.append(Need(location.host, location.port, "tcp", "webroot over SSH"))
        return found

    def _obstacles(self, subject: str, names: Sequence[str], validation: Validation) -> list[CertfleetError]:
        """Every error that would stop challenge files for *names*, as far as one look can tell."""
        found: list[CertfleetError] = []
        for name in names:
            with noted(found):
                _provable(name)
        with noted(found):
            location = _location(subject, validation)
            try:
                self._check(location)
            except ConfigError:  # raised before the host was asked: ask the host for its errors too
                found += self._host(location).barriers()
        return found

    def load_keys(self) -> None:
        """Does nothing: the first connection reads the key for SSH."""

    def files(self) -> list[tuple[str, Path | None, Callable[[Path], object]]]:
        """The pinned host keys, our key for SSH and the access logs, with their loaders."""
        return [
            ("SSH", self._settings.ssh_host_keys, load_pinned_keys),
            ("SSH", self._settings.ssh_key_file, _load_key),
            *(("access log", Path(log), readable("web server")) for log in self._settings.access_logs),
        ]

    def publish(self, entries: Sequence[Challenge]) -> None:
        """In the webroots of this machine and over SFTP. Raises WebrootError, ConfigError."""
        mine, _ = self._shares(entries)
        for location, some in mine.items():
            self._work_in(location, partial(_each, put, some, self._made.on(_machine(location))))

    def withdraw(self, entries: Sequence[Challenge]) -> None:
        """A file that is absent is no error, unless another machine wrote it: that one must be visible here, in a
        shared folder. Raises WebrootError, ConfigError."""
        mine, others = self._shares(entries)
        for location, some in mine.items():
            act = partial(_each, take, some, self._made.on(_machine(location)))
            self._work_in(location, act, may_be_gone=True)
        for location, some in others.items():
            try:
                self._work_in(location, partial(_each, take_seen, some, self._made.on("")))
            except WebrootError as error:
                raise _elsewhere(some, error) from error

    def keeper(self, entry: Challenge) -> str:
        """The host of the entry's webroot as an sftp:// URL; "" for a local folder."""
        try:
            return _machine(parse_location(from_journal(entry.zone)[1]))
        except ValueError:
            return ""

    def unseen(self, entries: Sequence[Challenge]) -> list[Laggard]:
        if not self._settings.fetch:
            return []
        looks = each_on_thread(self._unseen, entries, _LOOKS_AT_ONCE)
        return [laggard for look in looks for laggard in look.result()]

    def too_late(self, laggards: Sequence[Laggard]) -> WebrootError:
        hints = {laggard.hint for laggard in laggards}
        folder = "check that webroot_path is the folder that the web server serves for this name over plain http"
        hint = (hints.pop() if len(hints) == 1 else "") or folder
        what = "the web server does not serve the challenge; the CA was not asked to validate"
        return WebrootError(what, why="; ".join(map(str, laggards)), hint=hint, reference="webroot-not-served")

    def asked(self, entries: Sequence[Challenge], since: float) -> Asked | None:
        """The requests for these files in the access logs. A web server on another machine may log elsewhere."""
        if not self._settings.access_logs:
            return None
        paths = {entry.owner: [f"/.well-known/acme-challenge/{_token(entry)}"] for entry in entries}
        asked = asked_for("web server", paths, ends_of(self._settings.access_logs, since), since, web_request)
        here = {entry.owner for entry in entries if entry.ours and not self.keeper(entry)}
        return dataclasses.replace(asked, silent=tuple(name for name in asked.silent if name in here))

    def _unseen(self, entry: Challenge) -> list[Laggard]:
        return not_serving(entry.owner, _token(entry), entry.value, self._net)

    def _check(self, location: Location) -> None:
        def passes() -> bool:
            self._work_in(location, check)
            return True

        self._checked.get(location, passes)

    def _work_in(self, location: Location, act: Callable[[Folder], None], *, may_be_gone: bool = False) -> None:
        """Call *act* with the open webroot. Raises WebrootError, also for an OSError of *act*.

        *may_be_gone*: a webroot that does not exist is no error.
        """
        with _file_trouble(location, may_be_gone=may_be_gone):
            if not location.host:
                with self._turn(location), closing(open_local(location.folder)) as root:
                    act(root)
                return
            # a late import: paramiko takes 0.2 s and 10 MB
            open_remote = importlib.import_module("issuer.webroot.sftp").open_remote
            self._host(location).run(lambda client: act(open_remote(client, location.folder)))

    def _shares(self, entries: Sequence[Challenge]) -> tuple[_ByWebroot, _ByWebroot]:
        """(entries that this machine can work on, entries in folders of other machines), by webroot."""
        mine: _ByWebroot = defaultdict(list)
        others: _ByWebroot = defaultdict(list)
        for entry in entries:
            machine, text = from_journal(entry.zone)
            try:
                (mine if machine in ("", self._machine) else others)[parse_location(text)].append(entry)
            except ValueError as error:  # somebody changed the journal: place() lets no such text in
                raise WebrootError("the journal names no webroot", why=str(error), retry=Retry.NEVER) from error
        return mine, others

    def _turn(self, location: Location) -> threading.Lock:
        """The lock of a local webroot: without it one thread could remove a folder that another has just made."""
        with self._lock:
            return self._turns.setdefault(location, threading.Lock())

    def _host(self, location: Location) -> "SshHost":
        key = (location.user, location.host, location.port)
        with self._lock:
            if key not in self._hosts:
                self._hosts[key] = importlib.import_module("issuer.webroot.ssh").SshHost(
                    location, self._settings, self._limits
                )
            return self._hosts[key]


def _provable(name: str) -> None:
    """Raise WebrootError for a name that http-01 cannot validate."""
    try:
        refuse_wildcard(name)
    except ValueError as error:
        raise _unusable(name, error, "validate wildcards by dns-01") from error


def _load_key(file: Path) -> None:
    importlib.import_module("common.ssh").load_private_key(file)  # a late import: paramiko takes 0.2 s


def _location(subject: str, validation: Validation) -> Location:
    """The webroot of the certificate *subject*. Raises WebrootError."""
    try:
        return parse_location(validation.webroot_path.strip())
    except ValueError as error:
        raise _unusable(subject, error, f"set webroot_path to a folder like {_FORM}") from error


def _lasting(location: Location, text: str) -> str:
    """The webroot_path *text*; for a local folder, its path without symbolic links. A deployment may switch the links
    before the file is removed."""
    if location.host:
        return text
    real = os.path.realpath(location.folder)
    try:
        parse_location(real)
    except ValueError:  # too long for the journal
        return text
    return real


def _unusable(name: str, error: ValueError, hint: str) -> WebrootError:
    what = f"{name} cannot be validated through a webroot"
    return WebrootError(what, why=str(error), hint=hint, reference="webroot-path", retry=Retry.NEVER)


def _each(
    action: Callable[[Folder, str, str, MadeFolders], None],
    entries: Sequence[Challenge],
    made: MadeFolders,
    root: Folder,
) -> None:
    for entry in entries:
        action(root, _token(entry), entry.value, made)


def _elsewhere(entries: Sequence[Challenge], error: WebrootError) -> WebrootError:
    machines = ", ".join(sorted({from_journal(entry.zone)[0] for entry in entries}))
    what = f"a challenge file was written on {machines} and can be removed only there"
    hint = "the issuer there removes it in its next run; with two issuers use sftp:// for every webroot"
    return WebrootError(what, why=str(error), hint=hint)


def _machine(location: Location) -> str:
    return f"sftp://{location.user}@{location.host}:{location.port}" if location.host else ""


def _token(entry: Challenge) -> str:
    return entry.value.partition(".")[0]


@contextmanager
def _file_trouble(location: Location, *, may_be_gone: bool) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        if may_be_gone:  # the file is gone with its webroot
            gone(str(location))
            return
        lacks = "does not exist" if isinstance(error, FileNotFoundError) else "is not a folder"
        what = f"the webroot {location} {lacks}"
        why = error.strerror or str(error)
        hint = f"certfleet does not create it, because it may be a typing mistake: webroot_path is like {_FORM}"
        raise WebrootError(what, why=why, hint=hint, reference="webroot-missing") from error
    except OSError as error:
        hint = "look at permissions, free space and mount options there; certfleet must be able to write below it"
        raise WebrootError(f"cannot work below {location}", why=error.strerror or str(error), hint=hint) from error
