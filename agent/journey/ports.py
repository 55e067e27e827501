"""The world as the journeys see it: every Protocol on one page. The command line wires the real ones.

Files, Keys, Programs and Sockets act on the machine that serves a certificate, and paths are that machine's; where it
is another one than the agent's, each of their methods may raise HostLost. The state folder is always on the agent's
machine. Digests are SHA-256 in hex, moments epoch seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from common.dataclasses import dataclass, replace

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from agent.model.certificate import Anchors, Certificate, Command, Keystore
    from agent.model.errors import SourceError
    from agent.model.host_key import HostKey
    from agent.model.live_file import LiveFile
    from agent.model.notice import Notice
    from agent.model.offer import Mark, Offer
    from agent.model.remote_host import RemoteHost
    from agent.model.result import Outcome, Result
    from agent.model.waiting import Pause
    from agent.rules.evidence import LookAt, Sight
    from agent.rules.journal import JournalEntry
    from common.certificate import Bundle
    from common.revocation.state import Revocation


class Source(Protocol):
    """The place that certificates come from. Every method but `close` raises SourceError when the source cannot be
    asked or refuses."""

    def marks(self, names: Sequence[str]) -> Mapping[str, Mark]:
        """The cheap question, asked once for all *names*: the mark of each that is enrolled; others are left out."""

    def fetch(self, name: str) -> Offer | None:
        """Leaf and chain, and what the database says of them; None if the name is not enrolled."""

    def report(self, results: Sequence[Result], host: str, moment: int) -> Mapping[str, SourceError]:
        """Write the rows of *host* in the table ``installations``, each replacing the one before. *moment*: now.
        Returns the errors of those that were refused, by name. After an error some may be written."""

    def confirm(self, results: Sequence[Result], host: str, moment: int) -> int:
        """Say at once that the reports of *host* with these *results* are still true. Returns how many of them the
        source has. One that tells of another state or certificate does not count: the database may be a backup's."""

    def moment(self) -> float | None:
        """The time of the source; None where that is the clock of this machine."""

    def close(self) -> None:
        """Close the connection; may be called twice."""


class StateStore(Protocol):
    """The files that the agent keeps for itself. Every method raises FileError when it cannot."""

    def record(self, name: str) -> Result:
        """The last result of a certificate; one that never ran if there is none, or none that can be understood. It is
        outdated if a later one could not be kept."""

    def save_records(self, results: Sequence[Result]) -> None:
        """Keep *results*, all but the fields about one run; all are as they were if one cannot be kept."""

    def issuer_key(self, pinned: str) -> str:
        """The issuer's key that took the place of the one *pinned* in agent.toml; that itself where none did."""

    def save_issuer_key(self, pinned: str, present: str) -> None:
        """Keep that *present* has taken the place of *pinned*; both as agent.toml has them."""

    def confirmed_at(self) -> float:
        """The moment when all reports were last confirmed; 0 for never. Never raises."""

    def save_confirmed(self, moment: float) -> None:
        """Keep that all reports were confirmed at *moment*."""

    def kept_serials(self, name: str) -> list[str]:
        """The serial numbers (hex) of the certificates of *name* that are kept, the one put in place last first."""

    def save_kept(self, certificates: Sequence[tuple[str, str, bytes]]) -> None:
        """Keep each: its name, its serial number (hex), and the full chain in PEM. It counts as the one of that name
        put in place last. After an error some may be kept."""

    def read_kept(self, name: str, serial: str) -> bytes:
        """The full chain, in PEM, of the certificate of *name* that is kept with that serial number."""

    def drop_kept(self, name: str, serial: str) -> None:
        """Forget the certificate of *name* that is kept with that serial number."""

    def pause(self, name: str) -> Pause | None:
        """The pause that a person has made for *name*, even if it is over; None if there is none."""

    def journals(self) -> list[JournalEntry]:
        """Installs that did not come to their end. FileError too if one is damaged."""

    def free_journal(self, name: str) -> str:
        """A name for an install that begins with *name*: that itself where no open one has it. Never raises."""

    def save_journal(self, entry: JournalEntry) -> None:
        """Note how far an install has come, before the step that this names."""

    def new_work(self, name: str) -> None:
        """Make an empty private folder for the backups of the install *name*."""

    def save_work(self, name: str, label: str, content: bytes) -> Path:
        """Put *content* into that folder as the file *label*, readable for this user alone. It survives a power cut
        only after `sync_work`."""

    def sync_work(self, name: str) -> None:
        """Make all that is in that folder survive a power cut."""

    def read_work(self, file: Path) -> bytes | None:
        """The content of a *file* that `save_work` returned; None if it is not there."""

    def finish(self, name: str) -> None:
        """The install *name* has ended: remove its journal, then its work folder."""

    def sweep(self) -> None:
        """Remove everything that killed installs have left and that no journal needs."""


