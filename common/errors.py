"""Errors that a person reads: what happened, why, what to do, and whether trying again helps.

    CertfleetError            what · why · hint · reference · retry · exit_code
    ├─ UsageError             the command line is wrong                           exit 2
    ├─ ConfigError            wrong configuration: every finding, with its path   exit 2
    ├─ LockedError            another run holds the lock                          exit 3
    ├─ RefusedError           a rule of ours said no; nothing was changed          exit 1
    ├─ MailError              the mail server did not take a mail                  exit 1
    ├─ FileError              a file of ours could not be read or written          exit 1
    └─ issuer/model/errors.py and agent/model/errors.py hold the errors of one side

An adapter catches the exceptions of its library by narrow type and raises one of these ``from`` the original.
A call in the wrong order is a bug of ours and stays a RuntimeError.
"""

from collections.abc import Sequence
from enum import Enum

from common.dataclasses import dataclass


class Retry(Enum):
    """Does it help to try the same again, and when?"""

    SOON = "soon"
    LATER = "later"
    NEVER = "never"


class CertfleetError(Exception):
    """Base of all errors that people see. None carries a secret."""

    reference = "certfleet-error"
    retry = Retry.LATER
    exit_code = 1

    def __init__(self, what: str, *, why: str = "", hint: str = "", reference: str = "", retry: Retry | None = None):
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint
        self.reference = reference or self.reference
        self.retry = retry or self.retry

    def __str__(self) -> str:
        return f"{self.what}: {self.why}" if self.why else self.what


class UsageError(CertfleetError):
    """The command line asks for something that cannot be done."""

    reference = "wrong-usage"
    retry = Retry.NEVER
    exit_code = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. *path* says where: a key of a configuration file, a name, a check."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" if self.path else self.problem


class ConfigError(CertfleetError):
    """The configuration is wrong. It carries every finding, so that a person can mend all at once."""

    reference = "wrong-configuration"
    retry = Retry.NEVER
    exit_code = 2

    def __init__(self, source: str, findings: Sequence[Finding], *, hint: str = ""):
        super().__init__(source, why="; ".join(map(str, findings)), hint=hint or "mend it in the configuration file")
        self.findings = tuple(findings)


class LockedError(CertfleetError):
    """Another run works with the same state folder."""

    reference = "locked"
    retry = Retry.SOON
    exit_code = 3


class RefusedError(CertfleetError):
    """A rule of ours forbids it. Nothing was changed."""

    reference = "refused"
    retry = Retry.NEVER


class MailError(CertfleetError):
    """The mail server did not take a mail."""

    reference = "mail"
    retry = Retry.SOON


class FileError(CertfleetError):
    """A file that certfleet needs could not be read or written."""

    reference = "file"


def render(error: CertfleetError) -> list[str]:
    """The lines of an error as a person sees it: what and why, then what to do."""
    if isinstance(error, ConfigError) and len(error.findings) > 1:
        lines = [f"error: {error.what}: {len(error.findings)} findings"]
        lines += [f"  {finding}" for finding in error.findings]
    else:
        lines = [f"error: {error}"]
    if error.hint:
        lines.append(f"  what to do: {error.hint}")
    return lines
