"""One certificate, one run: pull → verify → install. Decides whether there is anything to do, and what stands after.

The cheap question first: one row of two numbers. Only if it differs from what is remembered, or if the files, the key,
the settings or the served certificate are not what they should be, is the certificate itself fetched.
"""

from dataclasses import dataclass, replace

from agent.host import live_files
from agent.host.keys import key_spki_sha256, load_key
from agent.journey.install import install
from agent.journey.ports import Source
from agent.journey.steps import Ending, Tools, outcome_of, placed
from agent.model.certificate import Certificate
from agent.model.errors import SourceError, VerificationError
from agent.model.offer import Mark, Offer
from agent.rules.evidence import Evidence, Proof, judge
from agent.rules.install_states import Outcome
from agent.rules.record import Installed, Record, Refusal, back_off
from agent.rules.verify import Expectation, InstalledCertificate, installed_in, verify
from common.certificate import (
    Bundle,
    fingerprint,
    not_after,
    parse_bundle,
    serial_text,
)
from common.clock import utc_text
from common.errors import CertfleetError, Finding


@dataclass(frozen=True, slots=True)
class Verdict:
    """How things stand after the run, and what is to be remembered. *restored*: may the journal be closed?"""

    outcome: Outcome
    detail: str
    hint: str
    installed: Installed | None
    refusal: Refusal | None
    changed: bool = False
    restored: bool = True


@dataclass(frozen=True, slots=True)
class Update:
    """One certificate and all that decides about it."""

    certificate: Certificate
    record: Record | None
    source: Source
    tools: Tools
    now: float
    retry: bool

    @property
    def installed(self) -> Installed | None:
        return self.record.installed if self.record else None

    @property
    def refusal(self) -> Refusal | None:
        return self.record.refusal if self.record else None

    def stands(self, outcome: Outcome, detail: str, hint: str = "") -> Verdict:
        """Nothing was done: what is installed stays, and what was refused stays refused."""
        return Verdict(outcome, detail, hint, self.installed, self.refusal)


def update(task: Update) -> Verdict:
    """Bring one certificate up to date. Raises SourceError; FileError if live files cannot be read."""
    mark = task.source.mark(task.certificate.name)
    if mark is None:
        return _not_enrolled(task)
    if mark.is_waiting:
        return _waiting(task)
    circumstances = live_files.circumstances(task.certificate)
    if task.refusal is not None and task.refusal.mark == mark and _holds(task, task.refusal, circumstances):
        return _held(task, task.refusal)
    digests = live_files.content_digests(task.certificate)
    was = task.installed
    if was is not None and (was.mark, was.circumstances, was.files) == (mark, circumstances, digests):
        evidence = _look(task, was.sha256)
        if evidence.proof is not Proof.WRONG:
            return Verdict(outcome_of(evidence), placed(evidence), _unproven_hint(evidence), was, None)
    offer = task.source.fetch(task.certificate.name)
    if offer is None:
        return _not_enrolled(task)
    if not offer.leaf_pem.strip():
        return _waiting(task)
    return _take(task, mark, offer, circumstances)


def _take(task: Update, mark: Mark, offer: Offer, circumstances: str) -> Verdict:
    """Judge what is offered and install it."""
    offered = live_files.digest(offer.leaf_pem + offer.chain_pem)  # with its chain: a mended one is another offer
    try:
        bundle = _parse(offer)
        sha256 = fingerprint(bundle.leaf)
        if task.refusal is not None and task.refusal.sha256 == offered and _holds(task, task.refusal, circumstances):
            return _held(task, replace(task.refusal, mark=mark))
        key, key_bytes = load_key(task.certificate.key)
        spki = key_spki_sha256(key)
        live = installed_in(_live_contents(task.certificate), spki)
        findings = verify(bundle, Expectation(spki, task.certificate.names, live), task.now)
        if any(finding.path == "age" for finding in findings) and _is_meant(task, sha256):
            findings = [finding for finding in findings if finding.path != "age"]
        _refuse_if(findings, task.certificate)
    except CertfleetError as error:
        ending = Ending(Outcome.REFUSED, f"{error}; no live file was touched", error.hint, at_fault=True)
        return _failed(task, ending, offered, mark, circumstances)
    evidence = _in_place_already(task, bundle, key_bytes)
    if evidence is not None:
        now_installed = _installed(task, bundle, mark, circumstances)
        return Verdict(outcome_of(evidence), placed(evidence), _unproven_hint(evidence), now_installed, None)
    ending = install(task.certificate, bundle, key_bytes, _is_sound(task, live), task.tools)
    if ending.outcome in {Outcome.FAILED, Outcome.BROKEN}:
        return _failed(task, ending, offered, mark, circumstances)
    now_installed = _installed(task, bundle, mark, circumstances)
    return Verdict(ending.outcome, ending.detail, ending.hint, now_installed, None, changed=True)


