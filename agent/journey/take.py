"""Fetch what the source offers, judge it, and install it if nothing speaks against it.

The only part of a run that parses certificates and keys, and so loads the library for it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from agent.journey.install import install
from agent.journey.ports import Turn
from agent.journey.update import held, is_held, not_enrolled, waiting
from agent.journey.vouch import Voucher, is_trusted, vouch
from agent.journey.watch import look
from agent.model.errors import VerificationError
from agent.model.host_key import HostKey
from agent.model.live_file import LiveFile, digest
from agent.model.offer import Mark, Offer
from agent.model.result import Installed, Outcome, Refusal, Result, Stated
from agent.rules.evidence import Evidence, Proof, conclusion, judge
from agent.rules.record import back_off, remembered
from agent.rules.standing import ROOTS_HINT
from agent.rules.statement import NO_COLUMN, Word, dates_count, hear, known_leaves
from agent.rules.targets import as_left, is_as_wanted, loses_list, refuse_dangling, refuse_detours, wanted
from agent.rules.verify import Expectation, installed_facts, installed_in, to_be_shown, verify
from common.certificate import Bundle, fingerprint, not_after, not_before, parse_bundle, serial_text
from common.errors import CertfleetError, Finding
from common.issuer_key import issuer_key_text, parse_issuer_key
from common.late_log import LateLog

_log = LateLog()


@dataclass(frozen=True, slots=True)
class _Judged:
    """An offer, its certificate, and the issuer's word on it: None where agent.toml has no key to know that by."""

    offer: Offer
    bundle: Bundle
    word: Word | None


def take(turn: Turn, mark: Mark, circumstances: str) -> Result:
    """Fetch, verify, install. *mark* and *circumstances* are remembered with what comes of it. Raises SourceError."""
    offer = turn.tools.source.fetch(turn.certificate.name)
    if offer is None:
        return not_enrolled(turn)
    if not offer.leaf_pem.strip():
        return waiting(turn)
    offered = digest(offer.content)
    refusal = turn.before.refusal
    if refusal is not None and refusal.sha256 == offered and is_held(turn, refusal, circumstances):
        return held(turn, replace(refusal, mark=mark))
    try:
        bundle = _parse(offer)
        key = turn.tools.keys.load(turn.certificate.key)
        in_place = _in_place(turn, key)
        word = _word(turn, offer, bundle)
        voucher = _verify(turn, _Judged(offer, bundle, word), key, in_place)
        turn = _believing(turn, word)
    except CertfleetError as error:
        result = turn.result(Outcome.REFUSED, f"{error}; no live file was touched", error.hint)
        return _refused(replace(result, at_fault=_is_at_fault(error)), turn, offered, mark, circumstances)
    if voucher.is_issuer:
        _log.warning("trust.issuer-only", certificate=turn.certificate.name, hint=ROOTS_HINT)
    result, planned = _put_in_place(turn, bundle, key, in_place)
    if result.outcome in {Outcome.FAILED, Outcome.BROKEN}:
        return _refused(result, turn, offered, mark, circumstances)
    leaf = bundle.leaf
    installed = Installed(
        sha256=fingerprint(leaf),
        serial=serial_text(leaf),
        not_before=not_before(leaf),
        not_after=not_after(leaf),
        mark=mark,
        files=_digests(turn),
        written={str(file.path): new.facts for file, new in zip(turn.certificate.files, planned, strict=True)},
        circumstances=circumstances,
        chain=to_be_shown(bundle),
        by_issuer=voucher.is_issuer,
    )
    past = remembered(turn.before, installed.sha256)
    return replace(result, installed=installed, refusal=None, past=past)


def _parse(offer: Offer) -> Bundle:
    try:
        return parse_bundle(offer.leaf_pem, offer.chain_pem)
    except ValueError as error:
        finding = Finding("form", str(error))
        hint = "look at columns crt and ca of its row; `certfleet-issuer reissue` makes new ones"
        raise VerificationError("the certificate offered cannot be read", [finding], hint=hint) from error


