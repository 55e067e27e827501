"""Errors of the issuer alone; common/errors.py draws the root of the tree."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from shlex import quote

from common.errors import CertfleetError, ConfigError, RefusedError, Retry
from issuer.model.seal_faults import OF_THE_CSR, Fault

_MOST_NAMED = 20
SHARED_KEY = "docs/many-certificates.md: issuers on one database share it"


class AcmeProblem(CertfleetError):
    """A problem document of the CA, or no answer. *kind* is the last part of its type URN, "" without one. Retry.SOON
    by default: only the CA's own words end an order, never an answer that came in their place. *retry_after*: the
    moment (epoch seconds) before which the CA does not want to be asked. *in_doubt*: the CA may have done what it was
    asked for. *url*: a page for people that the CA names, "" without one. *resource*: the name in the directory of what
    was asked, "" for an order and the like. *identifiers*: the names that the problem document is about (§6.7.1).
    *asked*: who asked our own servers, as in a Failure."""

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
        resource: str = "",
        identifiers: tuple[str, ...] = (),
        asked: str = "",
    ):
        super().__init__(what, why=why, hint=hint, reference=f"acme-{kind}" if kind else "", retry=retry)
        self.kind = kind
        self.status = status
        self.retry_after = retry_after
        self.in_doubt = in_doubt
        self.url = url
        self.resource = resource
        self.identifiers = identifiers
        self.asked = asked


class AddressAway(ConfigError):
    """The address that the daemon is to listen on cannot be had now; after a boot it may be there a moment later. So
    the unit starts the daemon again, which it does not for another ConfigError."""

    retry = Retry.SOON
    exit_code = 1


class OtherAccount(AcmeProblem):
    """The order is another account's: only the key that opened it can go on with it."""

    reference = "other-account"

    def __init__(self, why: str):
        hint = f"copy the account key of the issuer that opened it ({SHARED_KEY})"
        what = "the CA does not give us this order, because another account key opened it"
        super().__init__(what, why=why, hint=hint, retry=Retry.LATER)


class WrongCertificate(AcmeProblem):
    """The CA issued a certificate that must not be stored. The next one costs it another, so it is ordered once a day
    at most."""

    reference = "wrong-certificate"

    def __init__(self, why: str, hint: str):
        what = "the CA returned a certificate that must not be stored"
        super().__init__(what, why=why, hint=f"nothing was stored; {hint}", retry=Retry.LATER)


class NotRegistered(CertfleetError):
    """The CA refused to register our account, and is not asked again before *until* (epoch seconds). No failure of the
    certificate."""

    reference = "not-registered"
    retry = Retry.SOON

    def __init__(self, until: int, why: str):
        hint = "mend that, then `certfleet-issuer run --retry`"
        super().__init__("the CA does not register our account", why=why, hint=hint)
        self.until = until


class DnsError(CertfleetError):
    """A zone could not be found, updated or seen in time (RFC 2136, RFC 8945)."""

    reference = "dns"


class StoreError(CertfleetError):
    """The database is unavailable or read-only, or its answer is of no use."""

    reference = "database"
    retry = Retry.SOON


class OtherRevision(StoreError):
    """The tables are those of another version. *present* is "" where there are none of ours."""

    reference = "database-revision"

    def __init__(self, present: str, needed: str):
        what = f"the database is at revision {present or 'none'}, this certfleet needs {needed}"
        hint = "run `certfleet-issuer db upgrade`"
        if present > needed:
            hint = "the database belongs to a newer certfleet: install that one here too"
        elif present:
            hint += " while no issuer works on it (docs/databases.md)"
        super().__init__(what, hint=hint)


class CompromisedKey(RefusedError):
    """A certificate of these names was revoked because others know its private key, and the names still have that
    key."""

    reference = "key-compromised"

    def __init__(self, names: Sequence[str]):
        what = f"the key of {', '.join(sorted(names))} was revoked as compromised"
        hint = f"make a new key and CSR on the host, then `populate --replace {quote(min(names))} --csr FILE`"
        super().__init__(what, hint=hint)