def _parse(offer: Offer) -> Bundle:
    try:
        return parse_bundle(offer.leaf_pem, offer.chain_pem)
    except ValueError as error:
        finding = Finding("form", str(error))
        hint = "look at columns crt and ca of its row; `certfleet-issuer reissue` makes new ones"
        raise VerificationError("what the source offers cannot be read", [finding], hint=hint) from error


def _refuse_if(findings: list[Finding], certificate: Certificate) -> None:
    if not findings:
        return
    hint = f"`certfleet-issuer reissue {certificate.name}` makes a new one; it is taken when it comes"
    if any(finding.path == "key" for finding in findings):
        hint = f"enrol the CSR that `certfleet-agent request {certificate.name}` makes here, then reissue it"
    elif any(finding.path == "age" for finding in findings):
        hint = f"if the older one is meant, say so with `certfleet-issuer rollback {certificate.name}`"
    raise VerificationError("the certificate offered does not fit", findings, hint=hint)


def _is_meant(task: Update, sha256: str) -> bool:
    """Is just this older certificate what the issuer was told to go back to?"""
    try:
        return task.source.older_on_purpose(task.certificate.name) == sha256
    except SourceError:  # an issuer's database from before that column
        return False


def _in_place_already(task: Update, bundle: Bundle, key: bytes) -> Evidence | None:
    """Do files and sockets show just this one, so that there is nothing to install? Then the evidence."""
    try:
        planned = live_files.plan(task.certificate, bundle, key, task.tools.protected)
        if not live_files.is_as_planned(planned):
            return None
    except CertfleetError:
        return None  # the install meets the same, and says so
    sha256 = fingerprint(bundle.leaf)
    evidence = _look(task, sha256)
    known = task.installed is not None and task.installed.sha256 == sha256
    if evidence.proof is Proof.PROVEN or (known and evidence.proof is not Proof.WRONG):
        return evidence
    return None


def _live_contents(certificate: Certificate) -> list[bytes]:
    """What the live files hold that are to hold the certificate. FileError if one cannot be read."""
    found = (live_files.snapshot(file.path) for file in certificate.files if "certificate" in file.parts)
    return [live.content for live in found if live is not None]


def _is_sound(task: Update, live: InstalledCertificate | None) -> bool:
    """Do the live files hold a working pair, as we left it if we left one? Then the service's check must pass now."""
    digests = live_files.content_digests(task.certificate)
    if live is None or not all(digests.values()):
        return False
    return task.installed is None or all(digests.get(path) == was for path, was in task.installed.files.items())


def _installed(task: Update, bundle: Bundle, mark: Mark, circumstances: str) -> Installed:
    leaf = bundle.leaf
    digests = live_files.content_digests(task.certificate)
    return Installed(fingerprint(leaf), serial_text(leaf), not_after(leaf), mark, digests, circumstances)


def _failed(task: Update, ending: Ending, sha256: str, mark: Mark, circumstances: str) -> Verdict:
    """Remember a certificate that is at fault, so that it is not tried again at every run."""
    refusal = None
    if ending.at_fault:
        attempts, until = back_off(task.refusal, sha256, task.now)
        refusal = Refusal(ending.outcome, ending.detail, sha256, mark, circumstances, attempts, until)
    return Verdict(ending.outcome, ending.detail, ending.hint, task.installed, refusal, restored=ending.restored)


def _holds(task: Update, refusal: Refusal, circumstances: str) -> bool:
    return not task.retry and refusal.holds(circumstances, task.now)


def _held(task: Update, refusal: Refusal) -> Verdict:
    hint = f"it is tried again when a newer one comes or after {utc_text(refusal.until)}; now with `run --retry`"
    return Verdict(refusal.outcome, refusal.reason, hint, task.installed, refusal)


def _look(task: Update, sha256: str) -> Evidence:
    certificate = task.certificate
    return judge(task.tools.sockets.look(certificate.probes, certificate.server_name), sha256)


def _unproven_hint(evidence: Evidence) -> str:
    if evidence.proof is Proof.DOWN:
        return "start the service; the next run looks again"
    if evidence.proof is Proof.UNKNOWN:
        return "name a socket that this host can reach in `probe`; ?connect=ADDRESS looks elsewhere under the same name"
    return ""


def _not_enrolled(task: Update) -> Verdict:
    detail = f"the source does not know {task.certificate.name}: not enrolled"
    return task.stands(Outcome.NOT_ENROLLED, detail, f"run `certfleet-issuer populate {task.certificate.name}` there")


def _waiting(task: Update) -> Verdict:
    detail = "enrolled, waiting for its first certificate"
    return task.stands(Outcome.WAITING, detail, "nothing to do here; the issuer needs it enabled, and a run")
