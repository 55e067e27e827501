"""What the two directions of an install share: the tools, how one ends, the journal's pace, the look at the sockets."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.journey.ports import CommandRunner, Sockets, StateStore
from agent.model.certificate import Certificate, Command
from agent.rules.evidence import Evidence, Proof, Sight
from agent.rules.install_states import InstallState, Outcome
from agent.rules.journal import JournalEntry

Judge = Callable[[tuple[Sight, ...]], Evidence]


@dataclass(frozen=True, slots=True)
class Tools:
    """What the journey works with."""

    state: StateStore
    commands: CommandRunner
    sockets: Sockets
    protected: tuple[Path, ...] = ()  # files and folders that are never a target of an install


@dataclass(frozen=True, slots=True)
class Ending:
    """How an install ended. *at_fault*: is the certificate not to be tried again for a while? *restored*: False when
    old files could not be put back; then the journal must stay open, for the next run to try again.
    """

    outcome: Outcome
    detail: str = ""
    hint: str = ""
    at_fault: bool = False
    restored: bool = True


def enter(state: InstallState, entry: JournalEntry, tools: Tools) -> JournalEntry:
    """The journal first, then the deed."""
    entry = entry.at(state)
    tools.state.save_journal(entry)
    return entry


def run_all(step: str, commands: tuple[Command, ...], tools: Tools) -> None:
    for command in commands:
        tools.commands.run(step, command)


def outcome_of(evidence: Evidence) -> Outcome:
    """What the sockets say of a certificate that lies in the live files."""
    if evidence.proof is Proof.PROVEN:
        return Outcome.INSTALLED
    return Outcome.UNPROVABLE if evidence.proof is Proof.NOTHING_TO_ASK else Outcome.UNPROVEN


def placed(evidence: Evidence) -> str:
    """The sentence for files that are in place; empty when all is proven."""
    return f"the files are in place, not proven: {evidence.detail}" if evidence.detail else ""


def watch(certificate: Certificate, judge: Judge, patient: bool, tools: Tools) -> Evidence:
    """Look at the sockets until they prove what *judge* asks for, and keep proving it for a moment.

    One look is not enough: nginx lets old and new workers accept connections side by side for a tenth of a second,
    and an Apache that is about to die still answers. Not *patient*: take what the first look shows, if it is bad.
    """
    deadline = tools.sockets.deadline() if patient else 0.0
    while True:
        evidence = _steady(certificate, judge, tools)
        if evidence.proof in {Proof.PROVEN, Proof.NOTHING_TO_ASK, Proof.UNKNOWN}:
            return evidence
        if not tools.sockets.wait(deadline):
            return evidence


def _steady(certificate: Certificate, judge: Judge, tools: Tools) -> Evidence:
    """PROVEN only if each of several looks in a row proves it; otherwise what the first other one shows."""
    end = tools.sockets.steady_until()
    while True:
        evidence = judge(tools.sockets.look(certificate.probes, certificate.server_name))
        if evidence.proof is not Proof.PROVEN or not tools.sockets.wait(end):
            return evidence
