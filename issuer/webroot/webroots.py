"""http-01 as the journeys see it: locate, publish, see, withdraw (RFC 8555 §8.3).

Of a challenge *owner* is the web site's name, *zone* the webroot_path and *value* the key authorization, which starts
with the token: all that is needed to take the file back after a crash.
"""

import importlib
import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from common.errors import Retry
from issuer.config import Settings
from issuer.dns.addresses import Addresses, Unresolved
from issuer.errors import WebrootError
from issuer.model import Challenge, Enrolment
from issuer.webroot.fetch import NoAnswer
from issuer.webroot.layout import Folder, Ledger, check, put, take
from issuer.webroot.ledger import MadeFolders
from issuer.webroot.local import open_local
from issuer.webroot.location import Location, parse_location, refuse_wildcard
from issuer.webroot.serving import Net, not_serving

if TYPE_CHECKING:
    from issuer.webroot.ssh import SshHost

_CHECKED_SECONDS = 60.0  # many names of one certificate lie in one webroot
_LOOKS_AT_ONCE = 16
_FORM = "/var/www/html or sftp://user@host/var/www/html"


class Webroots:
    """Thread-safe. One SSH connection a host, made when it is first needed, gone when it is idle."""

    def __init__(self, settings: Settings):
        self._settings = settings.webroot
        self._ledger = MadeFolders(settings.state_dir / "webroot-folders.json")
        self._addresses = Addresses(settings.dns.resolvers)
        self._hosts: dict[tuple[str, str, int], SshHost] = {}
        self._turns: dict[Location, threading.Lock] = {}
        self._checked: dict[str, float] = {}
        self._lock = threading.Lock()

    def place(self, name: str, row: Enrolment) -> tuple[str, str]:
        """(name, webroot_path) if a challenge file could be put there. Raises WebrootError, ConfigError."""
        text = row.webroot_path.strip()
        try:
            refuse_wildcard(name)
            location = parse_location(text)
        except ValueError as error:
            hint = f"validate wildcards by dns-01, and set webroot_path to a folder like {_FORM}"
            what = f"{name} cannot be validated through a webroot"
            raise WebrootError(what, why=str(error), hint=hint, reference="webroot-path", retry=Retry.NEVER) from error
        if time.monotonic() - self._checked.get(text, -math.inf) > _CHECKED_SECONDS:
            self._work_in(location, check)
            self._checked[text] = time.monotonic()
        return name, text

    def content(self, key_authorization: str) -> str:
        """RFC 8555 §8.3: the file holds the key authorization itself."""
        return key_authorization

    def publish(self, entries: Sequence[Challenge]) -> None:
        """Make every challenge file. Raises WebrootError, ConfigError."""
        for location, mine in _by_webroot(entries).items():
            self._work_in(location, partial(_each, put, mine, self._ledger.of(_machine(location))))

    def withdraw(self, entries: Sequence[Challenge]) -> None:
        """Remove exactly our files, whether they are there or not. Raises WebrootError, ConfigError."""
        for location, mine in _by_webroot(entries).items():
            act = partial(_each, take, mine, self._ledger.of(_machine(location)))
            self._work_in(location, act, may_be_gone=True)

    def unseen(self, entries: Sequence[Challenge]) -> list[str]:
        """A verdict for every address of every name that does not serve its file yet; [] when all do."""
        if not self._settings.fetch or not entries:
            return []
        with ThreadPoolExecutor(min(len(entries), _LOOKS_AT_ONCE), thread_name_prefix="look") as pool:
            return [verdict for found in pool.map(self._unseen, entries) for verdict in found]

    @property
    def patience(self) -> int:
        """Seconds that a web server may take to serve a new file."""
        return self._settings.propagation_timeout

    @property
    def from_outside(self) -> str:
        return "check the web site from outside: the CA fetches http://NAME/.well-known/acme-challenge/ on port 80"

    def too_late(self, verdicts: Sequence[str]) -> WebrootError:
        hint = "check that webroot_path is the folder which that web server serves for plain http on this name"
        what = "the web server does not serve the challenge; the CA was not asked to look"
        return WebrootError(what, why="; ".join(verdicts), hint=hint, reference="webroot-not-served")

    def _unseen(self, entry: Challenge) -> list[str]:
        def addresses(name: str) -> Sequence[str]:
            try:
                return self._addresses.of(name)
            except Unresolved as error:
                raise NoAnswer(str(error)) from error

        net = Net(addresses, self._settings.http_port, self._settings.https_port)
        return not_serving(entry.owner, _token(entry), entry.value, net)

    def _work_in(self, location: Location, act: Callable[[Folder], None], *, may_be_gone: bool = False) -> None:
        """Let *act* work in the open webroot; its trouble with files becomes a WebrootError."""
        with _file_trouble(location, may_be_gone=may_be_gone):
            if not location.host:
                with self._turn(location), closing(open_local(location.folder)) as root:
                    act(root)
                return
            # not before a row needs it: paramiko takes 0.2 s and 10 MB
            open_remote = importlib.import_module("issuer.webroot.sftp").open_remote
            self._host(location).run(lambda client: act(open_remote(client, location.folder)))

    def _turn(self, location: Location) -> threading.Lock:
        """One at a time in a webroot of ours, or one would remove the folder that another has just made."""
        with self._lock:
            return self._turns.setdefault(location, threading.Lock())

    def _host(self, location: Location) -> "SshHost":
        key = (location.user, location.host, location.port)
        with self._lock:
            if key not in self._hosts:
                self._hosts[key] = importlib.import_module("issuer.webroot.ssh").SshHost(location, self._settings)
            return self._hosts[key]


def _each(
    action: Callable[[Folder, str, str, Ledger], None], entries: Sequence[Challenge], ledger: Ledger, root: Folder
) -> None:
    for entry in entries:
        action(root, _token(entry), entry.value, ledger)


def _by_webroot(entries: Sequence[Challenge]) -> dict[Location, list[Challenge]]:
    webroots: dict[Location, list[Challenge]] = defaultdict(list)
    for entry in entries:
        if not entry.zone:
            continue  # published by hand
        try:
            webroots[parse_location(entry.zone)].append(entry)
        except ValueError as error:  # place() let it through: only a changed journal can hold it
            raise WebrootError("the journal names no webroot", why=str(error), retry=Retry.NEVER) from error
    return webroots


def _machine(location: Location) -> str:
    return f"sftp://{location.user}@{location.host}:{location.port}" if location.host else ""


def _token(entry: Challenge) -> str:
    return entry.value.partition(".")[0]


@contextmanager
def _file_trouble(location: Location, *, may_be_gone: bool) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        if may_be_gone:
            return  # with the whole webroot our file is gone too
        lacks = "does not exist" if isinstance(error, FileNotFoundError) else "is not a folder"
        what = f"the webroot {location} {lacks}"
        why = error.strerror or str(error)
        hint = f"it is not created, because it may be a typing mistake: webroot_path is like {_FORM}"
        raise WebrootError(what, why=why, hint=hint, reference="webroot-missing") from error
    except OSError as error:
        hint = "look at permissions, free space and mount options there; everything below must be certfleet's to write"
        raise WebrootError(f"cannot work below {location}", why=error.strerror or str(error), hint=hint) from error
