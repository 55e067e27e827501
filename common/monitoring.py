"""A command as a monitoring plugin: its line on stdout, and the exit code that goes with it."""

from collections.abc import Callable

from common.command_line import say
from common.errors import CertfleetError
from common.nagios import State, line


def as_plugin(service: str, look: Callable[[], tuple[State, str]]) -> State:
    """Say the line of *look*, and return its state. Where *look* raises CertfleetError, the line of *service* says so:
    a plugin says everything in its line."""
    try:
        state, said = look()
    except CertfleetError as error:
        state, said = State.UNKNOWN, line(service, State.UNKNOWN, str(error))
    say(said)
    return state
