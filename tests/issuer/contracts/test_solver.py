"""What a Solver promises."""

import dataclasses

from issuer.model.acme import Challenge
from tests.issuer.contracts.conftest import Ground


def entry(ground: Ground, value: str = "one") -> Challenge:
    """An answer for a name that no other test has."""
    row = ground.row()
    owner, zone = ground.solver.place(row.name, row)
    assert zone
    return Challenge(ground.solver.type.name, row.name, "https://ca/a/1", "https://ca/c/1", owner, zone, value)


def shows(ground: Ground, *entries: Challenge) -> bool:
    return ground.solver.unseen(entries) == []


def test_an_answer_is_published_until_it_is_withdrawn(ground: Ground) -> None:
    """Before and after that somebody does not show it."""
    one = entry(ground)
    [laggard] = ground.solver.unseen([one])
    assert laggard.who
    assert laggard.how
    ground.solver.publish([one])
    ground.wait(lambda: shows(ground, one))
    ground.solver.withdraw([one])
    ground.wait(lambda: not shows(ground, one))


def test_it_may_be_published_and_withdrawn_twice(ground: Ground) -> None:
    """Also one that was never published: each step of a journey can be run twice."""
    one = entry(ground)
    ground.solver.withdraw([one])
    ground.solver.publish([one])
    ground.solver.publish([one])
    ground.wait(lambda: shows(ground, one))
    ground.solver.withdraw([one])
    ground.solver.withdraw([one])
    ground.wait(lambda: not shows(ground, one))


def test_two_values_stand_side_by_side(ground: Ground) -> None:
    """As a name and its wildcard have them; exactly the one that is withdrawn goes."""
    one = entry(ground)
    two = dataclasses.replace(one, value="two")
    ground.solver.publish([one, two])
    ground.wait(lambda: shows(ground, one, two))
    ground.solver.withdraw([one])
    ground.wait(lambda: not shows(ground, one))
    assert shows(ground, two)
    assert not shows(ground, one, two)
    ground.solver.withdraw([two])


def test_entries_of_several_places_go_together(ground: Ground) -> None:
    """One call publishes all, and the verdict is about each."""
    both = [entry(ground), entry(ground)]
    ground.solver.publish(both[:1])
    ground.wait(lambda: shows(ground, both[0]))
    assert not shows(ground, *both)
    ground.solver.publish(both)
    ground.wait(lambda: shows(ground, *both))
    ground.solver.withdraw(both)
    ground.wait(lambda: not shows(ground, both[0]) and not shows(ground, both[1]))


def test_without_entries_nothing_is_done(ground: Ground) -> None:
    """Nobody is asked, nobody is late."""
    ground.solver.publish([])
    ground.solver.withdraw([])
    assert ground.solver.unseen([]) == []


def test_a_wildcard_has_the_place_of_its_base_name(ground: Ground) -> None:
    """RFC 8555 §8.4."""
    row = ground.row()
    assert ground.solver.place(f"*.{row.name}", row) == ground.solver.place(row.name, row)


def test_too_late_names_everybody_who_does_not_show_it(ground: Ground) -> None:
    """The server that is asked to take an answer back has a name too."""
    one = entry(ground)
    laggards = ground.solver.unseen([one])
    error = ground.solver.too_late(laggards)
    assert laggards
    assert all(str(laggard) in error.why for laggard in laggards)
    assert error.reference == "dns-not-visible"
    assert ground.solver.keeper(one) != ""


def test_without_a_log_it_does_not_know_who_asked(ground: Ground) -> None:
    """That is not the same as nobody."""
    assert ground.solver.asked([entry(ground)], 0.0) is None
