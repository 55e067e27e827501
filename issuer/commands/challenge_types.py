"""The challenge types of this issuer. A new one is a file of its own and a line here."""

from collections.abc import Sequence

from common.errors import UsageError
from issuer.dns.dns01 import Dns01
from issuer.dns.persist01 import DnsPersist01
from issuer.journey.solver import ChallengeType, CheckableSolver, chosen
from issuer.model.config import Settings
from issuer.model.enrolment import Validation
from issuer.webroot.http01 import Http01

CHALLENGE_TYPES: list[ChallengeType] = [  # the last one that claims a row gets it
    Dns01(),
    Http01(),
    DnsPersist01(),
]


def challenge_type(validation: Validation) -> ChallengeType:
    """The challenge type that the *validation* of a name chooses. Raises RefusedError for a way that is none."""
    return chosen(CHALLENGE_TYPES, validation)


def ways(validation: Validation, names: Sequence[str]) -> list[tuple[Validation, ChallengeType, list[str]]]:
    """The *names* of a row, those with the same validation together, with that validation and its type. Raises
    RefusedError for a way that is none."""
    return [(way, challenge_type(way), some) for way, some in validation.shares(names)]


def known_type(name: str) -> str:
    """*name*, which has to be that of a challenge type. Raises UsageError."""
    known = [kind.name for kind in CHALLENGE_TYPES]
    if name not in known:
        raise UsageError(f"{name!r} is no challenge type", hint=f"give one of {', '.join(known)}")
    return name


def build_solvers(settings: Settings) -> dict[str, CheckableSolver]:
    """A solver of each challenge type, by its name. Raises ConfigError."""
    return {kind.name: kind.solver(settings) for kind in CHALLENGE_TYPES}
