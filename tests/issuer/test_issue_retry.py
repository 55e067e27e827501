"""What fails is counted, explained, put off and tried again; what does not fail is not kept from being stored."""

import math
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.issuer.stopping import SECONDS
from tests.servers.bind import Bind
from tests.servers.forks import Forked
from tests.servers.lab import Lab
from tests.servers.pebble import Pebble
from tests.servers.process import wait_until

NAME = "www.example.test"


def state_of(box: Box, name: str = NAME) -> str:
    """Where the newest order stands; "" without one."""
    orders = box.orders(name)
    return str(orders[-1][0]) if orders else ""


def finish(process: Forked, seconds: float = 60) -> tuple[int, str, str]:
    """Exit code and output of a command that has to end within *seconds*."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    assert "Traceback" not in out + err, err
    return process.wait(), out, err


def with_wrong_secret(bind: Bind, folder: Path, name: str) -> Path:
    """A file with a key that the server knows by name, with another secret."""
    right = bind.tsig_key(name)
    wrong = folder / f"wrong-{name}.key"
    wrong.touch(mode=0o600)
    other = Bind(folder / "elsewhere").tsig_key(name)
    assert other.read_bytes() != right.read_bytes()
    wrong.write_bytes(other.read_bytes())
    return wrong


def test_one_wrong_key_fails_one_certificate_and_no_other(server_box: Box, lab: Lab, tmp_path: Path) -> None:
    """The failure is counted with reason and next moment, the others are stored; mended, the next due run stores it."""
    box = server_box
    wrong = with_wrong_secret(lab.bind, tmp_path, "special")
    box.write(dns={"zone": [{"name": NAME, "tsig_key_file": str(wrong)}]}, renewal={"retry": ["1s", "2s"]})
    others = [box.enrol(f"other{number}.example.test") for number in range(3)]
    box.enrol(NAME, key="special")
    before = time.time()
    outcome = box.run("run")
    assert outcome.code == 1
    assert f"{NAME}: failed;" in outcome.out
    assert "; tried every 2s only; `issue NAME` once it is mended" in outcome.err
    assert f"error: {NAME}: failed:" in outcome.err
    assert "BADSIG" in outcome.err
    assert "what to do: " in outcome.err
    assert all(f"{name}: stored" in outcome.out for name in others)
    count, error, due_at = box.row(NAME, "count_fail_update", "last_error", "due_at")
    assert count == 1
    assert "BADSIG" in error
    assert "copy the key special" in error
    assert before - 1 <= due_at - 2 <= time.time()  # what a person has to mend waits for the longest time
    assert box.run("status").code == 1
    box.document["dns"]["zone"][0]["tsig_key_file"] = str(lab.bind.folder / "special.key")
    box.write()
    wait_until(lambda: time.time() > due_at, "it is due again")
    box.ok("run")
    assert box.row(NAME, "count_fail_update", "last_error") == (0, None)
    assert box.row(NAME, "crt")[0]
    assert box.ok("status").code == 0


def test_before_its_moment_a_failed_one_is_left_alone(box: Box, lab: Lab, tmp_path: Path) -> None:
    """`run` keeps to the saved moment, each failure counts once, and `max_run = "0s"` means one round."""
    box.write(dns={"tsig_key_file": str(with_wrong_secret(lab.bind, tmp_path, "acme"))}, renewal={"retry": ["1h"]})
    box.enrol(NAME)
    first = box.run("run", "--json")
    assert first.code == 1
    [ending] = first.report()["certificates"]
    assert (ending["ending"], ending["next"] is None) == ("failed", False)
    [(count, due_at)] = box.database.query("SELECT count_fail_update, due_at FROM certs")
    assert (count, due_at > time.time() + 3500) == (1, True)
    box.fails(
        "run", says=[f"error: {NAME}: failed before: ", "next attempt: ", "BADSIG", "1 failed before"]
    )  # tried no more, and still not well
    assert box.row(NAME, "count_fail_update") == (1,)
    assert box.txt(NAME) == set()


def test_a_run_stays_until_what_failed_is_well(box: Box, lab: Lab) -> None:
    """BIND is down at the first tries and back later: one `run` retries at its moments and ends with exit code 0."""
    box.enrol(NAME)
    box.write(renewal={"retry": ["1s", "2s"], "max_run": "2m"})
    lab.bind.stop()
    process = box.start("run")
    wait_until(lambda: box.row(NAME, "count_fail_update")[0] > 0, "the first failure is recorded")
    assert process.poll() is None
    lab.bind.start()
    code, out, err = finish(process)
    assert code == 0, out + err
    assert f"{NAME}: failed;" in out
    assert "Connection refused" in err
    assert f"{NAME}: stored" in out
    assert box.row(NAME, "count_fail_update", "last_error") == (0, None)


def test_a_run_says_what_it_waits_for_and_ends_on_sigterm(box: Box, lab: Lab, tmp_path: Path) -> None:
    """While only a retry far ahead is left it says so; SIGTERM ends the wait at once, with what failed in the code."""
    box.write(dns={"tsig_key_file": str(with_wrong_secret(lab.bind, tmp_path, "acme"))})
    box.enrol(NAME)
    box.write(renewal={"retry": ["1h"], "max_run": "6h"})
    process = box.start("run")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2)]
    assert "waiting for the next attempt (www.example.test); looks again at 20" in lines[1], lines
    assert re.search(r"; stays until \S+Z at most, Ctrl-C ends it sooner$", lines[1].rstrip()), lines
    process.send_signal(signal.SIGTERM)
    code, _, _ = finish(process, SECONDS)
    assert code == 1
    assert box.row(NAME, "count_fail_update") == (1,)


@pytest.mark.sampled
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_dns_is_waited_for(box: Box, lab: Lab, tmp_path: Path, number: signal.Signals) -> None:
    """Stopped in PUBLISHED it ends within seconds, exit code 1, lease given back; the next run finishes that order."""
    with Bind(tmp_path / "secondary", secondary_of=lab.bind, lag_seconds=math.inf) as secondary:
        box.enrol(NAME)
        box.write(dns={"nameservers": [lab.bind.endpoint, secondary.endpoint]})
        process = box.start("run")
        wait_until(lambda: state_of(box) == "PUBLISHED", "the challenge is published")
        process.send_signal(number)
        code, out, _ = finish(process, SECONDS)
        assert code == 1
        assert f"{NAME}: stopped" in out
        assert box.database.query("SELECT state, lease_owner FROM orders") == [("PUBLISHED", None)]
        assert box.row(NAME, "count_fail_update") == (0,)
        [(_, url)] = box.orders(NAME)
        secondary.refresh()
        box.ok("run")
        assert box.orders(NAME) == [("STORED", url)]
        assert box.txt(NAME) == set()


def test_a_second_run_beside_the_first_is_refused(box: Box, lab: Lab, tmp_path: Path) -> None:
    """While one run waits, another ends at once with exit code 3 and says who holds the lock."""
    with Bind(tmp_path / "secondary", secondary_of=lab.bind, lag_seconds=math.inf) as secondary:
        box.enrol(NAME)
        box.write(dns={"nameservers": [secondary.endpoint], "propagation_timeout": "2m"})
        process = box.start("run")
        wait_until(lambda: state_of(box) == "PUBLISHED", "the challenge is published")
        for word in (["run"], ["issue", NAME]):
            box.refused(*word, code=3, says=[f"process {process.pid}", "certfleet-issuer run"])
        secondary.refresh()
        assert finish(process)[0] == 0
    assert len(box.orders()) == 1


def test_a_name_server_away_at_the_end_leaves_work_for_the_next_run(box: Box, lab: Lab, tmp_path: Path) -> None:
    """What cannot be withdrawn stays in the journal and keeps nobody from the certificate; the next run sweeps it."""
    with Bind(tmp_path / "secondary", secondary_of=lab.bind, lag_seconds=math.inf) as secondary:
        box.enrol(NAME)
        box.write(dns={"nameservers": [secondary.endpoint]})
        with Pebble(tmp_path / "pebble2", secondary.endpoint) as pebble:  # it goes on without the primary
            box.trust(pebble)
            box.write()
            process = box.start("run")
            wait_until(lambda: state_of(box) == "PUBLISHED", "the challenge is published")
            process.send_signal(signal.SIGSTOP)
            secondary.refresh()
            lab.bind.stop()
            process.send_signal(signal.SIGCONT)
            code, out, err = finish(process)
        assert code == 0, out + err
        assert "challenge.left" in err
        assert box.database.query("SELECT COUNT(*) FROM challenges") == [(1,)]
    lab.bind.start()
    assert len(box.txt(NAME)) == 1
    assert "nothing is due" in box.ok("run").out
    assert box.txt(NAME) == set()
    assert box.database.query("SELECT COUNT(*) FROM challenges") == [(0,)]


def test_many_failures_in_a_row_are_called_stuck(box: Box) -> None:
    """After `give_up_alarm` failures `status` says stuck, and the certificate is still tried."""
    box.enrol(NAME)
    box.database.execute("UPDATE certs SET count_fail_update = 10, last_error = 'what it was'")
    outcome = box.run("status")
    assert outcome.code == 1
    assert "stuck" in outcome.out
    assert "last attempt failed: what it was" in outcome.out
    box.ok("run")
    assert box.row(NAME, "count_fail_update") == (0,)
