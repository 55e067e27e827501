"""Errors that only the issuer can meet; the root of the tree is drawn in common/errors.py.

CertfleetError
├─ AcmeProblem     the CA said no, or could not be reached (RFC 8555 §6.7)
│  └─ OtherAccount the order is not ours to ask for: another account key opened it
├─ DnsError        the zone: not ours, update refused, not visible in time
├─ WebrootError    a webroot: not there, not ours, not served
├─ StoreError      the database: unavailable, read-only
│  └─ OtherRevision its tables are those of another version of certfleet
├─ MailError       the mail server did not take a notification
├─ BeingTakenBack  what is to be published is just being taken back for an order that has ended
├─ CompromisedKey  the key was revoked as known to others: never certified or handed out again
├─ LeaseLost       another issuer took this order over; not a failure of the certificate
├─ GivenUp         this order was ended meanwhile, by a person or by another issuer that took it over
└─ Overtaken       the row was removed or got another CSR meanwhile; not a failure of the certificate either
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from shlex import quote

from common.errors import CertfleetError, RefusedError, Retry

SHARED_KEY = "docs/many-certificates.md: issuers on one database share it"


class AcmeProblem(CertfleetError):
    """A problem document of the CA, or silence. *kind* is the last part of its type URN, "" when there is none.

    Retry.SOON unless it says otherwise: only what the CA itself says ends an order, never what came in its place.
    *retry_after* is the moment, in epoch seconds, before which the CA does not want to be asked again; *in_doubt*: it
    may have done what it was asked for all the same. *url* is a page for people that the CA names, "" without one.
    """

    reference = "acme-problem"
    retry = Retry.SOON

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        hint: str = "",
        kind: str = "",
        status: int = 0,
        retry_after: float | None = None,
        retry: Retry | None = None,
        in_doubt: bool = False,
        url: str = "",
    ):
        super().__init__(what, why=why, hint=hint, reference=f"acme-{kind}" if kind else "", retry=retry)
        self.kind = kind
        self.status = status
        self.retry_after = retry_after
        self.in_doubt = in_doubt
        self.url = url


class OtherAccount(AcmeProblem):
    """The order is another account's: it can go on only with the key that opened it."""

    reference = "other-account"

    def __init__(self, why: str):
        hint = f"copy the account key of the issuer that opened it ({SHARED_KEY})"
        what = "the CA does not give us this order, because another account key opened it"
        super().__init__(what, why=why, hint=hint, retry=Retry.LATER)


class DnsError(CertfleetError):
    """A zone could not be found, updated or seen in time (RFC 2136, RFC 8945)."""

    reference = "dns"


class StoreError(CertfleetError):
    """The database refused or could not be reached."""

    reference = "database"
    retry = Retry.SOON


class OtherRevision(StoreError):
    """The tables are not those that this version works with; *present* is "" where there are none of ours."""

    reference = "database-revision"

    def __init__(self, present: str, needed: str):
        what = f"the database is at revision {present or 'none'}, this certfleet needs {needed}"
        hint = "run `certfleet-issuer db upgrade`"
        if present > needed:
            hint = "the database belongs to a newer certfleet: install that one here too"
        elif present:
            hint += " while no issuer works on it (docs/databases.md)"
        super().__init__(what, hint=hint)


class MailError(CertfleetError):
    """The mail server did not take a notification; it is kept for later."""

    reference = "mail"
    retry = Retry.SOON


class CompromisedKey(RefusedError):
    """A certificate of these names was revoked because others know its private key, and they have that key still."""

    reference = "key-compromised"

    def __init__(self, names: Sequence[str]):
        what = f"the key of {', '.join(sorted(names))} was revoked as compromised"
        hint = f"make a new key and CSR on the host, then `remove {quote(min(names))}` and `populate` it with that"
        super().__init__(what, hint=hint)


class LeaseLost(CertfleetError):
    """Another issuer holds this order now."""

    reference = "lease-lost"
    retry = Retry.SOON


class GivenUp(CertfleetError):
    """The order that we work on was ended as failed by somebody else. *to_revoke*: the serial of what the CA issued for
    it all the same, where others know its key."""

    reference = "given-up"

    def __init__(self, name: str, reason: str, *, to_revoke: str = ""):
        hint = f"`status {quote(name)}` shows how it stands"
        if to_revoke:
            command = f"`revoke {quote(name)} --serial {to_revoke} --reason 1`"
            hint = f"serial {to_revoke} was issued for that key all the same and set aside: {command}"
        super().__init__(f"the order for {name} was given up meanwhile", why=reason, hint=hint)


class BeingTakenBack(CertfleetError):
    """The CA gave an order the same challenge as one before, and what that one had published is just being removed."""

    reference = "being-taken-back"
    retry = Retry.SOON

    def __init__(self, identifier: str):
        what = f"the same answer for {identifier} is just being taken back for an order that has ended"
        super().__init__(what, hint="nothing, it is published again afterwards")


class Overtaken(CertfleetError):
    """The row that an order is for was removed, or got another CSR, after we had read it."""

    reference = "overtaken"

    def __init__(self, name: str):
        super().__init__(
            f"{name} was removed or got another CSR meanwhile", hint="nothing; what is enrolled now is issued next time"
        )


class WebrootError(CertfleetError):
    """A webroot could not be reached or written, or its web server does not serve what lies there (RFC 8555 §8.3)."""

    reference = "webroot"


@contextmanager
def noted(found: list[CertfleetError]) -> Iterator[None]:
    """An error that ends the block is added to *found*: what comes after the block is looked at all the same."""
    try:
        yield
    except CertfleetError as error:
        found.append(error)
