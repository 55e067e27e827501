"""How long a host with a webroot may take, in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SshLimits:
    """*answer*: for the login, a channel and each SFTP request. *action*: for all that is done in one go. *idle*: how
    long a session is kept that nobody uses, as a run may wait for hours. *pause*: how long a host that gave trouble is
    left alone, so that a dead one costs its time limit once and not once a certificate."""

    connect: float = 10.0
    handshake: float = 15.0
    answer: float = 20.0
    action: float = 120.0
    idle: float = 10.0
    pause: float = 5.0
