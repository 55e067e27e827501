"""The look at hosts over a store in memory: who is counted, and what people are told."""

from collections.abc import Collection
from dataclasses import replace

from issuer.loops.hosts import look_at_hosts
from issuer.model.config_watch import HostSettings
from issuer.model.hosts import HostState, Report, Standing
from tests.issuer.fakes.certificates import MemoryCertificates
from tests.issuer.fakes.hosts import MemoryHosts
from tests.issuer.fakes.world import NAME, World

NOW = 1_800_000_000
SETTINGS = HostSettings()
REPORT = Report(NAME, "web1", "agent-web1", "", 0, "waiting", NOW)


Told = list[tuple[str, HostState, bool]]
"""Host, state, and whether it is bad."""


def looked(hosts: MemoryHosts, world: World, now: int = NOW) -> tuple[dict[HostState, int], Told]:
    told: Told = []

    def tell(_names: Collection[str], standings: Collection[Standing]) -> None:
        told.extend((one.report.host, one.state, one.bad) for one in standings)

    return dict(look_at_hosts(hosts, MemoryCertificates(world.tables), tell, SETTINGS, now)), told


def test_a_report_that_was_taken_away_is_a_silent_host() -> None:
    """A writer to the table cannot make it forgotten; a host that is well is told beside it, and not counted."""
    hosts, world, lost = MemoryHosts(), World(), replace(REPORT, host="web2")
    world.enrol()
    hosts.table = {one.key: one for one in (REPORT, lost)}
    hosts.recall(NOW)
    assert looked(hosts, world)[0] == {}
    hosts.recall(NOW)
    assert looked(hosts, world) == ({}, [])
    del hosts.table[lost.key]
    hosts.recall(NOW)
    counted, told = looked(hosts, world)
    assert counted == {HostState.SILENT: 1}
    assert sorted(told, key=str) == [("web1", HostState.WAITING, False), ("web2", HostState.SILENT, True)]


def test_one_that_is_disabled_is_no_trouble() -> None:
    """The host is not well, and nobody is to do anything about it."""
    hosts, world = MemoryHosts(), World()
    world.enrol()
    failed = replace(REPORT, state="failed")
    hosts.table = {failed.key: failed}
    assert looked(hosts, world)[0] == {HostState.NOT_WELL: 1}
    world.change(enabled=False)
    assert looked(hosts, world) == ({}, [("web1", HostState.NOT_WELL, False)])