def _in_place(turn: Turn, key: HostKey) -> Bundle | None:
    """The certificate for this key that the live files hold, with what they hold of its chain. Raises FileError."""
    files = [file for file in turn.certificate.files if {"certificate", "chain"} & set(file.parts)]
    found = (turn.tools.files.read(file.path) for file in files)
    return installed_in((live.content for live in found if live is not None), key.spki_sha256)


def _word(turn: Turn, offer: Offer, bundle: Bundle) -> Word | None:
    """The issuer's word on the offer; None where agent.toml has no key to know it by. Raises FileError."""
    name, pinned = turn.certificate.name, turn.certificate.issuer_key
    if not pinned:
        return None
    key = parse_issuer_key(turn.tools.state.issuer_key(pinned))
    return hear(name, offer, bundle, key, turn.before.stated_by(pinned))


def _believing(turn: Turn, word: Word | None) -> Turn:
    """The turn, in which a word that was taken is remembered, and a new key of the issuer too. Raises FileError."""
    if word is None or word.statement is None:
        return turn
    pinned, key = turn.certificate.issuer_key, issuer_key_text(word.key)
    if key != turn.tools.state.issuer_key(pinned):
        turn.tools.state.save_issuer_key(pinned, key)
    stated = Stated(word.statement.sequence, word.statement.sha256, pinned)
    return replace(turn, before=replace(turn.before, stated=stated))


def _verify(turn: Turn, judged: _Judged, key: HostKey, in_place: Bundle | None) -> Voucher:
    """The voucher of the certificate; VerificationError with every finding that speaks against it."""
    bundle, word = judged.bundle, judged.word
    installed = installed_facts(in_place) if in_place is not None else None
    expected = Expectation(key.spki_sha256, turn.certificate.names, installed)
    findings = [*(word.findings if word is not None else ()), *verify(bundle, expected, turn.tools.now)]
    if {finding.path for finding in findings} <= {"age"}:  # else a client would say the same again
        voucher, refused = vouch(turn, bundle, key, in_place)
        if findings and in_place is not None and not _counts(turn, judged, key, in_place, voucher):
            findings = []
        findings += refused
        if not findings:
            return voucher
    kinds = {finding.path for finding in findings}
    name = turn.certificate.name
    hint = f"`certfleet-issuer reissue {name}` makes a new one; it is taken when it comes"
    if "key" in kinds:
        hint = f"put its key in place; or make a CSR here with `certfleet-agent request {name}`, then on the issuer "
        hint += f"`certfleet-issuer populate --replace {name} --csr FILE`"
    elif "names" in kinds:  # another certificate for the same CSR would have the same names
        hint = "say in `names` of agent.toml what it has to cover, as for a label; or on the issuer "
        hint += f"`certfleet-issuer populate --append {name} --csr FILE` with a CSR that has the names"
    elif "statement" in kinds:
        hint = f"on the issuer `check {name}` says what is wrong, and `key sign {name}` signs it if it is meant"
        if any(finding.problem == NO_COLUMN for finding in findings):
            hint = "run `certfleet-issuer db upgrade` on the issuer"
    elif "trust" in kinds:
        hint = f"{ROOTS_HINT}; {hint}"
    elif "age" in kinds:
        hint = f"if the older one is meant, say so with `certfleet-issuer rollback {name}`"
    raise VerificationError("the certificate offered does not fit", findings, hint=hint)


def _counts(turn: Turn, judged: _Judged, key: HostKey, in_place: Bundle, voucher: Voucher) -> bool:
    """Does it count that the certificate is older? Not if that is meant, nor beside one that no client takes."""
    before, sha256 = turn.before, fingerprint(judged.bundle.leaf)
    stated, known = before.stated_by(turn.certificate.issuer_key), known_leaves(before.installed, before.past)
    if not dates_count(judged.word, stated, judged.offer, sha256, known):
        return False
    return is_trusted(turn, in_place, key, voucher)


