"""The challenge types of this issuer, and how the solver of each is built. A new one is its own file and a line here.

Solvers are imported late: `status` needs the types alone.
"""

import socket
from collections.abc import Callable, Sequence

from common.errors import UsageError
from issuer.dns.dns01 import Dns01
from issuer.dns.persist01 import DnsPersist01
from issuer.journey.solver import ChallengeType, CheckableSolver, chosen
from issuer.model.config import Settings
from issuer.model.enrolment import Validation
from issuer.webroot.http01 import Http01


def _zones(settings: Settings) -> CheckableSolver:
    from issuer.dns.zones import Zones  # noqa: PLC0415

    return Zones(settings.dns)


def _webroots(settings: Settings) -> CheckableSolver:
    from issuer.webroot.webroots import Webroots  # noqa: PLC0415

    return Webroots(settings, socket.gethostname())


def _records(settings: Settings) -> CheckableSolver:
    from issuer.dns.records import Records  # noqa: PLC0415

    return Records(settings.dns)


CHALLENGE_TYPES: dict[ChallengeType, Callable[[Settings], CheckableSolver]] = {  # the last that claims a row gets it
    Dns01(): _zones,
    Http01(): _webroots,
    DnsPersist01(): _records,
}


def challenge_type(validation: Validation) -> ChallengeType:
    """The challenge type that the *validation* of a name chooses. Raises RefusedError for a way that is none."""
    return chosen(list(CHALLENGE_TYPES), validation)


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
    return {kind.name: build(settings) for kind, build in CHALLENGE_TYPES.items()}