class Files(Protocol):
    """The live files. Every method but `stamp` and `release` raises FileError when it cannot.

    A path that was asked for means the same folder until `release`, even if others exchange it meanwhile. Symbolic
    links are followed where nobody but root and the agent's user can make them lead elsewhere; others are a FileError.
    """

    is_rehearsal: bool  # nothing is written, and a run would write it

    def stamp(self, file: Path) -> str:
        """A text that changes with the file or with what keeps it from being looked at; never raises."""

    def digest(self, file: Path) -> str:
        """SHA-256 (hex) of the content; "" if there is no such file."""

    def read(self, file: Path) -> LiveFile | None:
        """The file as it is, None if there is none. FileError too for what is no regular file or larger than 1 MB."""

    def locate(self, file: Path) -> Path:
        """The real path behind all links. FileError too if its folder does not exist."""

    def is_dangling(self, file: Path) -> bool:
        """Is it a link that leads to nothing?"""

    def owner_ids(self, owner: str, group: str) -> tuple[int, int]:
        """The numbers of a user and a group, which may be numbers already; -1 for ""."""

    def replace(self, contents: Mapping[Path, LiveFile]) -> None:
        """Put all of them in place, one rename each: none if one cannot be written, as far as file systems allow."""

    def restore(self, old: Mapping[Path, LiveFile | None]) -> None:
        """Put every file back; remove one that was not there, and temporaries of a killed `replace` where it can."""

    def release(self) -> None:
        """The turn has ended: forget the folders that paths led to."""


class Keys(Protocol):
    """Private keys, which never leave the machine."""

    def load(self, file: Path) -> HostKey:
        """The key in *file*. Raises ConfigError if it is absent, unreadable or too open, RefusedError if no service
        or CA would take it."""

    def is_there(self, file: Path) -> bool:
        """Is anything at that path, be it a link that leads to nothing?"""

    def create(self, file: Path, key_type: str) -> HostKey:
        """Make a key in a new *file*, 0600; *key_type* as in ``request --key-type``. FileError if it exists."""

    def csr_of(self, file: Path, names: tuple[str, ...]) -> bytes:
        """A request in PEM (RFC 2986) for *names*, signed by the key in *file*; the first is the common name too where
        it fits. Raises as `load`, and FileError."""

    def self_signed(self, file: Path, names: tuple[str, ...], days: int) -> bytes:
        """A self-signed certificate in PEM, for a server with *names*, of the key in *file*, valid for *days* from now
        on. Raises as `csr_of`."""

    def csr_facts(self, pem: bytes) -> tuple[str, tuple[str, ...]]:
        """SHA-256 (hex) of the SubjectPublicKeyInfo of a CSR in PEM, and its names, sorted. Raises ValueError if it is
        no CSR."""

    def keystore(self, store: Keystore, fullchain: bytes, key: HostKey, live: bytes) -> bytes:
        """Leaf and chain of *fullchain* (PEM) and *key* in PKCS#12 (RFC 7292); *live*, the present file, if it holds
        just these. Raises ConfigError for a bad password file, RefusedError where the key is on another host."""

    def stored(self, store: Keystore, content: bytes) -> bytes:
        """The certificates of a keystore in PEM, b"" if it cannot be opened. Raises ConfigError as `keystore` does."""


class Trust(Protocol):
    """The judgement of clients."""

    def objection(self, fullchain: bytes, key: HostKey, names: Iterable[str], roots: Anchors) -> str:
        """Why a client that trusts *roots* refuses *fullchain* (PEM), served with *key* under *names*; "" if it takes
        it under all. *roots*: those of the system's store, a PEM file, or PEM; "none": no client is asked, only whether
        a server can load them. Raises ConfigError for a file without any."""


