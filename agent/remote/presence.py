"""Looks how services are present on other machines, as ``agent.host.presence`` does here. Starts nothing."""

from collections.abc import Collection, Mapping
from functools import partial

from agent.host.waits import Waits
from agent.model.errors import HostLost
from agent.model.presence import Finder, Kind, Question, nowhere
from agent.remote.access import Access
from agent.remote.session import Session, ask_each
from agent.rules.presence import places, presence_in
from common.errors import CertfleetError
from common.ssh import BROKEN


def finders(asked: Mapping[Session, Collection[Question]], waits: Waits) -> list[Finder]:
    """The Finders of ``agent.model.presence`` for the hosts of sessions that are connected: many hosts at a time, each
    gets the time of one action for all that it is *asked*.

    Never raises a CertfleetError: whoever does not answer is given up, because commands that do not fit him could end
    his service.
    """
    wanted = {session: partial(_there, set(its)) for session, its in asked.items() if its and session.is_open}
    found: dict[Session, Finder] = {}
    for session, answer in ask_each(wanted, waits).items():
        if isinstance(answer, BaseException):
            session.give_up(_lost(session, answer))
        else:
            found[session] = partial(presence_in, there=answer)
    return [found.get(session, nowhere) for session in asked]


def _there(questions: Collection[Question], access: Access) -> dict[str, Kind]:
    """The kind of each place that the questions are about. One command for all would be longer than some servers
    take."""
    each = (places(*question) for question in questions)
    return {place: kind for its in each for place, kind in zip(its, access.kinds(its), strict=True)}


def _lost(session: Session, error: BaseException) -> CertfleetError:
    """Raises an *error* that is neither the host's nor the connection's."""
    if isinstance(error, CertfleetError):
        return error
    if not isinstance(error, (OSError, *BROKEN)):
        raise error
    what = f"{session.name} does not tell how it runs its services"
    why = (error.strerror if isinstance(error, OSError) else "") or str(error)
    return HostLost(what, why=why, hint="look there at the shell of the user who logs in")
