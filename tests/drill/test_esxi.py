"""The faults of the drill that a host without an agent can meet, on a stand-in for VMware ESXi behind a real sshd."""

import os
from collections.abc import Iterator

import pytest

from agent.host import keys
from tests.agent.host import Done
from tests.drill.clients import Load
from tests.drill.esxi import Esxi
from tests.drill.facts import told_words
from tests.drill.test_drill import ROLLED_BACK
from tests.servers.process import wait_until

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
    assert (esxi.told(), esxi.content()) == (told, before)


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
    esxi.saw(f"{load.failed} of {load.made + load.failed} handshakes fail; no connection was kept open")


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
@pytest.mark.parametrize(
    "fault", [pytest.param(name, marks=pytest.mark.fault(name)) for name in ("dies", "keeps", "silent")]
)
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
