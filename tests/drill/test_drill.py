"""The drill: what may happen to an install, on the daemons as Debian ships them, under systemd, with their presets."""

from tests.agent.host import Done
from tests.drill.drill import Drill
from tests.drill.load import Load


def assert_back(drill: Drill, before: tuple[bytes, str], done: Done, state: str = "failed") -> None:
    """The old file is back byte for byte with its rights, and served; exit code, report and sentence say so; the next
    run leaves all alone."""
    assert (done.code, done.certificate["state"]) == (1, state), done.err
    assert drill.live() == before
    assert drill.served() == drill.present.certificate
    assert drill.reported() == state
    stamp = drill.started()
    again = drill.run(well=False)
    assert (again.code, again.certificate["state"]) == (1, state)
    assert drill.started() == stamp
    assert drill.live() == before


def test_a_good_one(drill: Drill) -> None:
    """Served on the socket under load; where the daemon reloads, no client fails."""
    with Load(drill.daemon.port, drill.name) as load:
        new = drill.offer()
        drill.run()
    assert drill.served() == new.certificate
    assert drill.reported() == "installed"
    assert load.made > 0
    assert load.failed == 0 or not drill.daemon.reload, f"{load.failed} of {load.failed + load.made}"


def test_one_that_its_daemon_refuses(drill: Drill) -> None:
    """The live file would hold the intermediate in the leaf's place: a check, a reload or a start fails, or the daemon
    goes on with the old one."""
    before = drill.live()
    drill.offer()
    drill.configure(drill.misshapen())
    assert_back(drill, before, drill.run(well=False))


def test_it_dies(drill: Drill) -> None:
    """It ends at the reload, and is started again with the old one."""
    before = drill.live()
    drill.fault("kill -KILL $(others); exit 1")
    drill.offer()
    assert_back(drill, before, drill.run(well=False))


def test_it_keeps_the_old_one(drill: Drill) -> None:
    """The reload does nothing, and says that all is well."""
    before = drill.live()
    drill.configure(probe_timeout="2s")
    drill.fault("exit 0")
    drill.offer()
    assert_back(drill, before, drill.run(well=False))


def test_it_does_not_answer(drill: Drill) -> None:
    """It takes connections and says nothing more."""
    before = drill.live()
    drill.configure(probe_timeout="2s")
    drill.fault("kill -STOP $(others); exit 0")
    drill.offer()
    assert_back(drill, before, drill.run(well=False))
