"""Scenes of a journey: a first certificate, a renewal, and one that the CA cannot validate."""

from collections.abc import Callable

from tests.issuer.fakes.calls import Call
from tests.issuer.fakes.clock import NOW
from tests.issuer.fakes.world import World

DAY = 86400


def first_by_dns() -> World:
    """No certificate yet, for two names, one of them a wildcard."""
    world = World()
    world.enrol("www.example.test", "*.www.example.test")
    return world


def first_by_http() -> World:
    """The same with answers on a web server, for one name."""
    world = World()
    world.enrol(http=True)
    return world


def first_by_both() -> World:
    """One name on a web server, its wildcard by its zone."""
    world = World()
    world.enrol("www.example.test", "*.www.example.test", http=True, by_dns=["*.www.example.test"])
    return world


def renewal() -> World:
    """A certificate whose CA suggests by now to renew it."""
    world = World()
    world.enrol()
    world.process().run()
    world.clock.wait_until(NOW + 85 * DAY)
    world.forget_what_was()
    return world


def slow() -> World:
    """Everybody takes a while: the zones, the validation, the signature."""
    world = first_by_dns()
    for zone in world.zones.values():
        zone.delay = 20.0
    world.ca.validation_seconds = world.ca.signing_seconds = 30.0
    return world


SCENES: dict[str, Callable[[], World]] = {
    scene.__name__: scene for scene in (first_by_dns, first_by_http, first_by_both, renewal)
}


def calls_of(scene: Callable[[], World]) -> list[Call]:
    """Every call that one `run` makes when nothing disturbs it."""
    process = scene().process()
    process.run()
    return process.calls.made