class NotSealed(CertfleetError):
    """The row of *name* differs from what was enrolled, in the ways that *faults* tell; or it was never sealed."""

    reference = "not-sealed"

    def __init__(self, name: str, faults: Sequence[Fault]):
        typed = quote(name)
        what = f"{name} is not what an operator enrolled, so nothing is ordered for it"
        mends = f", or `populate --replace {typed} --csr FILE` with the right CSR" if set(faults) <= OF_THE_CSR else ""
        hint = (
            f"find out who wrote its row and put it right{mends}; `certfleet-issuer adopt {typed}` shows it, and takes"
        )
        hint += " it as it is"
        if Fault.OTHER_SEAL_KEY in faults:
            hint = f"copy seal.key of the issuer that enrolled it ({SHARED_KEY}); if it is lost: `adopt {typed}`"
        super().__init__(what, why="; ".join(fault.value for fault in faults), hint=hint)
        self.faults = tuple(faults)


class Vanished(CertfleetError):
    """The row of *name* was enrolled and is gone, and no issuer removed it."""

    reference = "vanished"

    def __init__(self, name: str):
        hint = "restore it from the backup, or `populate` it again; if that was meant, `certfleet-issuer remove"
        super().__init__(f"the row of {name} is gone without `remove`", hint=f"{hint} {quote(name)}`")


class Unsigned(CertfleetError):
    """The certificate in the row of *name* is not the last one that an issuer of ours has signed."""

    reference = "unsigned"

    def __init__(self, name: str):
        typed = quote(name)
        what = f"the certificate in the row of {name} is not the last one that an issuer signed"
        hint = (
            f"`history {typed}` shows what was stored: if it is there, `key sign {typed}`; else somebody wrote its row"
        )
        super().__init__(what, hint=f"{hint} past certfleet, and `reissue {typed}` makes a new one")


class LeaseLost(CertfleetError):
    """Another issuer took the order over; no failure of the certificate."""

    reference = "lease-lost"
    retry = Retry.SOON


class GivenUp(CertfleetError):
    """Somebody else ended our order as failed. *to_revoke*: the serial that the CA issued for it after all, where
    others know the key."""

    reference = "given-up"

    def __init__(self, name: str, reason: str, *, to_revoke: str = ""):
        hint = f"`status {quote(name)}` shows how it stands"
        if to_revoke:
            command = f"`revoke {quote(name)} --serial {to_revoke} --reason 1`"
            hint = f"serial {to_revoke} was issued for that key after all; only `history` has it: {command}"
        super().__init__(f"the order for {name} was given up meanwhile", why=reason, hint=hint)


class BeingTakenBack(CertfleetError):
    """The CA gave an order the same challenge as an earlier one, whose answer is being withdrawn now."""

    reference = "being-taken-back"
    retry = Retry.SOON

    def __init__(self, identifier: str):
        what = f"the same answer for {identifier} is being withdrawn for an order that has ended"
        super().__init__(what, hint="no action needed: certfleet publishes it again afterwards")


class Untidied(CertfleetError):
    """A run had no time for all that other processes left: *left* answers and orders."""

    reference = "untidied"

    def __init__(self, left: int):
        what = (
            f"there was no time to take back all that other processes left: {left} rows of orders and challenges stay"
        )
        super().__init__(what, hint="the next run goes on with them; `challenge.left` in its log names the servers")


class NotAudited(CertfleetError):
    """We had a fault at the audit of *names*."""

    def __init__(self, names: Sequence[str]):
        first, more = ", ".join(names[:_MOST_NAMED]), len(names) - _MOST_NAMED
        what = f"a fault in certfleet itself: not audited: {first}{f' and {more} more' if more > 0 else ''}"
        super().__init__(what, hint=f"report what `audit {quote(names[0])} -v` prints; everything else goes on")


class Overtaken(CertfleetError):
    """The row was removed or got another CSR meanwhile; no failure of the certificate."""

    reference = "overtaken"

    def __init__(self, name: str):
        super().__init__(
            f"{name} was removed or got another CSR meanwhile",
            hint="no action needed: the next run issues the certificate that is enrolled now",
        )


class WebrootError(CertfleetError):
    """A webroot could not be reached or written, or its web server does not serve what lies there (RFC 8555 §8.3)."""

    reference = "webroot"


class TransparencyError(CertfleetError):
    """A source of Certificate Transparency could not be read to its end, or contradicts itself. *where*: its URL."""

    reference = "transparency"

    def __init__(self, where: str, why: str):
        hint = "nothing if it is away for a while: the next look goes on where the last one ended"
        super().__init__(f"{where} could not be read", why=why, hint=hint)


@contextmanager
def noted(found: list[CertfleetError]) -> Iterator[None]:
    """Add a CertfleetError that ends the block to *found*, and go on after the block."""
    try:
        yield
    except CertfleetError as error:
        found.append(error)
