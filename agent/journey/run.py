"""One run over the certificates of this host: settle what was interrupted, then each in turn; one never stops another.

An unchanged run writes nothing but the lock: a record is saved and a report is sent only when something is different.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import structlog

from agent.journey.ports import Source
from agent.journey.roll_back import settle
from agent.journey.steps import Tools
from agent.journey.update import Update, Verdict, update
from agent.model.certificate import Certificate
from agent.model.errors import SourceError
from agent.model.offer import Report
from agent.rules.install_states import Outcome
from agent.rules.journal import JournalEntry
from agent.rules.record import Installed, Record, Refusal
from common.errors import CertfleetError, FileError

_log = structlog.get_logger()
_LONGEST_DETAIL = 2000  # characters that are reported of a sentence


@dataclass(frozen=True, slots=True)
class Result:
    """What a run says about one certificate. *changed*: were the live files replaced by a newer certificate?"""

    name: str
    outcome: Outcome
    detail: str
    hint: str
    changed: bool
    installed: Installed | None
    refusal: Refusal | None


@dataclass(frozen=True, slots=True)
class Run:
    """One pass at one moment, *now*, on *host*. *retry*: try refused certificates before their time."""

    source: Source
    tools: Tools
    host: str
    now: float
    retry: bool = False

    def over(self, configured: Sequence[Certificate], selected: Sequence[Certificate]) -> Iterator[Result]:
        """Settle whatever was interrupted; then bring the *selected* certificates up to date, one by one."""
        by_name = {certificate.name: certificate for certificate in configured}
        broken = {}
        for entry in self.tools.state.journals():
            verdict = self._settle(by_name.get(entry.name), entry)
            if verdict is not None:
                broken[entry.name] = self._conclude(entry.name, verdict)
        yield from broken.values()
        for certificate in selected:
            if certificate.name not in broken:
                yield self._conclude(certificate.name, self._update(certificate))

    def _settle(self, certificate: Certificate | None, entry: JournalEntry) -> Verdict | None:
        """None when the interrupted install could be settled and the certificate's turn can come as usual."""
        ending = settle(certificate, entry, self.tools)
        _log.warning("install.settled", certificate=entry.name, outcome=ending.outcome.value, detail=ending.detail)
        if ending.outcome is not Outcome.BROKEN:
            self.tools.state.finish(entry.name)
            return None
        record = self.tools.state.record(entry.name)
        installed, refusal = (record.installed, record.refusal) if record else (None, None)
        return Verdict(ending.outcome, ending.detail, ending.hint, installed, refusal, restored=ending.restored)

    def _update(self, certificate: Certificate) -> Verdict:
        record: Record | None = None
        try:
            record = self.tools.state.record(certificate.name)
            return update(Update(certificate, record, self.source, self.tools, self.now, self.retry))
        except SourceError as error:
            outcome, detail, hint = Outcome.UNREACHABLE, str(error), error.hint
        except CertfleetError as error:
            outcome, detail, hint = Outcome.FAILED, str(error), error.hint
        except Exception as error:  # noqa: BLE001 - the loop's border: a fault of ours must not stop the other certificates
            _log.info("run.fault", certificate=certificate.name, exc_info=True)
            outcome, detail = Outcome.FAILED, f"a fault in certfleet itself: {type(error).__name__}: {error}"
            hint = "run again with -v and report what it prints"
        installed, refusal = (record.installed, record.refusal) if record else (None, None)
        # if an install is still open in the journal, then the next run settles it: leave it open
        return Verdict(outcome, detail, hint, installed, refusal, restored=False)

    def _conclude(self, name: str, verdict: Verdict) -> Result:
        """Put the verdict on record, close the journal, tell the central side; none of these can undo an install."""
        state = self.tools.state
        try:
            before = state.record(name)
            record = Record(name, verdict.outcome, verdict.detail, int(self.now), verdict.installed, verdict.refusal)
            is_news = not record.says_the_same_as(before)
            if before is not None and not is_news:
                record = replace(record, changed_at=before.changed_at)
            else:
                state.save_record(replace(record, unsent=True))
            if verdict.restored:
                state.finish(name)
            if is_news or (before is not None and before.unsent):
                self._tell(record)
        except FileError as error:
            _log.warning("record.not-written", certificate=name, error=str(error), hint=error.hint)
        return Result(
            name,
            verdict.outcome,
            verdict.detail,
            verdict.hint,
            verdict.changed,
            verdict.installed,
            verdict.refusal,
        )

    def _tell(self, record: Record) -> None:
        """Report to the central side; what cannot be said now is kept as unsent and said by the next run."""
        installed = record.installed
        report = Report(
            name=record.name,
            host=self.host,
            sha256=installed.sha256 if installed else "",
            not_after=installed.not_after if installed else 0,
            state=record.outcome.value,
            detail=record.detail[:_LONGEST_DETAIL],
            reported_at=int(self.now),
        )
        try:
            self.source.report(report)
        except SourceError as error:
            _log.warning("report.unsent", certificate=record.name, error=str(error), hint=error.hint)
            return
        self.tools.state.save_record(record)