def _is_at_fault(error: CertfleetError) -> bool:
    """Is the certificate left alone for a while? Not for want of a statement, which may come for the same one."""
    return not (isinstance(error, VerificationError) and any(one.path == "statement" for one in error.findings))


def _put_in_place(
    turn: Turn, bundle: Bundle, key: HostKey, in_place: Bundle | None
) -> tuple[Result, Collection[LiveFile]]:
    """Install it, unless files and sockets show just this one already. Also what each file was to become."""
    try:
        planned = _plan(turn, bundle, key)
        evidence = _in_place_already(turn, bundle, planned)
        if evidence is not None:
            return turn.result(*conclusion(evidence)), planned.values()
        sound, losing = _is_sound(turn, in_place), _losing_lists(turn, planned)
    except CertfleetError as error:
        return turn.result(Outcome.FAILED, f"{error}; no live file was touched", error.hint), ()
    result = install(turn, bundle, planned, sound=sound)
    return replace(result, notes=losing) if result.changed else result, planned.values()


def _plan(turn: Turn, bundle: Bundle, key: HostKey) -> dict[Path, LiveFile]:
    """The new state of each live file by its real path: a link stays and its target changes.

    InstallError for a target that leads where nothing may be written, FileError for one that cannot be looked at.
    """
    files, targets = turn.tools.files, turn.certificate.files
    real = {target.path: files.locate(target.path) for target in targets}
    refuse_detours(real, turn.tools.protected)
    refuse_dangling(filter(files.is_dangling, real))
    parts = {"certificate": bundle.leaf_pem, "chain": bundle.chain_pem, "key": key.content}
    return {
        real[one.path]: wanted(
            one,
            as_left(one, files.read(real[one.path]), turn.before.installed),
            files.owner_ids(one.owner, one.group),
            b"".join(parts[part] for part in one.parts),
        )
        for one in targets
    }


def _losing_lists(turn: Turn, planned: Mapping[Path, LiveFile]) -> tuple[str, ...]:
    """A sentence for each file whose access control list does not stay. Raises FileError."""
    lives = ((file, turn.tools.files.read(file), new) for file, new in planned.items())
    lost = (file for file, live, new in lives if live is not None and loses_list(live, new))
    return tuple(f"{file} had an access control list, which would open its key; it has none now" for file in lost)


def _in_place_already(turn: Turn, bundle: Bundle, planned: Mapping[Path, LiveFile]) -> Evidence | None:
    """The evidence, if files and sockets show just this certificate. Raises FileError."""
    if not all(is_as_wanted(turn.tools.files.read(file), new) for file, new in planned.items()):
        return None
    sha256, installed = fingerprint(bundle.leaf), turn.before.installed
    evidence = judge(look(turn), sha256, chain=to_be_shown(bundle))
    is_known = installed is not None and installed.sha256 == sha256
    if evidence.proof is Proof.PROVEN or (is_known and evidence.proof is not Proof.WRONG):
        return evidence
    return None


def _is_sound(turn: Turn, in_place: Bundle | None) -> bool:
    """Do the live files hold a working pair, as we left it if we left one? Then the service's check must pass now."""
    digests, installed = _digests(turn), turn.before.installed
    if in_place is None or not all(digests.values()):
        return False
    return installed is None or all(digests.get(path) == was for path, was in installed.files.items())


def _digests(turn: Turn) -> dict[str, str]:
    return {str(file.path): turn.tools.files.digest(file.path) for file in turn.certificate.files}


def _refused(result: Result, turn: Turn, offered: str, mark: Mark, circumstances: str) -> Result:
    """Remember a certificate that is at fault, so that it is not tried again at every run."""
    refusal = None
    if result.at_fault:
        attempts, until = back_off(turn.before.refusal, offered, turn.tools.now)
        facts = (offered, mark, circumstances, attempts, until)
        refusal = Refusal(result.outcome, result.detail, *facts, result.hint)
    return replace(result, refusal=refusal)
