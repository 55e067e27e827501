"""Challenge types: everything that is special about one way to prove control of a name (RFC 8555 §8).

A :class:`ChallengeType` is a value that asks nobody. Its :class:`Solver` acts, and knows its type, never the reverse.
A new type is one file with both, and its line in :mod:`issuer.commands.challenge_types`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from common.errors import CertfleetError, RefusedError
from common.names import is_address
from issuer.model.acme import CaChallenge, CaIdentity, Challenge, Laggard
from issuer.model.asked import Asked
from issuer.model.enrolment import Enrolment, Validation
from issuer.rules.egress import Needs
from issuer.rules.findings import Findings


class ChallengeType(Protocol):
    """A value that costs no import of a heavy library, because `status` uses it too. *name*: as the CA calls it (RFC
    8555 §9.7.8). *standing*: a person publishes the answer once, before there is an order, and it stays. *ready*: the
    condition on which a new row is fit to be enabled. *from_outside*: how people see for themselves what the CA
    sees."""

    name: str
    standing: bool
    ready: str
    from_outside: str

    def chosen_by(self, validation: Validation) -> bool:
        """Does *validation*, that of one name, choose this type? Of several types, the last one counts."""

    def require(self, validation: Validation, names: Sequence[str]) -> None:
        """Raises UsageError if *names*, which have this *validation*, can never be validated by this type: a wildcard,
        a malformed webroot."""

    def owner(self, name: str) -> str:
        """The name at which a person publishes the answer for *name*."""

    def content(self, challenge: CaChallenge, name: str, key_authorization: Callable[[str], str]) -> str:
        """The answer to *challenge* for *name*, as it was ordered: a wildcard with its "*.". *key_authorization* makes
        the one of a token (RFC 8555 §8.1). Raises AcmeProblem for a malformed challenge."""

    def is_answer(self, value: str, key_authorization: Callable[[str], str]) -> bool:
        """May *value*, which the database holds, be an answer that an account made? *key_authorization*: that of the
        account. A writer of the database must not choose what we delete."""

    def instruction(self, entry: Challenge) -> str:
        """The lines that tell a person what to publish."""

    def leaves(self, names: Sequence[str]) -> str:
        """A sentence about what stays in the world after a row for *names* is removed; "" for nothing."""


class Solver(Protocol):
    """The part that the journeys use. Thread-safe. *patience*: the seconds that the world may take to show an answer.
    *propagation*: the seconds that it last took, by server; {} where nothing is measured."""

    @property
    def type(self) -> ChallengeType: ...
    @property
    def patience(self) -> int: ...
    @property
    def propagation(self) -> Mapping[str, float]: ...

    def place(self, name: str, row: Enrolment) -> tuple[str, str]:
        """The place of the answer for *name*, as (owner, zone) of a Challenge; *zone* is "" where we never publish, and
        so never withdraw. Raises CertfleetError where it cannot be published, or is not there already."""

    def publish(self, entries: Sequence[Challenge]) -> None:
        """Put every answer into the world, also one that is there already. Raises CertfleetError."""

    def unseen(self, entries: Sequence[Challenge]) -> list[Laggard]:
        """A Laggard for each server that the CA could ask and that does not show an answer; [] when all do. Raises
        CertfleetError."""

    def too_late(self, laggards: Sequence[Laggard]) -> CertfleetError:
        """The error for *laggards* that did not show an answer within *patience*."""

    def asked(self, entries: Sequence[Challenge], since: float) -> Asked | None:
        """The requests for these answers since that moment (epoch seconds), by the logs of our own servers; None where
        no log is configured. Never raises, and takes seconds at most."""

    def withdraw(self, entries: Sequence[Challenge]) -> None:
        """Take exactly these answers out of the world, whether or not they are there. Raises CertfleetError."""

    def keeper(self, entry: Challenge) -> str:
        """The server that is asked to withdraw *entry*; "" where that is not known."""


class CheckableSolver(Solver, Protocol):
    """The whole solver, with the part that the command line uses before anything is issued."""

    def load_keys(self) -> None:
        """Read the keys that every run needs: a wrong one is then a finding about the configuration, and no failure of
        a certificate. Raises ConfigError."""

    def files(self) -> Sequence[tuple[str, Path | None, Callable[[Path], object]]]:
        """The files that the configuration names for it, as (subject, file, loader that raises CertfleetError)."""

    def examine(
        self, subject: str, names: Sequence[str], validation: Validation, authorities: Sequence[CaIdentity]
    ) -> Findings:
        """The findings of `check` about *names* of the certificate *subject*. *authorities*: those that can be reached;
        faults that concern only later ones are warnings. Never raises CertfleetError."""

    def needs(self, names: Sequence[str], validations: Sequence[Validation]) -> Needs:
        """The connections that firewalls have to let through so that *names* are validated, which have one of these
        *validations*. Takes a minute at most. Never raises CertfleetError."""


S = TypeVar("S", bound=Solver)


def chosen(types: Sequence[ChallengeType], validation: Validation) -> ChallengeType:
    """The last of *types* that the *validation* of a name chooses. Raises RefusedError for a way that is none."""
    for kind in reversed(types):
        if kind.chosen_by(validation):
            return kind
    known = [kind.name for kind in types if kind.chosen_by(Validation(way=kind.name).usual)]
    hint = f"a way is {', '.join(known)} or a webroot like /var/www/html; the column validations has it"
    raise RefusedError(f"{validation.way!r} is no way to validate a name", hint=hint, reference="unknown-way")


def solver_for(validation: Validation, solvers: Mapping[str, S]) -> S:
    """The solver that the *validation* of a name chooses. *solvers* are by type, in the order of the types. Raises
    RefusedError for a way that is none."""
    return solvers[chosen([solver.type for solver in solvers.values()], validation).name]


def looked_up(kind: ChallengeType, name: str) -> list[str]:
    """The names that a CA asks DNS for when it validates *name* by this type; none for an address."""
    if is_address(name):
        return []
    bare = name.removeprefix("*.")
    return [bare, kind.owner(name)] if kind.name.startswith("dns-") else [bare]


def shares(entries: Sequence[Challenge], solvers: Mapping[str, S]) -> Iterator[tuple[S, list[Challenge]]]:
    """Each solver with those of *entries* that are of its type, where there are any."""
    for kind, solver in solvers.items():
        if mine := [entry for entry in entries if entry.type == kind]:
            yield solver, mine
