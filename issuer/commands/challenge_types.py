"""The challenge types that this issuer knows: a new one is a line here and a file of its own."""

from issuer.dns.dns01 import Dns01
from issuer.journey.solver import ChallengeType, CheckableSolver, chosen
from issuer.model.config import Settings
from issuer.model.enrolment import Validation
from issuer.webroot.http01 import Http01

CHALLENGE_TYPES: list[ChallengeType] = [  # a later one may claim rows that those above would take
    Dns01(),
    Http01(),
]


def challenge_type(validation: Validation) -> ChallengeType:
    """The one that *validation* chooses."""
    return chosen(CHALLENGE_TYPES, validation)


def build_solvers(settings: Settings) -> dict[str, CheckableSolver]:
    """A solver for each, by name. Raises ConfigError."""
    return {kind.name: kind.solver(settings) for kind in CHALLENGE_TYPES}
