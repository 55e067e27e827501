"""An attempt begins with a row that was read a while ago."""

from issuer.journey.attempt import Attempt
from issuer.model.outcomes import Ended, Ending
from tests.issuer.journey.scenes import renewal


def test_another_issuer_has_renewed_it_meanwhile() -> None:
    """The window of the certificate before is not taken for that of the new one, which would be renewed again."""
    world = renewal()
    read = world.row()
    assert world.process("two").run()[read.name].ending is Ending.STORED
    renewed = world.row()
    ended = Attempt(read, world.process("one").tools, stopping=lambda: False).proceed()
    assert isinstance(ended, Ended)
    assert ended.ending is Ending.NOT_DUE
    assert world.row() == renewed
    assert world.process("one").run() == world.process("two").run() == {}
    assert len(world.tables.versions) == 1
