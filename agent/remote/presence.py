"""Looks how services are present on another machine, as ``agent.host.presence`` does here. Starts nothing."""

import functools

from agent.model.errors import HostLost
from agent.model.presence import Finder, Presence, nowhere
from agent.remote.session import Session
from agent.rules.presence import places, presence_in
from common.errors import CertfleetError


def finder(session: Session) -> Finder:
    """The Finder of ``agent.model.presence`` for the host of *session*, which is asked once for each service.

    Never raises a CertfleetError: whoever does not answer is given up, because commands that do not fit him could end
    his service.
    """

    @functools.cache
    def find(units: tuple[str, ...], programs: tuple[str, ...]) -> Presence:
        asked = places(units, programs)
        try:
            found = session.files(lambda access: access.kinds(asked))
        except CertfleetError as error:
            session.give_up(error)
        except OSError as error:
            what = f"{session.name} does not tell how it runs its services"
            hint = "look there at the shell of the user who logs in"
            session.give_up(HostLost(what, why=error.strerror or str(error), hint=hint))
        else:
            return presence_in(units, programs, dict(zip(asked, found, strict=True)))
        return nowhere(units, programs)

    return find
