"""check: whose word counts on this host, whether what the source offers has it, and whether the unit may write where
agent.toml says. Changes nothing."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.commands.sandbox import UNIT, closed_folders
from agent.commands.wiring import LocalTools
from agent.model.certificate import Certificate
from agent.model.offer import Offer
from agent.rules.statement import hear
from agent.settings.config import AgentSettings, load_settings
from common.certificate import parse_bundle
from common.command_line import report, say
from common.errors import CertfleetError
from common.issuer_key import issuer_key_id, parse_issuer_key

_OK, _WARN, _BAD = "ok", "warn", "bad"


@dataclass(frozen=True, slots=True)
class _Line:
    """One finding. *hint*: what to do, "" for nothing."""

    level: str
    subject: str
    sentence: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.level:4} {self.subject}: {self.sentence}" + (f"; {self.hint}" if self.hint else "")


def check(arguments: argparse.Namespace) -> int:
    """One line for each finding; exit code 1 if one is bad."""
    settings, certificates = load_settings(arguments.config)
    tools = LocalTools(settings, certificates, arguments.config, retry=False)
    lines = [_Line(_OK, "configuration", f"{arguments.config} is well formed"), _trust(settings)]
    lines += (_closed(folder) for folder in closed_folders(settings, certificates))
    try:
        lines += (line for certificate in certificates for line in _offered(certificate, tools))
    except CertfleetError as error:
        lines.append(_Line(_BAD, "source", str(error), error.hint))
    finally:
        tools.source.close()
    well = all(line.level != _BAD for line in lines)
    if arguments.json:
        report({"well": well, "findings": [_document(line) for line in lines]})
    elif not getattr(arguments, "quiet", False):
        for line in lines:
            say(str(line))
    return 0 if well else 1


def _document(line: _Line) -> dict[str, str | None]:
    return {
        "level": line.level,
        "subject": line.subject,
        "finding": line.sentence,
        "what_to_do": line.hint or None,
    }


def _trust(settings: AgentSettings) -> _Line:
    """Whose word counts."""
    if settings.trust.issuer_key:
        known = issuer_key_id(parse_issuer_key(settings.trust.issuer_key))
        return _Line(_OK, "trust", f"only what the issuer with the key {known} has signed is installed")
    sentence = "the database is believed: whoever can write to it chooses among certificates for the keys of this host"
    hint = "set issuer_key in [trust] to what `certfleet-issuer key show` prints"
    return _Line(_WARN, "trust", sentence, hint)


def _closed(folder: Path) -> _Line:
    """A shell shows nothing wrong there."""
    hint = "`certfleet-agent init --system` names the folders of agent.toml in ReadWritePaths= of the unit"
    return _Line(_BAD, UNIT, f"it may not write {folder}, so the timer's run installs nothing there", hint)


def _offered(certificate: Certificate, tools: LocalTools) -> Iterator[_Line]:
    """The finding on the source's offer for *certificate*. Raises SourceError, FileError."""
    offer = tools.source.fetch(certificate.name)
    if offer is None:
        yield _Line(_BAD, certificate.name, "the source does not know it", "`certfleet-issuer populate` enrols it")
    elif not offer.leaf_pem.strip():
        yield _Line(_OK, certificate.name, "enrolled, waiting for its first certificate")
    elif certificate.issuer_key:
        yield from _signed(certificate, offer, tools)
    else:
        yield _Line(_OK, certificate.name, "the source has a certificate")


def _signed(certificate: Certificate, offer: Offer, tools: LocalTools) -> Iterator[_Line]:
    key = parse_issuer_key(tools.state.issuer_key(certificate.issuer_key))
    try:
        bundle = parse_bundle(offer.leaf_pem, offer.chain_pem)
    except ValueError as error:
        yield _Line(_BAD, certificate.name, f"the certificate offered cannot be read: {error}")
        return
    before = tools.state.record(certificate.name).stated_by(certificate.issuer_key)
    findings = hear(certificate.name, offer, bundle, key, before).findings
    for finding in findings:
        yield _Line(_BAD, certificate.name, f"statement: {finding.problem}", "it is not installed")
    if not findings:
        yield _Line(_OK, certificate.name, "the certificate offered is signed by the issuer")
