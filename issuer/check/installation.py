"""The installation itself: account key, mail server, and each CA: its offers, our account, its clock."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from common.clock import Clock
from common.errors import CertfleetError
from issuer.check.names import CaIdentity, identity_of
from issuer.model.config import CaSettings, NotifySettings
from issuer.model.errors import SHARED_KEY
from issuer.rules.findings import Line, bad, clock_line, ok, warn


class AcmeServer(Protocol):
    """What a CA is asked; nothing of it registers or orders."""

    directory: str

    @property
    def offers_renewal_info(self) -> bool: ...
    def meta(self) -> dict[str, Any]: ...
    def find_account(self) -> str: ...
    def disowns(self, order_url: str) -> bool: ...
    def clock(self) -> float | None: ...


class Post(Protocol):
    """The mail server. *reach* hands in nothing."""

    def reach(self) -> str: ...


def account_key_line(file: Path, mode: int) -> Line:
    """*mode*: its permission bits. Whether it can be used at all was seen when it was loaded."""
    if mode & 0o077:
        return warn("account key", f"{file} has mode {mode:04o}, so that others read it too", f"chmod 0600 {file}")
    return ok("account key", f"{file} is usable, and readable by its owner only")


def authority_lines(
    ca: AcmeServer, settings: CaSettings, clock: Clock, orders: Sequence[str], *, first: bool
) -> list[Line]:
    """Every finding about one CA; the first one is needed, the others stand in. *orders*: our newest ones."""
    subject = f"CA {ca.directory}"
    try:
        lines = [ok(subject, f"reachable; {_offers(ca)}")]
        lines += _binding(subject, ca.meta(), settings) + _profile(subject, ca.meta(), settings, first=first)
        theirs = ca.clock()
        if theirs is not None:
            lines.append(clock_line(subject, abs(theirs - clock()), signed=False))
        return lines + _account(subject, ca, orders)
    except CertfleetError as error:
        problem = bad(subject, str(error), error.hint)
        return [problem if first else warn(subject, problem.sentence, problem.hint)]


def mail_line(post: Post, settings: NotifySettings) -> Line:
    """Would the mail server take a mail? It is asked up to the login."""
    try:
        place = post.reach()
    except CertfleetError as error:
        return bad("mail", str(error), error.hint)
    how = ["answers"] + ["encrypts"] * settings.encrypted + ["takes our login"] * bool(settings.smtp_user)
    return ok("mail", f"{place} {' and '.join(how)}")


def identity(ca: AcmeServer) -> CaIdentity | None:
    """The CA's name in CAA records and our account there; None when it cannot be reached, which is said elsewhere."""
    try:
        return identity_of(ca)
    except CertfleetError:
        return None


def _account(subject: str, ca: AcmeServer, orders: Sequence[str]) -> list[Line]:
    """Our account, and whether what the database knows of came by it: another account cannot go on with an order."""
    account = ca.find_account()
    hint = f"copy the account key of the issuer that opened them ({SHARED_KEY})"
    if not account and orders:
        sentence = "it knows no account of our key, but the database holds orders that were opened there"
        return [warn(subject, sentence, f"{hint}; if it is lost, the next order registers ours")]
    if not account:
        hint = "nothing to do: the first order registers it"
        return [warn(subject, "it knows no account of our key yet", hint)]
    lines = [ok(subject, f"our account is {account}")]
    if any(ca.disowns(url) for url in orders):
        hint += "; nothing, if the key was changed on purpose"
        lines.append(warn(subject, "orders of the database were opened with another account key", hint))
    return lines


def _offers(ca: AcmeServer) -> str:
    profiles = ca.meta().get("profiles")
    parts = [
        "renewal information (ARI)" if ca.offers_renewal_info else "no renewal information",
        f"profiles {', '.join(sorted(map(str, profiles)))}"
        if isinstance(profiles, dict) and profiles
        else "no profiles",
    ]
    return "it offers " + ", ".join(parts)


def _binding(subject: str, meta: dict[str, Any], settings: CaSettings) -> list[Line]:
    if meta.get("externalAccountRequired") is True and not settings.eab_kid:
        hint = "get a key from the CA and set eab_kid and eab_hmac_file"
        return [bad(subject, "it wants new accounts bound to one of its own (EAB)", hint)]
    return []


def _profile(subject: str, meta: dict[str, Any], settings: CaSettings, *, first: bool) -> list[Line]:
    profiles = meta.get("profiles")
    if not settings.profile or (isinstance(profiles, dict) and settings.profile in profiles):
        return []
    sentence = f"it does not offer the profile {settings.profile!r}"
    hint = f"change profile in {'[acme]' if first else 'its [[acme.fallback]]'}"
    return [(bad if settings.profile_required else warn)(subject, sentence, hint)]
