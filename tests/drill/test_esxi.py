"""The faults of the drill that a host without an agent can meet, on a stand-in for VMware ESXi behind a real sshd."""

import os
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from agent.host import keys
from tests.agent.host import Done
from tests.agent.killed import Step, acting
from tests.drill.clients import Load, under_load
from tests.drill.esxi import Esxi
from tests.drill.facts import told_words
from tests.drill.faults import FULL, MOUNTED, READ_ONLY
from tests.drill.test_drill import BACK, BY_NOW, FILES, FORWARD, INSTALL, ROLLED_BACK, each_fault
from tests.servers.authority import Issued
from tests.servers.cutting import Cutting
from tests.servers.process import wait_until

_CUTS = 12  # of an install, at whose ends the connection is cut
_REMOTE_FILES = "agent.remote.files:RemoteFiles"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give sessions an /etc of their own")


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Esxi]:
    with Esxi(tmp_path_factory.mktemp("esxi")) as made:
        yield made


@pytest.fixture
def esxi(stand_in: Esxi, request: pytest.FixtureRequest) -> Esxi:
    """It shows what the agent installed last. The test is about the fault of its mark."""
    stand_in.fault = request.node.get_closest_marker("fault").args[0]
    stand_in.facts.forget(stand_in.fault)
    stand_in.restore()
    return stand_in


Content = tuple[bytes, int, int, int]


def assert_back(esxi: Esxi, before: Content, done: Done, state: str) -> None:
    """The old file is there with its rights, and served, which is said; the next run leaves all as it is."""
    assert (done.code, done.certificate["state"]) == (1, state), done.err
    assert esxi.content() == before
    assert esxi.shows(esxi.present)
    assert esxi.host.reported()["state"] == state
    told = esxi.told()
    again = esxi.run()
    assert (again.code, again.certificate["state"]) == (1, state)
    assert (esxi.told(), esxi.content()) == (told, before), (done, again)


@under_load
@pytest.mark.fault("good")
def test_a_good_one(esxi: Esxi) -> None:
    """By the paths and commands of ESXi, root's login, and no SFTP. Its web service restarts: that costs a moment."""
    (_, *rights), told = esxi.content(), esxi.told()
    with Load([esxi.hello]) as load:
        issued = esxi.install()
    assert esxi.content() == (issued.fullchain_pem, *rights)
    assert esxi.told() == told + 1
    assert esxi.host.reported()["state"] == "installed"
    assert load.made > 0
    esxi.saw(f"{load.failed} of {load.made + load.failed} handshakes fail; open connections were not tried")


@pytest.mark.drill
@pytest.mark.fault("together")
def test_several_together(esxi: Esxi) -> None:
    """Three certificates of the service: it is told once."""
    esxi.offer_others()
    new = esxi.host.offer_new()
    esxi.configure(others=True)
    told = esxi.told()
    done = esxi.run()
    assert {one["state"] for one in done.json["certificates"]} == {"installed", "unprovable"}, done.out
    assert done.code == 0
    times = esxi.told() - told
    assert times == 1
    assert esxi.shows(new)
    esxi.present = new
    esxi.saw(told_words(times))


@pytest.mark.drill
@pytest.mark.fault("stopped")
def test_one_for_a_service_that_is_stopped(esxi: Esxi) -> None:
    """The new file is there for its next start, and nothing starts it."""
    told, new = esxi.told(), esxi.host.offer_new()
    with esxi.stopped():
        done = esxi.run()
        assert (done.code, done.certificate["state"]) == (1, "unproven"), done.err
        assert esxi.live.read_bytes() == new.fullchain_pem
        assert not esxi.shows(new)
    esxi.present = new
    wait_until(lambda: esxi.shows(new), "it is started by hand, with the new one", 20)
    done = esxi.run()
    assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
    assert esxi.told() == told
    esxi.saw("in place, not proven: not told; once it runs, installed")


def assert_rolled_back(esxi: Esxi) -> None:
    """A run ends with the old certificate, of which its daemon is told."""
    before, told = esxi.content(), esxi.told()
    done = esxi.run()
    times = esxi.told() - told
    assert ROLLED_BACK in done.certificate["detail"]
    assert_back(esxi, before, done, "failed")
    esxi.saw(f"failed: {told_words(times)}")


@pytest.mark.fault("refused")
def test_one_that_its_daemon_refuses(esxi: Esxi) -> None:
    """The live file would hold the intermediate in the leaf's place. ESXi has no check that sees it."""
    esxi.host.offer_new()
    esxi.configure('[certificate.files]\nchain = "/etc/vmware/ssl/rui.crt"', 2)
    assert_rolled_back(esxi)


@pytest.mark.drill
@each_fault({name: name for name in ("dies", "keeps", "silent")})
def test_it_does_not_take_the_new_one(esxi: Esxi, fault: str) -> None:
    """It ends, does nothing, or stops answering: it is told again with the old one."""
    esxi.configure(seconds=2)
    esxi.host.offer_new()
    esxi.goes_wrong(fault)
    assert_rolled_back(esxi)


