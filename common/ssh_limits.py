"""Time limits for a host that is worked on over SSH, in seconds."""

from common.dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SshLimits:
    """*answer*: for the login, the channel and each SFTP request. *action*: for one whole action. *idle*: an unused
    session is closed after it. *pause*: a host is left alone for so long after an error, so that a dead one costs its
    time limit once, not for every certificate."""

    connect: float = 10.0
    handshake: float = 15.0
    answer: float = 20.0
    action: float = 120.0
    idle: float = 10.0
    pause: float = 5.0
