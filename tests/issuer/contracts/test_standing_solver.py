"""What a Solver promises whose answers a person publishes once, before there is an order."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from issuer.dns.records import Records
from issuer.journey.solver import Solver
from issuer.model.acme import Challenge
from issuer.model.config import DnsSettings
from issuer.model.enrolment import Enrolment
from issuer.model.errors import DnsError
from tests.issuer.fakes.world import NAME, World
from tests.servers.bind import Bind

OWNER = f"_validation-persist.{NAME}"
VALUE = "ca.example; accounturi=https://ca.example/account/1"
ENTRY = Challenge("dns-persist-01", NAME, "https://ca/a/1", "https://ca/c/1", OWNER, "", f"{VALUE}\nother.{VALUE}")


@dataclass
class Standing:
    """*write*: what a person has published, and nothing else."""

    solver: Solver
    row: Enrolment
    write: Callable[[str], None]


@pytest.fixture(params=["memory", "bind"])
def standing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Standing]:
    world = World()
    row = world.row(world.enrol(way="dns-persist-01"))
    if request.param == "memory":
        yield Standing(world.records, row, lambda value: world.records.written.update({OWNER: {value}}))
        return
    with Bind(tmp_path / "bind") as bind:

        def write(value: str) -> None:
            bind.static_zone("example.test", [f'{OWNER}. TXT "{value}"'])
            bind.reconfigure()

        yield Standing(Records(DnsSettings(nameservers=(bind.endpoint,), resolvers=(bind.endpoint,))), row, write)


def test_it_has_a_place_when_it_is_there(standing: Standing) -> None:
    """Without a zone, so that nobody takes it for ours."""
    with pytest.raises(DnsError) as caught:
        standing.solver.place(NAME, standing.row)
    assert caught.value.reference == "dns-persist"
    standing.write(VALUE)
    assert standing.solver.place(NAME, standing.row) == (OWNER, "")


def test_a_person_publishes_and_nobody_withdraws(standing: Standing) -> None:
    """One of the records that count is enough."""
    standing.solver.publish([ENTRY])
    [laggard] = standing.solver.unseen([ENTRY])
    assert laggard.how in standing.solver.too_late([laggard]).why
    for value in (VALUE, f"other.{VALUE}"):
        standing.write(value)
        assert standing.solver.unseen([ENTRY]) == []
    standing.solver.withdraw([ENTRY])
    assert standing.solver.unseen([ENTRY]) == []
    standing.write("another")
    assert [each.who.partition(" ")[0] for each in standing.solver.unseen([ENTRY])] == [OWNER]


def test_nothing_of_ours_is_under_way(standing: Standing) -> None:
    """So nothing is waited for, and no server is asked to take anything back."""
    assert standing.solver.type.standing
    assert standing.solver.patience == 0
    assert standing.solver.keeper(ENTRY) == ""
    assert standing.solver.unseen([]) == []
