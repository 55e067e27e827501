"""How long the sockets of services are waited for: tables, without a host."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from agent.journey.ports import Turn
from agent.journey.watch import watch, watch_all
from agent.model.certificate import Certificate, Command, Service, Use
from agent.model.errors import InstallError
from agent.model.result import Outcome, Result
from agent.rules.evidence import LookAt, Proof, Sight, judge
from common.probe.target import parse_target
from common.probe.view import Seen

NEW, OLD = "n" * 64, "o" * 64
LONG = 50  # looks


@dataclass
class Host:
    """Sockets that show what *shown* says by port, to *at_once* of those that ask together, and a systemd by which the
    services in *over* have ended. It is all the tools that a watch needs."""

    shown: dict[int, str]
    over: set[str] = field(default_factory=set)
    looks: int = 0
    at_once: int = LONG

    @property
    def sockets(self) -> "Host":
        return self

    @property
    def programs(self) -> "Host":
        return self

    def look_at_all(self, asked: Sequence[LookAt]) -> list[tuple[Sight, ...]]:
        self.looks += 1
        let_in = len(asked[: self.at_once])
        return [
            tuple(sight(target.port, self.shown[target.port] if number < let_in else "down") for target in one.targets)
            for number, one in enumerate(asked)
        ]

    def deadline(self, _settle: float) -> float:
        return LONG

    def steady_until(self) -> float:
        return 0

    def wait(self, deadline: float, _count: int) -> bool:
        return self.looks < deadline

    def run(self, step: str, commands: Sequence[Command]) -> None:
        if any(command[-1] not in self.over for command in commands):
            raise InstallError(step, "it goes on")


def sight(port: int, shows: str) -> Sight:
    seen = Seen.SERVED if shows in {NEW, OLD} else Seen(shows)
    return Sight(f"tls://127.0.0.1:{port}", "127.0.0.1", seen, sha256=shows if seen is Seen.SERVED else "")


@pytest.mark.parametrize(
    ("shown", "over", "proof", "waits"),
    [
        ({1: NEW, 2: NEW}, "", Proof.PROVEN, False),
        ({1: OLD, 2: NEW}, "", Proof.WRONG, True),
        ({1: "down", 2: NEW}, "", Proof.WRONG, True),
        ({1: "down", 2: NEW}, "web", Proof.WRONG, False),
        ({1: "down", 2: "down"}, "web mail", Proof.WRONG, False),
        ({1: "down", 2: OLD}, "web", Proof.WRONG, True),  # the other may show it yet
        ({1: "down", 2: NEW}, "mail", Proof.WRONG, True),
        ({1: "no-tls", 2: NEW}, "web", Proof.WRONG, True),  # somebody listens there
    ],
)
def test_a_service_that_has_ended_is_not_waited_for(
    shown: dict[int, str], over: str, proof: Proof, *, waits: bool
) -> None:
    """Unless another service is still to show the new one; the evidence is the same."""
    host = Host(shown, set(over.split()))
    uses = tuple(
        Use(Service(name, has_ended=(("is-over", name),)), (parse_target(f"tls://127.0.0.1:{port}"),))
        for port, name in ((1, "web"), (2, "mail"))
    )
    certificate = Certificate("a.test", frozenset({"a.test"}), Path("/k"), uses=uses)
    turn = Turn(certificate, Result("a.test", Outcome.INSTALLED), host)  # type: ignore[arg-type]
    before = (sight(1, OLD), sight(2, OLD))
    found = watch(turn, partial(judge, sha256=NEW, before=before), patient=True)
    assert found.proof is proof
    assert (host.looks >= LONG) is waits


def test_one_that_is_never_shown_keeps_no_other_from_being_asked_for() -> None:
    """The service takes one connection at a time, and turns the others away whenever all are asked for."""
    host = Host({1: OLD, 2: NEW, 3: NEW}, at_once=1)
    watched = []
    for port in host.shown:
        name = f"{port}.test"
        uses = (Use(Service("web"), (parse_target(f"tls://127.0.0.1:{port}"),)),)
        turn = Turn(Certificate(name, frozenset({name}), Path("/k"), uses=uses), Result(name), host)  # type: ignore[arg-type]
        watched.append((turn, partial(judge, sha256=NEW, before=(sight(port, OLD),))))
    found = watch_all(watched, watched[0][0].tools, patient=True)
    assert [one.proof for one in found.values()] == [Proof.WRONG, Proof.PROVEN, Proof.PROVEN]
