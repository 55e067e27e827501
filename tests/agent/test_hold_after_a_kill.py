"""A run is killed when its new certificate is served already, and a person holds it: it is the one in place."""

import signal

import pytest

from common.certificate import serial_text
from tests.agent.host import NAME, Host, sha256
from tests.agent.killed import Step, acting
from tests.agent.test_install_killed import die
from tests.servers.nginx import Nginx

STEPS: list[Step] = [
    ("agent.journey.install", "prove", 1, "after"),
    ("agent.host.state_folder:StateFolder", "save_records", 1, "before"),  # it is committed
]


@pytest.mark.soak
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_what_stands_is_in_place(host: Host, nginx: Nginx, step: Step) -> None:
    """The hold lets it be, with exit code 0, and it is reported; what somebody does to its file is told."""
    host.offer_new()
    assert host.run().code == 0
    renewed = host.offer_new()
    die(host, step)
    assert host.agent("hold", NAME, "--until", "2090-06-30").code == 0
    for _ in range(2):
        done = host.run()
        assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
        assert done.certificate["serial"] == serial_text(renewed.certificate)
        assert host.reported()["sha256"] == sha256(renewed.certificate)
    host.fullchain.write_bytes(host.self_signed())
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "unproven"), done.err
    assert host.agent("release", NAME).code == 0
    done = host.run()
    assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
    assert host.fullchain.read_bytes() == renewed.fullchain_pem
    done = host.agent("rollback", NAME)
    assert done.code == 0, done.err
    assert nginx.served() != renewed.certificate


@pytest.mark.soak
def test_what_stands_is_refused_no_more(host: Host, nginx: Nginx) -> None:
    """It had failed before; somebody has mended the service, and the run that tried again was killed."""
    broken = host.folder / "broken"
    reload = ["sh", "-c", f'[ -e {broken} ] || exec "$@"', "sh", *nginx.activate]
    probe = [f"https://127.0.0.1:{nginx.port}"]
    host.configure(check=nginx.check, activate=reload, probe=probe, probe_timeout="1s")
    host.offer_new()
    assert host.run().code == 0
    renewed = host.offer_new()
    broken.touch()
    assert host.run().code == 1
    broken.unlink()
    assert host.run("--retry", program=acting(STEPS[0])).code == -signal.SIGKILL
    done = host.run()
    assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
    assert nginx.served() == renewed.certificate
