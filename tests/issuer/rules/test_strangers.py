"""Rows that nobody enrolled: a few are told one by one, all are counted."""

from issuer.model.strangers import MOST_TOLD, Few, RowsFound
from tests.issuer.fakes.world import NAME, World


def test_a_few_pass_and_all_are_counted() -> None:
    """What was enrolled passes always."""
    world = World()
    world.enrol()
    world.enrol("other.example.test")
    few = Few(lambda row: row.name == "other.example.test")
    passed = [few(world.row("other.example.test")) for _ in range(MOST_TOLD + 2)]
    assert passed == [True] * MOST_TOLD + [False] * 2
    assert few(world.row(NAME))
    assert len(few.names) == MOST_TOLD + 2
    assert few.crowd is not None
    assert str(MOST_TOLD + 2) in few.crowd.what


def test_a_few_rows_are_no_crowd() -> None:
    assert RowsFound((), [NAME] * MOST_TOLD).crowd is None
    assert RowsFound((), [NAME] * (MOST_TOLD + 1)).crowd is not None
