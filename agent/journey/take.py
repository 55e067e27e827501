"""Fetch what the source offers and judge it: is it due, in place already, or refused?

It parses certificates and keys. The library for that is slow to load, so a run imports this only when there is news.
"""

from agent.journey.answers import not_enrolled, offered, waiting
from agent.journey.due import Due, found_in_files, refused, unless_in_place
from agent.journey.go_back import stay
from agent.journey.next_key import key_for
from agent.journey.ports import Turn
from agent.journey.vouch import Voucher, is_trusted, revoked, vouch
from agent.model.errors import HostLost, VerificationError
from agent.model.host_key import HostKey
from agent.model.live_file import digest
from agent.model.offer import Mark, Offer
from agent.model.result import Outcome, Result, Stated
from agent.rules.remedy import remedy
from agent.rules.standing import ROOTS_HINT
from agent.rules.statement import OTHER_KEY, STATEMENT, Word, dates_count, hear, known_leaves
from agent.rules.verify import Expectation, installed_facts, issuers_in, verify
from agent.rules.window import waits_for
from common.certificate import Bundle, fingerprint, not_after, parse_bundle
from common.dataclasses import dataclass, replace
from common.errors import CertfleetError, Finding
from common.issuer_key import issuer_key_text, parse_issuer_key
from common.late_log import LateLog

_log = LateLog()


@dataclass(frozen=True, slots=True)
class _Judged:
    """An offer, its certificate, the key of this host that it is for, the one *in_place* for the *live* key, and the
    issuer's statement about the offer, None where agent.toml has no key to verify one."""

    offer: Offer
    bundle: Bundle
    key: HostKey
    live: HostKey
    in_place: Bundle | None
    word: Word | None


def take(turn: Turn, mark: Mark, circumstances: str) -> Due | Result:
    """Fetch and judge the offer. *mark* and *circumstances* are remembered with what comes of it.

    Raises SourceError, HostLost; FileError if live files cannot be read.
    """
    offer = offered(turn)
    if offer is None:
        return not_enrolled(turn)
    if not offer.leaf_pem.strip():
        return waiting(turn)
    sha256 = digest(offer.content)
    try:
        bundle = _parse(offer)
        gone_back = turn.before.gone_back
        if gone_back is not None and fingerprint(bundle.leaf) in gone_back.left:
            return stay(turn, gone_back, mark)
        judged = _judged(turn, offer, bundle)
        voucher = _verify(turn, judged)
        turn = _believing(turn, judged.word)
    except HostLost:
        raise
    except CertfleetError as error:
        result = turn.result(Outcome.REFUSED, f"{error}; no live file was touched", error.hint)
        return refused(replace(result, at_fault=_is_at_fault(error)), turn, sha256, mark, circumstances)
    if voucher.is_issuer:
        _log.warning("trust.issuer-only", certificate=turn.certificate.name, hint=ROOTS_HINT)
    due = Due(
        turn,
        bundle,
        judged.key,
        mark,
        circumstances,
        offered=sha256,
        by_issuer=voucher.is_issuer,
        in_place=judged.in_place,
        switches=judged.key is not judged.live,
        offer=offer,
    )
    return unless_in_place(due)


def objection(turn: Turn, offer: Offer) -> VerificationError | None:
    """Why a run would refuse the certificate of *offer*; None if it would take it. Nothing is changed.

    Raises CertfleetError where key or live files cannot be read.
    """
    try:
        _verify(turn, _judged(turn, offer, _parse(offer)))
    except VerificationError as error:
        return error
    return None


def _judged(turn: Turn, offer: Offer, bundle: Bundle) -> _Judged:
    live = turn.tools.keys.load(turn.certificate.key)
    key, in_place = key_for(bundle, live, turn), found_in_files(turn, live)
    return _Judged(offer, bundle, key, live, in_place, _word(turn, offer, bundle))


def _parse(offer: Offer) -> Bundle:
    try:
        return parse_bundle(offer.leaf_pem, offer.chain_pem)
    except ValueError as error:
        finding = Finding("form", str(error))
        hint = "look at columns crt and ca of its row; `certfleet-issuer reissue` makes new ones"
        raise VerificationError("the certificate offered cannot be read", [finding], hint=hint) from error


