"""Challenge types: what is special about one way to prove control of a name, and nowhere else (RFC 8555 §8).

A :class:`ChallengeType` speaks for itself without asking anybody; its :class:`Solver` acts. A new one is a file with
both and its line in :mod:`issuer.commands.challenge_types`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from common.errors import CertfleetError
from issuer.model.acme import CaChallenge, Challenge, Laggard
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment, Validation
from issuer.rules.findings import Findings


class ChallengeType(Protocol):
    """A value that costs no import of a heavy library: `status` asks it too.

    *name*: as the CA calls it (RFC 8555 §9.7.8). *ready*: the condition on which a new row is fit to be enabled.
    *from_outside*: how people see for themselves what the CA sees.
    """

    name: str
    ready: str
    from_outside: str

    def chosen_by(self, validation: Validation) -> bool:
        """Is a row with *validation* to be validated in this way, unless a later type claims it too?"""

    def require(self, validation: Validation, names: Sequence[str]) -> None:
        """Raises UsageError if *names* can never be validated so: a wildcard, a webroot that is none. Asks nobody."""

    def owner(self, name: str) -> str:
        """The name that the answer for *name* stands at, when a person publishes it."""

    def content(self, challenge: CaChallenge, name: str, key_authorization: Callable[[str], str]) -> str:
        """The answer to *challenge* for *name*. *key_authorization*: that of a token (RFC 8555 §8.1). Raises
        AcmeProblem for a challenge that is malformed."""

    def instruction(self, entry: Challenge) -> str:
        """The lines that tell a person what to publish."""

    def leaves(self, names: Sequence[str]) -> str:
        """A sentence about what stays in the world when a row for *names* is removed; "" where nothing does."""

    def solver(self, settings: Settings) -> "CheckableSolver":
        """The one that acts. Raises ConfigError."""


class Solver(Protocol):
    """The part that the journeys use. Thread-safe.

    *patience*: how many seconds the world may take to show an answer. *propagation*: how many it last took, by server;
    {} where that is not measured.
    """

    @property
    def type(self) -> ChallengeType: ...
    @property
    def patience(self) -> int: ...
    @property
    def propagation(self) -> Mapping[str, float]: ...

    def place(self, name: str, row: Enrolment) -> tuple[str, str]:
        """Where the answer for *name* goes, as (owner, zone) of a Challenge; *zone* is not "". Raises CertfleetError
        where it could not be published."""

    def publish(self, entries: Sequence[Challenge]) -> None:
        """Put every answer into the world, also one that is there. Raises CertfleetError."""

    def unseen(self, entries: Sequence[Challenge]) -> list[Laggard]:
        """A verdict for everybody whom the CA could ask and who does not show an answer; [] when all do. Raises
        CertfleetError."""

    def too_late(self, laggards: Sequence[Laggard]) -> CertfleetError:
        """The error when *laggards* did not show it for longer than *patience*."""

    def withdraw(self, entries: Sequence[Challenge]) -> None:
        """Take exactly these answers out of the world, whether they are there or not. Raises CertfleetError."""

    def keeper(self, entry: Challenge) -> str:
        """The server that is asked to take an answer back; "" where that cannot be told."""


class CheckableSolver(Solver, Protocol):
    """The whole, with the part that the command line uses before anything is issued."""

    def load_keys(self) -> None:
        """Read the keys that every run depends on, so that a wrong one is a finding about the configuration and not
        the failure of a certificate. Raises ConfigError."""

    def files(self) -> Sequence[tuple[str, Path | None, Callable[[Path], object]]]:
        """The files that the configuration names for it, as (subject, file, loader that raises CertfleetError)."""

    def examine(self, subject: str, names: Sequence[str], validation: Validation) -> Findings:
        """The findings of `check` about *names* of the certificate *subject*. Never raises CertfleetError."""


S = TypeVar("S", bound=Solver)


def chosen(types: Sequence[ChallengeType], validation: Validation) -> ChallengeType:
    """The last of *types* that *validation* chooses. There is one: the first takes every row."""
    return next(kind for kind in reversed(types) if kind.chosen_by(validation))


def solver_for(validation: Validation, solvers: Mapping[str, S]) -> S:
    """The same of *solvers*, which are in the order of their types."""
    return solvers[chosen([solver.type for solver in solvers.values()], validation).name]
