"""A run without changes: the first half of a run asks, verifies and looks at everything, and tells what it would do.

The tools keep it so: their state folder and files are read-only. No command is run but the question whether a service
runs, so what its own check would say is not known.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

from agent.journey.due import Due, concluded, plan
from agent.journey.member import Life, Member, is_to_start, life, services_of
from agent.journey.pause import while_away
from agent.journey.ports import Tools, Turn
from agent.journey.run import asked, begun, taken_up
from agent.journey.watch import first_look, with_first_looks
from agent.model.certificate import Certificate, Service
from agent.model.live_file import LiveFile
from agent.model.result import Result, with_notes_told
from agent.rules.conclusion import conclusion
from agent.rules.evidence import Sight, foreseen
from agent.rules.groups import groups
from agent.rules.standing import standing
from agent.rules.targets import differences
from common.dataclasses import dataclass, replace
from common.probe.view import Seen


@dataclass(frozen=True, slots=True)
class Change:
    """A live file that would be written. *what*: "new", "other content", or the rights that would change."""

    path: Path
    what: str


@dataclass(frozen=True, slots=True)
class Step:
    """A certificate that would be installed: how it would stand then if its services take it. *bare*: sockets that show
    no certificate now, before the first one, and have to show this one then."""

    name: str
    result: Result
    changes: tuple[Change, ...]
    replaces: str  # the serial number of the one in place; "" for none
    bare: tuple[Sight, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """A service whose check would be run, and which would be told unless nothing proves that it runs: *stopped*."""

    service: Service
    stopped: bool
    is_to_start: bool

    @property
    def is_left_alone(self) -> bool:
        return self.stopped and not self.is_to_start


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """One install: its certificates and the services that they concern."""

    steps: tuple[Step, ...]
    services: tuple[Told, ...]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The certificates whose *interrupted* install would be settled first; the standing of those that are not due; the
    installs that would be made."""

    interrupted: tuple[str, ...]
    standing: tuple[Result, ...]
    installs: tuple[GroupPlan, ...]

    @property
    def results(self) -> list[Result]:
        return [*self.standing, *(step.result for group in self.installs for step in group.steps)]


def rehearse(selected: Sequence[Certificate], tools: Tools) -> Rehearsal:
    """Raises FileError if a journal cannot be read. *tools* must be read-only."""
    interrupted = tuple(part.name for entry in tools.state.journals() for part in entry.parts)
    selected = tools.reach(selected)
    answer = asked(selected, tools)
    due, stand = list[Due](), list[Result]()
    for turn in with_first_looks([begun(certificate, answer, tools) for certificate in selected]):
        found = taken_up(turn, answer, tell=False) if isinstance(turn, Turn) else turn
        if isinstance(found, Result):
            stand.append(found)
        else:
            due.append(found)
    ordered = sorted(due, key=lambda one: one.attempts)
    together = groups(ordered, lambda one: one.turn.certificate, lambda one: one.goes_alone)
    found_groups = tuple(_group_plan(group, group[0].turn.tools) for group in together)
    for certificate in selected:
        tools.on(certificate.host).files.release()
    return Rehearsal(interrupted, tuple(stand), found_groups)


def _group_plan(group: Sequence[Due], tools: Tools) -> GroupPlan:
    members = [Member(due, plan(due), before=first_look(due.turn)) for due in group]
    services = [
        Told(service, life(service, users, tools) is Life.STOPPED, is_to_start(service, [user.turn for user in users]))
        for service, users in services_of(members).items()
    ]
    told = {one.service for one in services if not one.is_left_alone}
    return GroupPlan(tuple(_step(member, told, tools) for member in members), tuple(services))


def _step(member: Member, told: Collection[Service], tools: Tools) -> Step:
    due, turn, certificate = member.due, member.turn, member.certificate
    coming = _coming(member, told)
    evidence = foreseen(member.before, due.sha256, due.chain, certificate.by_hand, coming)
    outcome, _, hint = conclusion(evidence, certificate)
    found = concluded(due, turn.result(outcome, evidence.detail, hint), member.planned)
    result = with_notes_told(while_away(turn, standing(found, tools.now)))
    changes = ((path, _change(one.live, one.new)) for path, one in member.planned.items())
    written = tuple(Change(path, what) for path, what in changes if what)
    bare = tuple(sight for sight in member.before if sight.seen is not Seen.SERVED and sight.target in coming)
    return Step(member.name, replace(result, changed=True), written, due.present_serial, bare)


def _coming(member: Member, told: Collection[Service]) -> set[str]:
    """The targets that may show no certificate now, and have to show one after the install: those of a service that is
    started. Before the first certificate, without which a service may offer no TLS, those of each that is told."""
    uses = [use for use in member.certificate.uses if use.service in told]
    is_first = member.due.in_place is None
    return {probe.text for use in uses if is_first or use.service.starts_stopped for probe in use.probes}


def _change(live: LiveFile | None, new: LiveFile) -> str:
    if live is None:
        return "new"
    return "other content" if live.content != new.content else ", ".join(differences(live, new))