def _word(turn: Turn, offer: Offer, bundle: Bundle) -> Word | None:
    """The issuer's statement about the offer; None where agent.toml has no key to verify one. Raises FileError."""
    name, pinned = turn.certificate.name, turn.certificate.issuer_key
    if not pinned:
        return None
    key = parse_issuer_key(turn.tools.state.issuer_key(pinned))
    return hear(name, offer, bundle, key, turn.before.stated_by(pinned))


def _believing(turn: Turn, word: Word | None) -> Turn:
    """The turn, which now remembers the statement that was taken. A new key of the issuer is saved at once. Raises
    FileError."""
    if word is None or word.statement is None:
        return turn
    pinned, key = turn.certificate.issuer_key, issuer_key_text(word.key)
    if key != turn.tools.state.issuer_key(pinned):
        turn.tools.state.save_issuer_key(pinned, key)
    stated = Stated(word.statement.sequence, word.statement.sha256, pinned)
    return replace(turn, before=replace(turn.before, stated=stated))


def _verify(turn: Turn, judged: _Judged) -> Voucher:
    """The voucher of the certificate. Raises VerificationError with every finding that speaks against it."""
    bundle, key, in_place, word = judged.bundle, judged.key, judged.in_place, judged.word
    installed = installed_facts(in_place) if in_place is not None else None
    expected = Expectation(key.spki_sha256, turn.certificate.names, installed)
    findings = [*(word.findings if word is not None else ()), *verify(bundle, expected, turn.tools.now)]
    if {finding.path for finding in findings} <= {"age"}:  # else a client would say the same again
        voucher, refused = vouch(turn, bundle, key, in_place)
        is_older = bool(findings)
        if is_older and in_place is not None and not _counts(turn, judged, in_place, voucher):
            findings = []
        if not (findings or refused) and (is_older or _may_be_revoked(turn, judged)):
            findings = revoked(turn, bundle)
        findings += refused
        if not findings:
            return voucher
    which = "offered" if turn.away is None else "staged"
    hint = remedy(turn.certificate.name, findings, turn.tools.now)
    raise VerificationError(f"the certificate {which} does not fit", findings, hint=hint)


def _counts(turn: Turn, judged: _Judged, in_place: Bundle, voucher: Voucher) -> bool:
    """Is it a fault that the certificate is older? Not if the issuer means it, nor if no client takes the one in
    place. That one is judged with the CAs of the offer too: its own may be in no live file."""
    before, sha256 = turn.before, fingerprint(judged.bundle.leaf)
    stated, known = before.stated_by(turn.certificate.issuer_key), known_leaves(before.installed, before.past)
    if not dates_count(judged.word, stated, judged.offer, sha256, known):
        return False
    above = issuers_in((*in_place.chain, *judged.bundle.chain), in_place.leaf)
    return is_trusted(turn, Bundle(in_place.leaf, above), judged.live, voucher)


def _may_be_revoked(turn: Turn, judged: _Judged) -> bool:
    """Is the CA asked about it? Yes if it was staged and is due now: days may have passed. Yes if it was refused
    before: perhaps because it was revoked. Yes if it was in place here before the one that was installed last."""
    sha256, installed, refusal = fingerprint(judged.bundle.leaf), turn.before.installed, turn.before.refusal
    refused_before = refusal.sha256 if refusal is not None and refusal.outcome is Outcome.REFUSED else ""
    if turn.away is not None or _has_waited(turn, judged) or refused_before == digest(judged.offer.content):
        return True
    return sha256 in turn.before.past and (installed is None or sha256 != installed.sha256)


def _has_waited(turn: Turn, judged: _Judged) -> bool:
    """Was it staged, and is its wait over?"""
    if turn.before.staged is None or turn.superseded:
        return False
    window, ends = turn.certificate.window, not_after(judged.in_place.leaf) if judged.in_place is not None else None
    return window is None or waits_for(window, turn.tools.now, ends) is None


def _is_at_fault(error: CertfleetError) -> bool:
    """Is the certificate left alone for a while? Not for want of a good statement: one may come for the same
    certificate."""
    return not (
        isinstance(error, VerificationError) and any(one.path in (STATEMENT, OTHER_KEY) for one in error.findings)
    )
