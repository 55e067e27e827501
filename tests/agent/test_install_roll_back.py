"""Installs that fail after the swap, and what is then on disk and on the socket; on real servers."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.host import Host, sha256
from tests.agent.killed import acting
from tests.servers.apache import Apache
from tests.servers.nginx import Nginx
from tests.servers.process import wait_until
from tests.servers.tls import completes_handshake


@pytest.fixture
def served(host: Host, nginx: Nginx) -> Nginx:
    """nginx with a first good certificate, installed by the agent."""
    host.first = host.offer_new()
    done = host.run()
    assert done.code == 0, done.err
    return nginx


def assert_as_before(host: Host, server: Nginx | Apache) -> None:
    assert host.fullchain.read_bytes() == host.first.fullchain_pem
    assert server.served() == host.first.certificate
    assert host.leftovers() == []


def test_the_service_keeps_the_old_certificate(host: Host, served: Nginx) -> None:
    """An activate command that succeeds and does nothing: the socket tells, and the files go back."""
    log = served.folder / "error.log"
    files = f'logs = "{log}"\n[certificate.files]\nfullchain = "{host.fullchain}"'
    host.served_by(served, activate=["true"], probe_timeout="1s", files=files)
    host.offer_new()
    done = host.run()
    assert done.code == 1
    assert done.certificate["state"] == "failed"
    assert "the service does not serve the new certificate" in done.err
    assert "is the one before; rolled back, all is as it was" in done.err
    hint = done.certificate["hint"]
    assert hint.startswith(f"see why in its log: {log}; or see that the service's configuration ")
    assert "?connect=127.0.0.1" in hint
    assert_as_before(host, served)
    assert host.reported()["state"] == "failed"
    assert host.reported()["sha256"] == sha256(host.first.certificate)


@pytest.mark.soak
def test_a_full_disk_under_log_and_output(host: Host, served: Nginx) -> None:
    """Nothing that cannot be said or logged keeps the old certificate from coming back."""
    host.served_by(served, activate=["true"], probe_timeout="1s")
    host.offer_new()
    assert host.run(wrap=["sh", "-c", 'exec "$@" >/dev/full 2>&1', "sh"]).code == 1
    assert_as_before(host, served)
    assert host.reported()["state"] == "failed"


def test_live_files_spoilt_meanwhile(host: Host, served: Nginx, tmp_path: Path) -> None:
    """What an activate command has made of a live file, however large, does not keep the old content away."""
    once = tmp_path / "once"
    spoil = ["sh", "-c", f"test -e {once} || {{ touch {once}; truncate -s 2M {host.fullchain}; exit 1; }}"]
    host.served_by(served, activate=spoil, probe_timeout="1s")
    host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "failed")
    assert_as_before(host, served)


def test_a_failed_certificate_is_not_tried_again_before_its_time(host: Host, served: Nginx, tmp_path: Path) -> None:
    """The second run leaves service and files alone, and is still not well; it says so where the service is gone."""
    told = tmp_path / "told"
    activate = ["sh", "-c", f"echo >> {told}"]
    host.served_by(served, activate=activate, probe_timeout="1s")
    host.offer_new()
    assert host.run().code == 1
    times = told.read_text().count("\n")
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "failed")
    assert done.certificate["detail"].endswith("rolled back, all is as it was")
    assert told.read_text().count("\n") == times
    served.stop()
    assert f"; by now nothing answers at https://127.0.0.1:{served.port}" in host.run().certificate["detail"]


@pytest.mark.soak
def test_mending_the_settings_is_worth_another_try(host: Host, served: Nginx) -> None:
    """A refusal is for these settings: with others, the same certificate is tried at once."""
    probe = [f"https://127.0.0.1:{served.port}"]
    host.configure(check=served.check, activate=["true"], probe=probe, probe_timeout="1s")
    issued = host.offer_new()
    assert host.run().code == 1
    host.configure(check=served.check, activate=served.activate, probe=probe)
    assert host.run().code == 0
    assert served.served() == issued.certificate


def test_the_check_refuses_the_new_files(host: Host, served: Nginx) -> None:
    """A config test that fails on the new files: rolled back without the service having been told."""
    check = ["sh", "-c", f"echo checked; cmp -s {host.fullchain} {host.folder}/first"]
    (host.folder / "first").write_bytes(host.first.fullchain_pem)
    host.configure(check=check, activate=served.activate, probe=[f"https://127.0.0.1:{served.port}"])
    host.offer_new()
    done = host.run()
    assert done.code == 1
    assert "exit code 1; it said: checked" in done.err
    assert_as_before(host, served)


def test_a_configuration_that_was_broken_before_is_left_alone(host: Host, served: Nginx) -> None:
    """Someone else broke nginx.conf: that is said once, the old files are back, the certificate is not held for it."""
    (served.folder / "nginx.conf").write_text("nonsense")
    host.offer_new()
    done = host.run()
    assert done.code == 1
    assert "the service's configuration was broken before" in done.err
    assert done.certificate["detail"].count("unexpected end of file") == 1
    assert "rolled back, all is as it was" in done.err
    assert_as_before(host, served)


def test_nginx_refuses_the_content(host: Host, served: Nginx) -> None:
    """Parts in an order nginx cannot read: its own check says so, on the new files, and the old ones come back."""
    host.served_by(served, files=f'[[certificate.combined]]\npath = "{host.fullchain}"\nparts = ["chain"]')
    host.offer_new()
    done = host.run()
    assert done.code == 1, done.out
    assert "key values mismatch" in done.err
    assert_as_before(host, served)


def test_a_service_that_dies_comes_back_with_the_old_certificate(host: Host, apache: Apache) -> None:
    """Apache dies of the files it is given (the chain's certificate in the leaf's place passes its config test):
    the roll back starts it again, and the socket proves it."""
    host.first = host.offer_new()
    assert host.run().code == 0
    apache.stop()  # as a daemon, so that init reaps it: a dead child of ours would still count as running
    subprocess.run(apache.activate, check=True)
    wait_until(lambda: completes_handshake(apache.port, host.name), "Apache answers")
    host.served_by(
        apache, files=f'[[certificate.combined]]\npath = "{host.fullchain}"\nparts = ["chain"]', probe_timeout="2s"
    )
    host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "failed"), done.err
    assert "answers no more" in done.err
    wait_until(apache.alive, "Apache is back")
    assert_as_before(host, apache)


def test_what_goes_on_is_not_started(host: Host, nginx: Nginx) -> None:
    """The command cannot tell the one that answers, as `systemctl reload stunnel4` cannot tell a stunnel@mail: its
    start might bring up what a person has stopped."""
    host.offer_new()
    assert host.run().code == 0
    started = host.folder / "started"
    more = f'start = ["touch", "{started}"]\n[certificate.files]\nfullchain = "{host.fullchain}"'
    host.served_by(nginx, activate=["false"], files=more, probe_timeout="1s")
    host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "failed"), done.err
    assert "rolled back, all is as it was" in done.err
    assert not started.exists()


KILL_GROUP = """
import contextlib, os, sys
with contextlib.suppress(ProcessLookupError):
    os.killpg(int(sys.argv[1]), 9)
