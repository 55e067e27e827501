"""The real adapters, put together, and the words of a command line as the journeys take them."""

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from agent.host.files import LocalFiles
from agent.host.presence import presence
from agent.host.read_only import ReadOnlyFiles, ReadOnlyState
from agent.host.state_folder import StateFolder
from agent.host.waits import Waits
from agent.journey.ports import Files, Keys, Messages, Programs, Revocations, Sockets, Source, StateStore, Tools, Trust
from agent.model.certificate import Certificate
from agent.model.errors import HostLost
from agent.model.presence import Finder, nowhere
from agent.model.remote_host import RemoteHost, SshAddress
from agent.settings.config import AgentSettings, questions, resolve
from agent.source.open import open_source, own_files
from common.errors import CertfleetError, ConfigError, FileError, Finding, LockedError, UsageError
from common.files import is_locked, locked
from common.names import parse_name
from common.similar import did_you_mean

if TYPE_CHECKING:
    from agent.remote.keys import RemoteKeys
    from agent.remote.session import Session
    from common.probe.view import KeyType


class LocalTools:
    """The Tools of ``agent.journey.ports`` for this machine. *certificates* are all that *config* asks for.

    Nothing is connected yet. *read_only*: state folder and live files are read and never written. Raises ConfigError
    for a source or a password file that is not as it must be.
    """

    def __init__(
        self,
        settings: AgentSettings,
        certificates: Sequence[Certificate],
        config: Path,
        *,
        retry: bool,
        read_only: bool = False,
    ):
        inputs = {file for one in certificates for file in (*one.inputs, *(one.keys if one.host is None else ()))}
        logins = {file for one in certificates if one.host for file in (one.host.key_file, one.host.host_keys)}
        protected = [settings.state_dir, config, *inputs, *logins, *own_files(settings.source)]
        if sys.prefix != sys.base_prefix:  # a virtual environment: what root runs
            protected.append(Path(sys.prefix))
        self.settings, self.read_only = settings, read_only
        self.certificates: Sequence[Certificate] = certificates
        self._config = config
        self._there: dict[RemoteHost, Finder] = {}
        self._elsewhere: dict[RemoteHost, RemoteTools] = {}
        self.waits = Waits()
        self.source: Source = open_source(settings.source, config, self.waits)
        self.folder = (ReadOnlyState if read_only else StateFolder)(settings.state_dir)
        self.state: StateStore = self.folder
        self.files: Files = (ReadOnlyFiles if read_only else LocalFiles)()
        self.protected: Sequence[Path] = [Path(os.path.realpath(one)) for one in protected]
        self.host, self.now, self.retry = os.uname().nodename, time.time(), retry
        self.keep = settings.keep

    def on(self, host: RemoteHost | None) -> Tools:
        return self if host is None else self._at(host)

    def reach(self, certificates: Sequence[Certificate]) -> list[Certificate]:
        hosts = dict.fromkeys(one.host for one in certificates if one.host and one.host not in self._there)
        if hosts:
            from agent.remote.presence import finders  # noqa: PLC0415 - paramiko costs 0.2 s, and most agents do without
            from agent.remote.session import reach  # noqa: PLC0415 - as above

            sessions = [self._at(host).session for host in hosts]
            reach(sessions, self.waits)
            asked = questions(self.settings, self._config, [host.address for host in hosts])
            its = {session: asked[host.address] for session, host in zip(sessions, hosts, strict=True)}
            self._there |= zip(hosts, finders(its, self.waits), strict=True)
            self.certificates = resolve(self.settings, self._config, presence, _by_address(self._there))
        by_name = {one.name: one for one in self.certificates}
        return [by_name[one.name] for one in certificates]

    @property
    def is_reached(self) -> bool:
        return True

    def _at(self, host: RemoteHost) -> "RemoteTools":
        return self._elsewhere.setdefault(host, RemoteTools(self, host))

    def close(self) -> None:
        """End every connection."""
        self.source.close()
        for tools in self._elsewhere.values():
            tools.close()

    def unbroken(self) -> AbstractContextManager[None]:
        return self.waits.unbroken()

    @property
    def keys(self) -> Keys:
        from agent.host import keys  # noqa: PLC0415 - cryptography costs 0.1 s, and a run without news has no use for it
        from agent.host.rehearsed_keys import RehearsedKeys  # noqa: PLC0415 - as above

        return RehearsedKeys(self.files.would_be) if isinstance(self.files, ReadOnlyFiles) else keys

    @property
    def trust(self) -> Trust:
        from agent.host import trust  # noqa: PLC0415 - ssl and cryptography, for a new certificate only

        return trust

    @cached_property
    def revocations(self) -> Revocations:
        from agent.host.revocations import Revocations as Local  # noqa: PLC0415 - X.509, for an earlier certificate only

        return Local(self.waits)

    @property
    def programs(self) -> Programs:
        from agent.host.programs import LocalPrograms  # noqa: PLC0415 - subprocess, for an install only

        return LocalPrograms(self.settings.command_timeout, self.waits)

    @property
    def messages(self) -> Messages:
        from agent.host.messages import LocalMessages  # noqa: PLC0415 - mail and subprocess, where there is news

        return LocalMessages(self.settings, self.host, self.waits)

    @property
    def sockets(self) -> Sockets:
        from agent.host.sockets import Prober, own_key_type  # noqa: PLC0415 - ssl, for certificates with a probe

        def type_of(key: Path, host: RemoteHost | None) -> "KeyType":
            return own_key_type(key) if host is None else self._at(host).type_of(key)

        return Prober(self.settings.probe_timeout, self.waits, type_of=type_of)