class Revocations(Protocol):
    """The word of CAs."""

    def of(self, bundle: Bundle, now: float) -> Revocation:
        """Ask the CA of the leaf whether it is revoked at *now*, by the lists (RFC 5280 §5) and responders (RFC 6960)
        that the leaf names. All questions of a run that nobody answers take some ten seconds together. Unknown is an
        answer too: only Stopped is raised."""


class Programs(Protocol):
    """The operator's own commands."""

    def run(self, step: str, commands: Iterable[Command]) -> None:
        """Run each to its end, one after another. Raises InstallError, with *step* in it, at the first that fails."""

    def lines(self, command: Command) -> list[str]:
        """The last lines that it prints; none if it fails or takes long."""

    def ends_of(self, log: str) -> list[str]:
        """The last lines of the files that fit *log*, in which a star stands for any text. A file that is not regular,
        or to which a link of others than root leads, gives none."""


class Messages(Protocol):
    """People of this host, and their programs."""

    def tell(self, notices: Sequence[Notice]) -> None:
        """Tell each by its means, those of one run in one mail. Never raises a CertfleetError: what could not be told
        is logged."""


class Sockets(Protocol):
    """The certificates served; and the time to go on looking, on a monotonic clock of its own, in seconds."""

    def look_at_all(self, asked: Sequence[LookAt]) -> list[tuple[Sight, ...]]:
        """A look for each certificate at every address of its targets, some side by side; never raises."""

    def deadline(self, settle: float) -> float:
        """The end of the time that a service gets to show what is waited for: *settle* seconds from now, at least."""

    def steady_until(self) -> float:
        """The moment until which the service must go on showing it."""

    def wait(self, deadline: float, count: int) -> bool:
        """Pause before another look, the longer the more (*count*) were made; False once *deadline* has passed."""


class Tools(Protocol):
    """Everything that a run acts with. Adapters with libraries that are slow to import are imported when asked for."""

    source: Source
    state: StateStore
    host: str  # the name that reports carry
    now: float  # the one moment of the run
    retry: bool  # try refused certificates at once
    keep: int  # how many certificates stay for a roll back by hand

    def on(self, host: RemoteHost | None) -> Tools:
        """The tools for *host*, None for this machine: those that act on a machine act there, the others are shared."""

    def reach(self, certificates: Sequence[Certificate]) -> list[Certificate]:
        """Connect to the hosts of all of them side by side: one that is down does not hold up the others. Returns the
        certificates with the commands that fit their hosts, which `certificates` has too then. Raises ConfigError."""

    def unbroken(self) -> AbstractContextManager[None]:
        """While the block runs, a request to stop waits; elsewhere it ends each wait with Stopped."""

    @property
    def is_reached(self) -> bool:
        """Is this the agent's own machine, or one with a connection that was made?"""

    @property
    def certificates(self) -> Sequence[Certificate]:
        """All that agent.toml asks for."""

    @property
    def protected(self) -> Sequence[Path]:
        """Real paths of files and folders that are never a target."""

    @property
    def files(self) -> Files: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def trust(self) -> Trust: ...
    @property
    def revocations(self) -> Revocations: ...
    @property
    def programs(self) -> Programs: ...
    @property
    def messages(self) -> Messages: ...
    @property
    def sockets(self) -> Sockets: ...


@dataclass(frozen=True, slots=True)
class Turn:
    """One certificate's turn in a run: what is asked for, how it stood before, and what to act with."""

    certificate: Certificate
    before: Result
    tools: Tools
    pause: Pause | None = None  # a person said that nothing new is taken
    disabled: bool = False  # the issuer does not renew it
    neighbours: tuple[Certificate, ...] = ()  # others, whose sockets are looked at too during its install
    journal: str = ""  # the name of an install that begins with it
    superseded: bool = False  # the source has another one than what is staged
    away: SourceError | None = None  # the source cannot be asked, and what is staged stands in
    first_look: Callable[[Turn], tuple[Sight, ...]] | None = None  # shows it as it was before the run changed anything

    def result(self, outcome: Outcome, detail: str = "", hint: str = "") -> Result:
        """The result of this turn; what is installed and what is refused are as before."""
        said = replace(self.before, pause=self.pause, disabled=self.disabled, postponed=None, outdated=False)
        staged = None if self.superseded else said.staged
        return replace(said, outcome=outcome, detail=detail, hint=hint, staged=staged)