@pytest.mark.drill
@pytest.mark.fault("other key")
def test_another_key(esxi: Esxi) -> None:
    """Somebody has exchanged the key file: refused, and the service is not told."""
    before, told, key = esxi.content(), esxi.told(), esxi.ssl / "rui.key"
    was = key.read_bytes()
    esxi.host.offer_new()
    key.write_bytes(keys.make("ecdsa-p256").content)
    done = esxi.run()
    assert_back(esxi, before, done, "refused")
    key.write_bytes(was)
    assert esxi.told() == told
    esxi.saw("refused: not told")


def assert_goes_on(esxi: Esxi, new: Issued, why: object) -> None:
    """The next run installs the new one: it was at no fault."""
    done = esxi.run()
    assert (done.code, done.certificate["state"]) == (0, "installed"), (why, done)
    assert esxi.shows(new), why
    assert esxi.live.read_bytes() == new.fullchain_pem, why
    assert esxi.leftovers() == [], why
    esxi.present = new


@pytest.mark.drill
@each_fault({"disk full": FULL, "read-only": READ_ONLY})
def test_a_folder_that_takes_nothing(esxi: Esxi, fault: str) -> None:
    """No space, or no writing, for live file or state folder: the service is not told; the next run goes on."""
    for folder in esxi.folders:
        before, told, new = esxi.content(), esxi.told(), esxi.host.offer_new()
        done = esxi.run_where(fault, folder)
        assert done.code != 0
        words = "No space left on device" if fault == FULL else "Read-only file system"
        assert words in done.err + done.out
        assert (esxi.content(), esxi.told()) == (before, told)
        assert esxi.shows(esxi.present)
        assert_goes_on(esxi, new, folder)
    esxi.saw("failed: not told; the next run installs")


@pytest.mark.drill
@pytest.mark.fault("no way back")
def test_no_way_back(esxi: Esxi) -> None:
    """The roll back itself fails, which is said; the next run that can ends it."""
    before = esxi.content()
    esxi.configure(seconds=2)
    esxi.host.offer_new()
    esxi.goes_wrong("keeps")
    with esxi.seen_through(MOUNTED):
        done = esxi.run(acting((INSTALL, "activate", 1, "before"), f"subprocess.run({esxi.shut}, check=True)"))
    assert (done.code, done.certificate["state"]) == (1, "broken"), done.out
    assert "ROLL BACK FAILED" in done.certificate["detail"]
    assert esxi.host.reported()["state"] == "broken"
    done = esxi.run()
    assert BY_NOW in done.certificate["detail"]
    assert_back(esxi, before, done, "failed")
    esxi.restore()
    esxi.configure(seconds=2)
    before, new = esxi.content(), esxi.host.offer_new()
    esxi.goes_wrong("ends")
    for _ in range(2):
        done = esxi.run()
        assert (done.code, done.certificate["state"]) == (1, "broken"), done.out
        assert "ROLLED BACK, but the service is not as before" in done.certificate["detail"]
        assert esxi.content() == before
        assert esxi.host.reported()["state"] == "broken"
        assert not esxi.shows(esxi.present)
    esxi.is_mended()
    done = esxi.run()
    assert BY_NOW in done.certificate["detail"]
    assert_back(esxi, before, done, "failed")
    assert esxi.host.run("--retry").code == 0
    assert esxi.shows(new)
    esxi.present = new
    esxi.saw("broken, and said; the next run that can ends it")


def there(step: Step) -> Step:
    """The same boundary, of the files of another host."""
    place, function, call, when = step
    return _REMOTE_FILES if place == FILES else place, function, call, when


def shows_one_of(esxi: Esxi, new: Issued) -> bool:
    return esxi.shows(new) or esxi.shows(esxi.present)


@pytest.mark.drill
@pytest.mark.fault("killed")
def test_killed_or_cut(esxi: Esxi) -> None:
    """Whatever the agent dies at, and wherever its connection is cut: one of both is served, and the next run ends with
    the new one everywhere."""
    for step in map(there, FORWARD):
        new = esxi.host.offer_new()
        done = esxi.run(acting(step))
        assert done.code == -signal.SIGKILL, (step, done)
        wait_until(partial(shows_one_of, esxi, new), f"{step}: one of both is served", 20)
        assert_goes_on(esxi, new, step)
    with Cutting(esxi.site.port) as line, esxi.behind(line):
        esxi.install()
        line.cut_after(0, for_good=False)
        esxi.install()
        length = line.pieces
        for part in range(1, _CUTS):
            new = esxi.host.offer_new()
            line.cut_after(length * part // _CUTS, for_good=part % 2 == 1)
            done = esxi.run()
            line.mend()
            wait_until(partial(shows_one_of, esxi, new), f"{part}: one of both is served", 20)
            assert_goes_on(esxi, new, (part, done))
    esxi.configure(seconds=2)
    before = esxi.content()
    esxi.goes_wrong("keeps")
    for step in map(there, BACK):
        esxi.host.offer_new()
        done = esxi.run(acting(step))
        assert done.code == -signal.SIGKILL, (step, done)
        done = esxi.run()
        assert ROLLED_BACK in done.certificate["detail"]
        assert_back(esxi, before, done, "failed")
    cut = f"its connection cut at {_CUTS - 1} points"
    esxi.saw(f"at {len(FORWARD) + len(BACK)} boundaries, and {cut}: the next run ends it")
