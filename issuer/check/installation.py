"""Findings about the installation: account keys, the mail server, and each CA with its offers, account and clock."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.check_line import Line
from common.clock import Clock, duration_text
from common.errors import CertfleetError
from common.mail import MailServer
from issuer.ca.client import AcmeCa
from issuer.model.acme import CaIdentity
from issuer.model.config import CaSettings, NotifySettings
from issuer.model.errors import SHARED_KEY
from issuer.rules.findings import bad, clock_line, ok, warn


def database_certificate_lines(life: tuple[int, int] | None, now: float) -> list[Line]:
    """The finding about the database server's certificate by its start and end (epoch seconds); none without TLS."""
    if life is None:
        return []
    starts, ends = life
    found = f"its TLS certificate is good for another {duration_text(int(ends - now))}"
    if ends - now > (ends - starts) / 10:
        return [ok("database", found)]
    hint = "renew it before it ends, or nobody gets in any more: `certfleet-issuer db tls DIR`, if that made it"
    return [warn("database", f"{found} only", hint)]


def account_key_line(file: Path, mode: int) -> Line:
    """A finding about the permission bits *mode* of an account key that was loaded already."""
    if mode & 0o077:
        return warn("account key", f"{file} has mode {mode:04o}, so others can read it", f"chmod 0600 {file}")
    return ok("account key", f"{file} is usable, and readable by its owner only")


def authority_lines(
    ca: AcmeCa, settings: CaSettings, clock: Clock, orders: Sequence[str], *, first: bool
) -> list[Line]:
    """Every finding about one CA. *first*: is it the CA of [acme]? Faults of a fallback are warnings. *orders*: URLs of
    our newest orders there."""
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


def mail_line(server: MailServer, settings: NotifySettings) -> Line:
    """A finding about the mail server, up to the recipients."""
    try:
        place = server.reach()
    except CertfleetError as error:
        return bad("mail", str(error), error.hint)
    how = ["answers"] + ["encrypts"] * settings.encrypted + ["takes our login"] * bool(settings.smtp_user)
    return ok("mail", f"{place} {' and '.join(how)}, and takes sender and recipients")


def identity(ca: AcmeCa) -> CaIdentity | None:
    """The values that stand in DNS records for the CA and our account; None when it cannot be reached (authority_lines
    says so)."""
    try:
        return ca.identity(ca.find_account())
    except CertfleetError:
        return None


def _account(subject: str, ca: AcmeCa, orders: Sequence[str]) -> list[Line]:
    """Findings about our account, and about *orders* of another account, which ours cannot continue."""
    account = ca.find_account()
    hint = f"copy the account key of the issuer that opened them ({SHARED_KEY})"
    if not account and orders:
        sentence = "it knows no account of our key, but the database has orders that were opened there"
        return [warn(subject, sentence, f"{hint}; if it is lost, the next order registers ours")]
    if not account:
        hint = "no action needed: the first order registers it"
        return [warn(subject, "it knows no account of our key yet", hint)]
    lines = [ok(subject, f"our account is {account}")]
    if any(ca.disowns(url) for url in orders):
        hint += "; no action needed if the key was changed on purpose"
        lines.append(warn(subject, "orders of the database were opened with another account key", hint))
    return lines


def _offers(ca: AcmeCa) -> str:
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
