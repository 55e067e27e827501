"""Errors that only an agent can meet.

CertfleetError (common/errors.py)
├─ SourceError         where certificates come from: unreachable, refused, malformed
├─ VerificationError   the material: every finding at once; nothing was touched
├─ InstallError        this host: which step failed
│  └─ BrokenBefore     a service whose configuration was not in order before
│     └─ Awaits        a file of it is still to come: another certificate's first one
└─ HostLost            another host, that is worked on over SSH: unreachable, refused, gone (a FileError)
"""

from collections.abc import Sequence

from common.errors import CertfleetError, FileError, Finding, Retry


class Stopped(BaseException):
    """Somebody asked for the end of the run. Like KeyboardInterrupt it is no certificate's error: only the command that
    began the run catches it."""


class SourceError(CertfleetError):
    """The database that holds the certificates cannot be asked, or says no."""

    reference = "source"


class VerificationError(CertfleetError):
    """The certificate offered must not be installed here; no live file was touched."""

    reference = "verification"
    retry = Retry.NEVER

    def __init__(self, what: str, findings: Sequence[Finding], *, hint: str = ""):
        super().__init__(what, why="; ".join(map(str, findings)), hint=hint)
        self.findings = tuple(findings)


class InstallError(CertfleetError):
    """A step of the install journey failed on this host; *step* says which."""

    reference = "install"

    def __init__(self, step: str, what: str, *, why: str = "", hint: str = ""):
        super().__init__(what, why=why, hint=hint)
        self.step = step


# Some, as Postfix, say what is wrong to a terminal alone
_TYPE_IT = (
    "type that command as the agent's user, and mend the service's configuration until it passes; where the service "
    "runs with other files than that command reads, name them in `check` of agent.toml; the next run goes on"
)


class BrokenBefore(InstallError):
    """A service's own check fails whatever this host does, or its restart may: no certificate is at fault."""

    def __init__(self, what: str, *, why: str = "", hint: str = _TYPE_IT) -> None:
        super().__init__("check", what, why=why, hint=hint)


class Awaits(BrokenBefore):
    """A service's own check misses the files of other certificates, of which this host has none yet."""

    def __init__(self, names: Sequence[str], *, why: str) -> None:
        super().__init__(f"waits for the first certificate of {', '.join(names)}", why=why)
        self.hint = (
            "nothing to do here: they are installed in one run when each has one; `certfleet-issuer status NAME`"
        )
        self.hint += " says when that is"


class HostLost(FileError):
    """The host that a certificate is for cannot be reached, is not the pinned one, or went away. Nobody is at fault
    for that; what it was asked for last may have been done or not."""

    reference = "host-lost"