"""


def test_a_service_that_is_gone_although_its_command_succeeds(host: Host, apache: Apache) -> None:
    """So it is where systemd takes a unit for up that stands for others. Nothing answers: it is started with its old
    files."""
    host.first = host.offer_new()
    assert host.run().code == 0
    pid = (apache.folder / "pid").read_text().strip()
    host.configure(
        activate=["sh", "-c", f"kill -KILL -{pid}; true"],
        probe=[f"https://127.0.0.1:{apache.port}"],
        probe_timeout="1s",
        files=f'start = {json.dumps(list(apache.activate))}\n[certificate.files]\nfullchain = "{host.fullchain}"',
    )
    host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "failed"), done.err
    assert "rolled back, all is as it was" in done.err
    assert_as_before(host, apache)


def test_a_roll_back_that_cannot_be_proven_is_broken(host: Host, apache: Apache) -> None:
    """The service dies and does not come back: a loud state of its own, never hidden, told to the central side."""
    host.first = host.offer_new()
    assert host.run().code == 0
    pid = (apache.folder / "pid").read_text().strip()
    host.configure(
        activate=[sys.executable, "-c", KILL_GROUP, pid],  # the second time there is nobody left to kill
        probe=[f"https://127.0.0.1:{apache.port}"],
        probe_timeout="1s",
    )
    host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "broken"), done.err
    assert "ROLLED BACK, but the service is not as before" in done.err
    assert f"its old files are in place, and its configuration must name {host.fullchain}" in done.certificate["hint"]
    assert host.fullchain.read_bytes() == host.first.fullchain_pem
    assert host.reported()["state"] == "broken"
    status = host.agent("status")
    assert (status.code, "broken" in status.out) == (1, True)


def test_broken_is_said_until_the_one_before_is_served_again(host: Host, served: Nginx) -> None:
    """A roll back that a later run has ended: the refusal stays, and nobody is told that the service is broken."""
    socket = f"https://127.0.0.1:{served.port}"
    host.configure(check=served.check, activate=["true"], probe=[socket], probe_timeout="1s")
    host.offer_new()
    shut = f'subprocess.run(["mount", "-o", "remount,bind,ro", {str(host.live)!r}], check=True)'
    bound = f'mount --bind {host.live} {host.live} && exec "$@"'
    done = host.run(
        program=acting(("agent.journey.install", "activate", 1, "before"), shut),
        wrap=["unshare", "--mount", "sh", "-c", bound, "sh"],
    )
    assert (done.code, done.certificate["state"]) == (1, "broken"), done.err
    assert host.reported()["state"] == "broken"
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "failed"), done.err
    assert "ROLL BACK FAILED" in done.certificate["detail"]
    assert done.certificate["detail"].endswith("; by now the one before is in place, and served")
    assert host.reported()["state"] == "failed"
    assert_as_before(host, served)
    served.stop()
    assert host.run().certificate["state"] == "broken"


def test_a_first_one_that_broke_a_service_that_is_mended(host: Host, nginx: Nginx) -> None:
    """A plain run leaves all alone while nothing answers, and tries again once when a person has started the service.
    If that goes wrong too, the back-off counts."""
    mark, stop = host.folder / "mended", f"kill -QUIT $(cat {nginx.folder}/pid)"
    activate = ["sh", "-c", f'[ -e {mark} ] && exec "$@"; {stop}', "sh", *nginx.activate]
    host.configure(activate=activate, probe=[f"https://127.0.0.1:{nginx.port}"], probe_timeout="1s")
    issued = host.offer_new()
    for attempts in (1, 2):
        for _ in range(2):
            done = host.run()
            assert (done.code, done.certificate["state"]) == (1, "broken"), done.err
            assert done.certificate["refused"]["attempts"] == attempts
        nginx.start()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "failed"), done.err
    assert done.certificate["detail"].endswith("; by now its sockets answer again")
    mark.touch()
    assert host.run("--retry").code == 0
    assert nginx.served() == issued.certificate


def test_a_command_that_does_not_end_is_ended_with_its_children(host: Host, served: Nginx, tmp_path: Path) -> None:
    """The time limit ends the whole process group."""
    pids = tmp_path / "pids"
    activate = ["sh", "-c", f"sleep 600 & echo $! > {pids}; wait"]
    host.served_by(served, activate=activate, probe_timeout="1s")
    host.config.write_text(host.config.read_text().replace('command_timeout = "20s"', 'command_timeout = "1s"'))
    host.offer_new()
    done = host.run()
    assert done.code == 1
    assert "it had not ended after 1 s" in done.err
    wait_until(lambda: not Path(f"/proc/{pids.read_text().strip()}").exists(), "the child has ended")
    assert_as_before(host, served)


def test_a_program_that_is_not_there(host: Host, served: Nginx) -> None:
    """A wrong word in the settings is a sentence."""
    host.configure(activate=["nginxx", "-s", "reload"], probe=[f"https://127.0.0.1:{served.port}"])
    host.offer_new()
    done = host.run()
    assert done.code == 1
    assert "cannot run `nginxx -s reload`" in done.err
    assert_as_before(host, served)


def test_mode_and_owner_come_back_exactly(host: Host, served: Nginx) -> None:
    """The files put back are the files that were there, with another mode asked for in between."""
    os.chown(host.fullchain, 33, 33)
    host.fullchain.chmod(0o640)
    host.served_by(
        served,
        activate=["true"],
        probe_timeout="1s",
        files=f'[certificate.files]\nfullchain = "{host.fullchain}"\nowner = "root"\nmode = "0600"',
    )
    host.offer_new()
    assert host.run().code == 1
    status = host.fullchain.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o640, 33, 33)
    assert_as_before(host, served)


def test_a_file_that_did_not_exist_is_removed(host: Host, served: Nginx) -> None:
    """What the failed install created is gone again."""
    extra = host.live / "leaf.pem"
    host.served_by(
        served,
        activate=["true"],
        probe_timeout="1s",
        files=f'[certificate.files]\nfullchain = "{host.fullchain}"\ncertificate = "{extra}"',
    )
    host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "failed"), done.err
    assert not extra.exists()
    assert_as_before(host, served)


def test_each_fact_is_said_once(host: Host, nginx: Nginx) -> None:
    """On standard error, where the log goes too: what fails, and a source that can neither be asked nor told."""
    said = "the service does not serve the new certificate"
    host.configure(activate=["true"], probe=[f"https://127.0.0.1:{nginx.port}"], probe_timeout="1s")
    host.offer_new()
    assert host.agent("run").err.count(said) == 1
    assert host.agent("run", "--retry", "-v").err.count(said) == 2
    host.database.rename(host.database.with_suffix(".away"))
    assert host.agent("run").err.count("there is no database") == 1