def _by_address(there: Mapping[RemoteHost, Finder]) -> dict[SshAddress, Finder]:
    """The Finder of each address. Of several logins with a host one may have failed: what another one saw counts."""
    each = [(host.address, find) for host, find in there.items()]
    return dict(each) | {address: find for address, find in each if find is not nowhere}


class RemoteTools:
    """The Tools for another machine: files, keys and programs are there, all else is here."""

    def __init__(self, local: LocalTools, host: RemoteHost):
        self._local, self._host = local, host
        self.source, self.state = local.source, local.state
        self.host, self.now, self.retry, self.keep = local.host, local.now, local.retry, local.keep

    def on(self, host: RemoteHost | None) -> Tools:
        return self._local.on(host)

    def unbroken(self) -> AbstractContextManager[None]:
        return self._local.unbroken()

    def reach(self, certificates: Sequence[Certificate]) -> list[Certificate]:
        return self._local.reach(certificates)

    @property
    def is_reached(self) -> bool:
        return self.session.is_open

    @property
    def certificates(self) -> Sequence[Certificate]:
        return self._local.certificates

    def close(self) -> None:
        self.session.close()

    @cached_property
    def session(self) -> "Session":
        from agent.remote.session import Session  # noqa: PLC0415 - paramiko costs 0.2 s, and most agents have no use for it

        return Session(self._host, self._local.waits)

    @cached_property
    def files(self) -> Files:
        from agent.remote.files import ReadOnlyRemoteFiles, RemoteFiles  # noqa: PLC0415 - as above

        return (ReadOnlyRemoteFiles if self._local.read_only else RemoteFiles)(self.session)

    @property
    def protected(self) -> Sequence[Path]:
        """Real paths of the keys on that host. Raises HostLost."""
        own = (one for one in self._local.certificates if one.host == self._host)
        return [real_key(key, self.files) for one in own for key in one.keys]

    @cached_property
    def keys(self) -> "RemoteKeys":
        from agent.remote.keys import RemoteKeys  # noqa: PLC0415 - as above, and cryptography

        return RemoteKeys(self.session)

    @property
    def trust(self) -> Trust:
        from agent.remote import trust  # noqa: PLC0415 - as above

        return trust

    @property
    def revocations(self) -> Revocations:
        return self._local.revocations

    @property
    def programs(self) -> Programs:
        from agent.remote.programs import RemotePrograms  # noqa: PLC0415 - as above

        return RemotePrograms(self._local.settings.command_timeout, self.session)

    @property
    def messages(self) -> Messages:
        return self._local.messages

    @property
    def sockets(self) -> Sockets:
        return self._local.sockets

    def type_of(self, key: Path) -> "KeyType":
        """The type of a key on that host, asked for once. "" where it cannot be read: its other users report that."""
        try:
            known = self.keys.types.get(key) or self.keys.load(key).key_type
        except CertfleetError:
            return ""
        return "rsa" if known.startswith("rsa") else "ecdsa"


def real_key(key: Path, files: Files) -> Path:
    """*key* with all links followed; *key* itself where it is not there, or where others can exchange it. Raises
    HostLost."""
    try:
        return files.locate(key)
    except HostLost:
        raise
    except FileError:
        return key


@contextmanager
def tools_at_work(
    settings: AgentSettings, certificates: Sequence[Certificate], config: Path, *, doing: str, retry: bool = False
) -> Iterator[LocalTools]:
    """Yield the tools of a command that changes this host, under the lock of the state folder. *doing*: the word for it
    in the lock file. Raises LockedError while another command has the lock, ConfigError, FileError."""
    with closing(LocalTools(settings, certificates, config, retry=retry)) as tools:
        tools.folder.create()
        with locked(tools.folder.lock_file, doing=doing, on_full_disk=True):
            yield tools


def refuse_beside_a_run(state: StateFolder) -> None:
    """Raises LockedError while a run is under way."""
    if is_locked(state.lock_file):
        raise LockedError(f"a run holds {state.lock_file}", hint="let it finish")


@contextmanager
def keys_on(host: RemoteHost | None) -> Iterator[Keys]:
    """Yield the keys of *host*, None for this machine, until the block ends."""
    if host is None:
        from agent.host import keys  # noqa: PLC0415 - as above

        yield keys
        return
    from agent.remote.keys import RemoteKeys  # noqa: PLC0415 - as above
    from agent.remote.session import Session  # noqa: PLC0415 - as above

    with closing(Session(host, Waits())) as session:
        yield RemoteKeys(session)


def name_in(text: str) -> str:
    """The DNS name or IP address in *text*. Raises UsageError if it is none."""
    try:
        return parse_name(text)
    except ValueError as error:
        raise UsageError(str(error)) from error


def further_names(texts: Sequence[str]) -> list[str]:
    """The names in the words after `--san`, which may have commas between them. Raises UsageError."""
    return [name_in(part) for text in texts for part in text.split(",") if part]


def selected_of(names: Sequence[str], certificates: Sequence[Certificate], config: Path) -> list[Certificate]:
    """The *certificates* that the *names* of a command line mean; without names, all. Raises UsageError; ConfigError
    where none is configured."""
    if not certificates:
        finding = Finding("certificate", "none is configured")
        raise ConfigError(str(config), [finding], hint="add a [[certificate]]")
    by_name = {one.name: one for one in certificates}
    wanted = [name_in(name) for name in names] or list(by_name)
    unknown = [name for name in wanted if name not in by_name]
    if unknown:
        hint = f"{did_you_mean(unknown, by_name)}configured are: {', '.join(by_name)}"
        raise UsageError(f"not configured in {config}: {', '.join(unknown)}", hint=hint)
    return [by_name[name] for name in dict.fromkeys(wanted)]
