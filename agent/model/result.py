"""The standing of one certificate: one value for the journey, the state folder, the screen, ``--json`` and the table
``installations``. Moments are epoch seconds, digests SHA-256 in hex."""

from collections.abc import Mapping
from enum import Enum

from agent.model.offer import Mark, Staged
from agent.model.waiting import GoneBack, Pause, Postponed
from common.dataclasses import dataclass, field, replace

LONGEST_BACK_OFF = 86400  # seconds that a refused certificate waits at most
_LONGEST_DETAIL = 2000  # characters of a detail that are reported
_DISABLED = "disabled at the issuer (enable = 'N'): it is not renewed there"
_LONGEST_UNSENT = 86400  # seconds for which a report may wait


class Outcome(Enum):
    """The state of a certificate after a run, in the words of reports and of ``status``."""

    INSTALLED = "installed"  # in place, and seen on every socket that answers
    UNPROVABLE = "unprovable"  # in place; the operator says that no socket can show it (probe = [])
    UNPROVEN = "unproven"  # in place; but no socket could be asked, or nothing answers there
    INCOMPLETE = "incomplete"  # in place and seen; but a socket leaves out certificates of its chain
    ENDING = "ending"  # in place; but little of its life is left, and nothing newer has come
    EXPIRED = "expired"  # in place; but its life has ended, and nothing newer has come
    PAUSED = "held"  # nothing is installed yet, because a person said to wait: a pause or a window
    PENDING = "pending"  # in place; an operator restarts the service by hand, and has not yet
    WAITING = "waiting"  # enrolled; the issuer has not obtained the first certificate yet
    NOT_ENROLLED = "not-enrolled"  # the source does not know the name
    UNREACHABLE = "unreachable"  # the source, or the host that it is for, could not be asked
    REFUSED = "refused"  # the certificate offered must not be installed; no live file was touched
    FAILED = "failed"  # the install failed; everything is as it was before
    BROKEN = "broken"  # the install failed and the old state could not be brought back
    NEVER_RUN = "never-run"  # nothing is on record

    @property
    def is_well(self) -> bool:
        return self in {Outcome.INSTALLED, Outcome.UNPROVABLE, Outcome.PAUSED}

    @property
    def is_proven(self) -> bool:
        return self is Outcome.INSTALLED


@dataclass(frozen=True, slots=True)
class Installed:
    """The certificate that the agent has put into the live files. *written*: what it wrote to each path, and how the
    key's own file was (``LiveFile.facts``), whatever lies there since. An earlier agent recorded none of the last four.
    """

    sha256: str
    serial: str
    not_after: int
    mark: Mark  # that of its row then
    files: Mapping[str, str]  # the digest of each live file, by its path
    circumstances: str  # settings and keys then: ``Certificate.circumstances``
    not_before: int = 0
    chain: tuple[str, ...] = ()  # the digest of each certificate that a service must show beside the leaf
    by_issuer: bool = False  # no trusted root vouches for it, only the CA of its predecessor
    written: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A certificate that is not tried again before *until*, unless its row, the key or the settings change.

    *sha256* is that of leaf and chain as they were offered. *alone*: a service went down with it and others together.
    """

    outcome: Outcome
    reason: str
    sha256: str
    mark: Mark
    circumstances: str
    attempts: int
    until: int
    hint: str = ""
    alone: bool = False

    def lasts(self, circumstances: str, now: float) -> bool:
        """Is it too early to try it again at *now*? A moment further ahead than it is ever set comes from a wrong clock
        and does not count."""
        return self.circumstances == circumstances and now < self.until <= now + LONGEST_BACK_OFF


@dataclass(frozen=True, slots=True)
class Stated:
    """The newest statement of the issuer that was taken here: its *sequence*, and the *sha256* of the leaf it named.
    *issuer_key* stood in agent.toml then. Where a person writes another one there, sequences begin anew: after the loss
    of a key they need not be higher."""

    sequence: int
    sha256: str
    issuer_key: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """People were told of the *outcome* at the moment *at*, and of no other one since."""

    outcome: str
    at: int


@dataclass(frozen=True, slots=True)
class Result:
    """One certificate. Two results are equal if they say the same about it, whenever that was and whoever was told:
    then nothing needs to be written or reported. The last six fields are about one run, and are not kept."""

    name: str
    outcome: Outcome = Outcome.NEVER_RUN
    detail: str = ""  # why it is as it is
    hint: str = ""  # what to do
    installed: Installed | None = None
    refusal: Refusal | None = None
    since: int = field(default=0, compare=False)  # when what it says has last changed
    unsent: int = field(default=0, compare=False)  # since when the issuer's side has not been told; 0: it has
    stated: Stated | None = None
    past: tuple[str, ...] = ()  # SHA-256 of the leaves that were installed here, newest first
    gone_back: GoneBack | None = None  # this one, `pause` and `postponed`: why a newer one is not taken
    pause: Pause | None = None
    postponed: Postponed | None = None
    staged: Staged | None = None  # that newer one, until it is installed or the source has another one
    alarm: Alarm | None = field(default=None, compare=False)  # what people of this host were last told
    disabled: bool = False  # the issuer does not renew it
    took_down: tuple[str, ...] = ()  # its services that an install took down, and that were not seen to run since
    outdated: bool = False  # a later result could not be put on record
    changed: bool = field(default=False, compare=False)  # new live files were put in place
    at_fault: bool = field(default=False, compare=False)  # the certificate offered is not tried again for a while
    alone: bool = field(default=False, compare=False)  # when it is tried again, it goes without others
    ran_on: bool = field(default=False, compare=False)  # its services took none of the new files, and kept serving
    ended: bool = field(default=False, compare=False)  # the journal of its install may go
    notes: tuple[str, ...] = field(default=(), compare=False)  # to be told even where all is well

    @property
    def remarks(self) -> tuple[str, ...]:
        """Sentences about people's own decisions (going back, a pause), to be told with any outcome."""
        said = [one.sentence for one in (self.gone_back, self.pause, self.postponed) if one is not None]
        return (*said, *([_DISABLED] if self.disabled else []))

    @property
    def is_kept_from_newer(self) -> bool:
        """Has a person said that a newer one is not taken?"""
        return self.gone_back is not None or self.pause is not None

    @property
    def explanation(self) -> str:
        """The detail, and the remarks."""
        return "; ".join(filter(None, (self.detail, *self.remarks)))

    def stated_by(self, issuer_key: str) -> Stated | None:
        """The newest statement taken under that key of agent.toml."""
        return self.stated if self.stated is not None and self.stated.issuer_key == issuer_key else None

    def is_untold(self, now: float) -> bool:
        """Has the issuer's side not been told for a day? True too if the clock was ahead, so that nobody knows. Then
        what it says about this host may be untrue."""
        return self.unsent > 0 and not 0 <= now - self.unsent < _LONGEST_UNSENT

    def columns(self) -> tuple[str, int, str, str]:
        """The columns sha256, not_after, state and detail (cut to its bound) of the table ``installations``."""
        installed = self.installed
        sha256, not_after = (installed.sha256, installed.not_after) if installed else ("", 0)
        return sha256, not_after, self.outcome.value, self.explanation[:_LONGEST_DETAIL]


def with_notes_told(result: Result) -> Result:
    """*result* with its notes in the detail, which is kept and reported."""
    return replace(result, detail="; ".join(filter(None, (result.detail, *result.notes))))
