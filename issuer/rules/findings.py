"""The findings of `check`, and what makes them. Pure."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

from common.check_line import Level, Line
from common.clock import Clock, duration_text
from common.errors import CertfleetError, ConfigError

_CA_CLOCK = (60, 3600)  # seconds: a certificate's first hour is backdated by most CAs
_TSIG_CLOCK = (30, 300)  # seconds: RFC 8945 §10 lets clocks differ by 300


def ok(subject: str, sentence: str) -> Line:
    """A line that says that all is well."""
    return Line(Level.OK, subject, sentence)


def warn(subject: str, sentence: str, hint: str) -> Line:
    """A line about a fault that does no harm yet, and what to do."""
    return Line(Level.WARN, subject, sentence, hint)


def bad(subject: str, sentence: str, hint: str) -> Line:
    """A line about a fault that does harm, and what to do."""
    return Line(Level.BAD, subject, sentence, hint)


def bad_lines(subject: str, error: CertfleetError) -> list[Line]:
    """One line for each finding of *error*."""
    if isinstance(error, ConfigError):
        return [bad(subject, f"{error.what}: {finding}", error.hint) for finding in error.findings]
    return [bad(subject, str(error), error.hint)]


Probe = Callable[[Clock, float, Callable[[float], bool]], list[Line]]
"""A test that takes time: (clock, patience in seconds, pause) → findings. Never raises CertfleetError. *pause* waits so
many seconds and returns whether there is to be an end; what the test has changed is put back all the same."""


@dataclass(frozen=True, slots=True)
class Findings:
    """The findings about one certificate. *probes* run after all certificates; those with the same key run once."""

    lines: list[Line] = field(default_factory=list)
    probes: Mapping[Hashable, Probe] = field(default_factory=dict)


def clock_line(subject: str, apart: float, *, signed: bool) -> Line:
    """*apart*: seconds between our clock and theirs. *signed*: do TSIG signatures depend on theirs?"""
    tolerable, fatal = _TSIG_CLOCK if signed else _CA_CLOCK
    sentence = f"its clock and ours are {duration_text(apart)} apart"
    if apart <= tolerable:
        return ok(subject, sentence)
    return Line(Level.BAD if apart > fatal else Level.WARN, subject, sentence, "set both clocks by NTP")
