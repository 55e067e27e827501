"""DNS is asked from the root downwards before an order is opened, in a world in memory."""

import pytest

from common.check_line import Line
from issuer.model.outcomes import Ending
from issuer.rules.findings import bad, warn
from tests.issuer.fakes.calls import Call
from tests.issuer.fakes.world import NAME, World

NOBODY = bad("zone example.test", "none of the servers that test names serves it", "mend the delegation")
LAME = warn("zone example.test", "ns2.example.test does not serve it (lame)", "load the zone there")


@pytest.mark.parametrize("below", [NAME, f"_acme-challenge.{NAME}"])
def test_a_zone_that_nobody_serves_costs_no_order(below: str) -> None:
    """It is a failure of the certificate; once the zone is served, the next attempt stores one."""
    world = World()
    world.enrol(NAME, f"*.{NAME}")
    world.dns_faults[below] = [NOBODY]
    ended = world.process().attempt()
    assert ended.ending is Ending.FAILED
    assert ended.failure is not None
    assert (ended.failure.reference, ended.failure.why, ended.failure.hint) == (
        "dns-not-served",
        f"{NOBODY.subject}: {NOBODY.sentence}",
        NOBODY.hint,
    )
    assert (world.ca.opened, world.tables.orders, world.left) == ([], {}, [])
    world.dns_faults.clear()
    world.clock.wait_until(world.row().due_at or 0)
    assert world.process().attempt().ending is Ending.STORED


def test_a_name_on_a_web_server_has_no_record_to_look_for() -> None:
    world = World()
    world.enrol(http=True)
    world.dns_faults[f"_acme-challenge.{NAME}"] = [NOBODY]
    assert world.process().attempt().ending is Ending.STORED
    world.dns_faults[NAME] = [NOBODY]
    world.process().tools.certificates.request_reissue([NAME], "asked for")
    assert world.process().attempt().ending is Ending.FAILED


@pytest.mark.parametrize(("fault", "told"), [(LAME, True), (None, False)])
def test_a_lesser_fault_is_told_beside_the_words_of_the_ca(fault: Line | None, told: bool) -> None:
    """It stops no order. Where the validation fails, it stands in the failure, and the next attempt ends well."""
    world = World()
    world.enrol()
    world.dns_faults[NAME] = [fault] if fault is not None else []
    process = world.process()
    process.calls.before(Call("ca.answer"), world.zones["dns-01"].lose)
    failure = process.attempt().failure
    assert failure is not None
    assert failure.what == "the CA could not validate"
    assert (LAME.sentence in failure.why, LAME.hint in failure.hint) == (told, told)
    world.clock.wait_until(world.row().due_at or 0)
    assert world.process().attempt().ending is Ending.STORED
