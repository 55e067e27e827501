"""Choose the CA for the next certificate, and ask the CA of the present one when it wants that renewed (RFC 9773)."""

import dataclasses

import structlog

from common.clock import utc_text
from common.errors import CertfleetError
from issuer.journey.ports import CertificateAuthority, Tools
from issuer.journey.register import refused
from issuer.model.csr import CsrFacts
from issuer.model.enrolment import Enrolment
from issuer.model.leaf import Leaf
from issuer.rules.caa import caa_allows
from issuer.rules.renewal import ask_again_at, by_window, draw, remaining
from issuer.rules.retry import next_authority

log = structlog.get_logger()


def choose(row: Enrolment, csr: CsrFacts, now: int, tools: Tools) -> CertificateAuthority:
    """The first CA; after failures another one, unless CAA forbids it. In need a CA is passed over that refuses our
    account, or named a moment before which it is not to be asked."""
    authorities = list(tools.authorities.values())
    soon = now + tools.settings.renewal.retry[0]
    ca = next_authority(row, authorities, remaining(row, now), lambda each: _held_until(each, row, now, tools), soon)
    if ca is authorities[0]:
        return ca
    refusal = _caa_refusal(row, csr, ca, tools)
    if refusal:
        log.warning("authority.forbidden", certificate=row.name, directory=ca.directory, why=refusal)
        return authorities[0]
    log.warning("authority.fallback", certificate=row.name, directory=ca.directory)
    return ca


def _held_until(ca: CertificateAuthority, row: Enrolment, now: int, tools: Tools) -> int:
    """Until when (epoch seconds) *ca* is not to be asked for the certificate of *row*; 0 where it may be."""
    refusal = refused(ca, tools) if not ca.registered else None
    return max((held[0] for held in (refusal, tools.holds.until(ca.account_id, row.scope, now)) if held), default=0)


def _caa_refusal(row: Enrolment, csr: CsrFacts, ca: CertificateAuthority, tools: Tools) -> str:
    """Why CAA keeps *ca* from issuing for one of the names; "" if it does not. A failed lookup is no permission (RFC
    8659 §3)."""
    try:
        for name in csr.dns_names:  # addresses have no CAA records
            records = tools.caa(name.removeprefix("*."))
            account = ca.account_url() if records else ""
            wildcard = name.startswith("*.")
            method = tools.solver(row, name).type.name
            verdict = caa_allows(records, ca.caa_identities, account, method, wildcard=wildcard)
            if verdict.allowed is False:
                return f"{name}: {verdict.reason}"
    except CertfleetError as error:
        return str(error)
    return ""


def consult(row: Enrolment, now: int, tools: Tools) -> Enrolment:
    """*row* with the CA's renewal information (RFC 9773 §4.1), which is saved too. A failure is logged: our own rule
    decides then."""
    ca = tools.authorities.get(row.directory) or next(iter(tools.authorities.values()))
    present = identifier(row)
    wanted = None
    try:
        info = ca.renewal_info(present) if present else None
        if info is not None:
            row = draw(before := row, info, now)
            _tell_put_off(before, row)
            tools.certificates.save_renewal_info(row, info.explanation_url)
            if info.explanation_url:
                log.warning("renewal_info.explained", certificate=row.name, url=info.explanation_url)
            return row
    except CertfleetError as error:
        wanted = getattr(error, "retry_after", None)
        log.info("renewal_info.unavailable", certificate=row.name, error=str(error))
    if row.ari_ask_at is not None:
        row = dataclasses.replace(row, ari_ask_at=ask_again_at(wanted, now))
        tools.certificates.save_renewal_info(row, "")
    return row


def _tell_put_off(before: Enrolment, row: Enrolment) -> None:
    """Log once for each window that it is not followed at its moment."""
    leaf = row.present
    if not isinstance(leaf, Leaf) or before.ari_window == row.ari_window:
        return
    wanted = by_window(row, leaf.starts, leaf.ends)
    if wanted is not None and wanted.at != row.ari_at:
        log.warning("renewal_info.put_off", certificate=row.name, until=utc_text(wanted.at), why=wanted.why)


def identifier(row: Enrolment) -> str:
    """The present certificate's identifier (RFC 9773 §4.1); "" for one without an issuer's key identifier."""
    return row.present.ari_id if isinstance(row.present, Leaf) else ""
