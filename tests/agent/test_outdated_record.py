"""A run that cannot put on record what it found: `status` tells that, and the next run with room puts it right."""

from pathlib import Path

import pytest

from tests.agent.host import NAME, Host
from tests.agent.test_install_faults import on_full_disk
from tests.servers.nginx import Nginx


@pytest.fixture
def found_down(host: Host, nginx: Nginx) -> Host:
    """A host with a certificate that was installed, and after that a run on a full disk, which found its service down;
    by now there is room, and the service is up."""
    host.first = host.offer_new()
    assert host.run().code == 0
    nginx.stop()
    done = host.run(wrap=on_full_disk(host.state_dir))
    assert (done.code, done.certificate["state"]) == (1, "unproven"), done.err
    assert "record.not-written" in done.err
    nginx.start()
    host.state_dir.rename(host.state_dir.with_suffix(".before"))
    Path(f"{host.state_dir}.after").rename(host.state_dir)
    return host


@pytest.mark.soak
def test_status_says_so(found_down: Host) -> None:
    """It shows the state before, which is the last one that it knows, and never calls that well."""
    shown = found_down.agent("status")
    assert shown.code == 1
    assert f"{NAME}: a later run could not put on record what it found; so it stood before" in shown.out
    one = found_down.agent("status", "--json").certificate
    assert (one["state"], one["well"], one["outdated"]) == ("installed", False, True)


def test_the_next_run_puts_it_right(found_down: Host) -> None:
    """At once, here and at the issuer's side, which was told of what was found; a further run writes nothing."""
    assert found_down.reported()["state"] == "unproven"
    assert found_down.run().code == 0
    assert found_down.reported()["state"] == "installed"
    shown = found_down.agent("status", "--json")
    assert (shown.code, shown.certificate["outdated"]) == (0, False)
    record = found_down.state_dir / "records" / f"{NAME}.json"
    written = record.stat().st_ino
    assert found_down.run().code == 0
    assert record.stat().st_ino == written


def test_a_state_folder_that_became_read_only(host: Host, nginx: Nginx) -> None:
    """As after an error of its disk: no run can write, and `status` says that."""
    host.offer_new()
    assert host.run().code == 0
    script = 'mount --bind "$0" "$0"; mount -o remount,bind,ro "$0"; "$@"'
    done = host.agent("status", wrap=["unshare", "--mount", "sh", "-ec", script, str(host.state_dir)])
    assert done.code == 1
    assert f"{host.state_dir} cannot be written: " in done.err


@pytest.mark.soak
def test_no_room_for_the_words_in_the_lock(host: Host, nginx: Nginx) -> None:
    """They are for people alone: a run without news goes its way on a disk without a byte."""
    host.offer_new()
    assert host.run().code == 0
    for limit in ("0", "2"):
        done = host.run(wrap=["prlimit", f"--fsize={limit}"])
        assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
