"""Looks how services are present on other machines, as ``agent.host.presence`` does here. Starts nothing."""

from collections.abc import Collection, Mapping
from functools import partial
from itertools import chain

from agent.host.waits import Waits
from agent.model.errors import HostLost
from agent.model.presence import Finder, Kind, Question, nowhere
from agent.remote.access import Access
from agent.remote.session import Session, each_once
from agent.rules.presence import places, presence_in
from common.errors import CertfleetError
from common.ssh import BROKEN


def finders(asked: Mapping[Session, Collection[Question]], waits: Waits) -> list[Finder]:
    """The Finders of ``agent.model.presence`` for the hosts of sessions that are connected: many hosts at a time, each
    is asked once for all that it is *asked*.

    Never raises a CertfleetError: whoever does not answer is given up, because commands that do not fit him could end
    his service.
    """
    wanted = {
        session: tuple(dict.fromkeys(chain.from_iterable(places(*question) for question in questions)))
        for session, questions in asked.items()
        if questions and session.is_open
    }
    answers = each_once([(session, partial(_kinds, its)) for session, its in wanted.items()], waits)
    found: dict[Session, Finder] = {}
    for (session, its), answer in zip(wanted.items(), answers, strict=True):
        if isinstance(answer, BaseException):
            session.give_up(_lost(session, answer))
        else:
            found[session] = partial(presence_in, there=dict(zip(its, answer, strict=True)))
    return [found.get(session, nowhere) for session in asked]


def _kinds(its: tuple[str, ...], access: Access) -> list[Kind]:
    return access.kinds(its)


def _lost(session: Session, error: BaseException) -> CertfleetError:
    """Raises an *error* that is neither the host's nor the connection's."""
    if isinstance(error, CertfleetError):
        return error
    if not isinstance(error, (OSError, *BROKEN)):
        raise error
    what = f"{session.name} does not tell how it runs its services"
    why = (error.strerror if isinstance(error, OSError) else "") or str(error)
    return HostLost(what, why=why, hint="look there at the shell of the user who logs in")
