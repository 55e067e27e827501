"""The drill: what may happen to an install, on the daemons as Debian ships them, under systemd, with their presets."""

import signal
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import pytest

from tests.agent.host import Done
from tests.agent.killed import Step, acting
from tests.drill.clients import Conversation, Load, under_load
from tests.drill.daemon import KEY, NAME
from tests.drill.drill import AGENT_UNIT, OTHERS, Drill, Live
from tests.drill.facts import told_words
from tests.drill.faults import (
    FULL,
    MOUNTED,
    READ_ONLY,
    SHUT,
    another_key,
    dies,
    dies_later,
    does_not_answer,
    folders,
    keeps_the_old_one,
    wrapped,
)
from tests.servers.authority import Authority, Issued
from tests.servers.process import wait_until


def each_fault(faults: Mapping[str, object]) -> pytest.MarkDecorator:
    """A test for each fault, by its name: *fault* is how it is made."""
    return pytest.mark.parametrize(
        "fault", [pytest.param(made, id=name, marks=pytest.mark.fault(name)) for name, made in faults.items()]
    )


ROLLED_BACK = "rolled back, all is as it was"
PATIENCE = 60  # seconds that a service gets to show the new one
BY_NOW = "by now the one before is in place, and served"


def assert_back(drill: Drill, before: Live, done: Done, state: str, *words: str) -> None:
    """The old file is there byte for byte with its rights, and served; exit code, report and sentence say so."""
    detail = str(done.certificate["detail"])
    assert (done.code, done.certificate["state"]) == (1, state), detail
    for word in words:
        assert word in detail
    assert drill.live() == before
    assert drill.shows(drill.present), detail
    assert drill.reported() == (state, detail)
    assert drill.leftovers() == []


def assert_at_rest(drill: Drill, before: Live, state: str) -> Done:
    """The next run says the same, and leaves daemon and file alone. Returns how it ended."""
    told = drill.told()
    again = drill.run(well=False)
    assert (again.code, again.certificate["state"]) == (1, state)
    assert drill.told() == told
    assert drill.live() == before
    return again


def assert_goes_on(drill: Drill) -> None:
    """The next run installs the new one: it was at no fault."""
    drill.run()
    assert drill.reported()[0] == "installed"
    assert drill.leftovers() == []


@under_load
@pytest.mark.fault("good")
def test_a_good_one(drill: Drill) -> None:
    """Served on every socket; where the daemon reloads, no client fails, and a connection goes on."""
    daemon, before = drill.daemon, drill.live()
    with Conversation(daemon.sockets[0], daemon.talk) if daemon.talk else nullcontext() as talk:
        with Load(drill.attempts()) as load:
            new = drill.present = drill.offer()
            drill.run()
            assert drill.shows(new)
        stays = bool(talk and talk.goes_on())
    after = drill.live()
    assert (after.rights, after.attributes) == (before.rights, before.attributes)
    assert new.cert_pem in after.content
    assert drill.reported() == ("installed", "")
    assert load.made > 0
    spares = (daemon.reload or daemon.tool or daemon.untold) and not daemon.loses
    assert load.failed == 0 or not spares, f"{load.failed} of {load.made}"
    connection = "open connections were not tried"
    if talk:
        assert stays or not drill.keeps_connections
        connection = f"an open connection {'goes on' if stays else 'ends'}"
    drill.saw(f"{load.failed} of {load.made + load.failed} handshakes fail; {connection}")


@pytest.mark.drill
@pytest.mark.fault("unit")
def test_by_the_agents_unit(drill: Drill) -> None:
    """Within the sandbox of the shipped unit: installed and served, and brought back. Nothing of the daemon's ends with
    the agent's unit."""
    new = drill.present = drill.offer()
    assert drill.run_by_unit() == ("success", "0"), drill.machine.journal(AGENT_UNIT)
    assert drill.shows(new)
    assert drill.reported() == ("installed", "")
    before = drill.live()
    drill.configure(probe_timeout="3s")
    drill.offer()
    with keeps_the_old_one(drill):
        assert drill.run_by_unit() == ("exit-code", "1")
        assert drill.live() == before
        assert drill.shows(new)
        state, detail = drill.reported()
        assert state == "failed"
        assert ROLLED_BACK in detail
    drill.saw("installed; failed, rolled back")


@pytest.mark.drill
@pytest.mark.fault("together")
def test_several_together(drill: Drill) -> None:
    """Three certificates of the service: it is told once, if at all."""
    for name in OTHERS:
        drill.offer(name, drill.csr_of(name))
    new = drill.offer()
    drill.configure(others=True)
    told = drill.told()
    done = drill.run(well=False)
    assert {one["state"] for one in done.json["certificates"]} == {"installed", "unprovable"}, done.out
    assert done.code == 0
    times = drill.told() - told
    assert times == (0 if drill.daemon.untold else 3 if drill.daemon.apart else 1)
    assert drill.shows(new)
    drill.saw(told_words(times))


@pytest.mark.drill
@pytest.mark.fault("stopped")
def test_one_for_a_service_that_is_stopped(drill: Drill) -> None:
    """The new file is there for its next start. It stays stopped, which is said; once it runs, all is well."""
    drill.machine.run("systemctl", "stop", drill.daemon.told)
    told, new = drill.told(), drill.offer()
    done = drill.run(well=False)
    assert (done.code, done.certificate["state"]) == (1, "unproven"), done.out
    assert drill.told() == told
    assert drill.machine.show(drill.daemon.told, "ActiveState") != (
        "active",
    )  # systemd takes a stopped Samba for failed
    assert new.cert_pem in drill.live().content
    drill.machine.run("systemctl", "start", drill.daemon.told)
    wait_until(lambda: drill.shows(new), "it is started by hand, with the new one", 20)
    told = drill.told()
    drill.run()
    assert drill.reported() == ("installed", "")
    assert drill.told() == told
    drill.saw("in place, not proven: not told; once it runs, installed")


@pytest.mark.fault("refused")
def test_one_that_its_daemon_refuses(drill: Drill) -> None:
    """The live file would hold the intermediate in the leaf's place. The check refuses it, and the daemon is not told;
    or, where the check does not see that, it fails at the reload, or goes on with the old one."""
    before, told = drill.live(), drill.told()
    drill.offer()
    drill.configure(drill.daemon.misshapen or f'[certificate.files]\nchain = "{drill.daemon.live}"\n', "3s")
    done = drill.run(well=False)
    times = drill.told() - told
    assert_back(drill, before, done, "failed", ROLLED_BACK)
    assert_at_rest(drill, before, "failed")
    unchecked, untold = drill.daemon.unchecked, drill.daemon.untold
    detail, _, _doubt = str(done.certificate["detail"]).partition(f"; {drill.daemon.preset} runs as ")
    assert (times > 0) == (unchecked and not untold), detail
    named = "the file" if drill.daemon.live in detail else "its key" if KEY in detail else "no file"
    drill.saw(f"failed: {told_words(times)}" if unchecked else f"failed at its check, which names {named}: not told")


@pytest.mark.drill
@pytest.mark.fault("one of three")
def test_one_of_three_is_refused(drill: Drill) -> None:
    """The same, beside two that are good: these are installed in the same run, unless the daemon goes down with the bad
    one and does not say with which."""
    before, told = drill.live(), drill.told()
    for name in (NAME, *OTHERS):
        drill.offer(name, drill.csr_of(name))
    drill.configure(
        drill.daemon.misshapen or f'[certificate.files]\nchain = "{drill.daemon.live}"\n', "3s", others=True
    )
    done = drill.run(well=False)
    states = {one["name"]: one["state"] for one in done.json["certificates"]}
    assert states[NAME] == "failed", done.out
    assert drill.live() == before
    assert drill.shows(drill.present)
    good = {states[name] for name in OTHERS}
    assert good == {"unprovable"} or (drill.daemon.unchecked and good == {"failed"}), done.out
    installed = "the others are installed" if good == {"unprovable"} else "the others go back too"
    drill.saw(f"{installed}: {told_words(drill.told() - told)}")


Fault = Callable[[Drill], AbstractContextManager[None]]


@pytest.mark.drill
@each_fault({"keeps": keeps_the_old_one, "silent": does_not_answer})
def test_it_does_not_take_the_new_one(drill: Drill, fault: Fault) -> None:
    """It does nothing, or stops answering: it is told again with the old one, or started."""
    assert_not_taken(drill, fault)


@pytest.mark.drill
@pytest.mark.fault("dies")
def test_it_ends(drill: Drill) -> None:
    """When it is told: it is started with the old one. So is one that ends a moment after a reload, which does not get
    the time that a living one gets, because systemd knows."""
    assert_not_taken(drill, dies)
    if not drill.daemon.may_end_later:
        return
    drill.restore()
    before = drill.live()
    drill.configure(probe_timeout=f"{PATIENCE}s")
    drill.offer()
    with dies_later(drill):
        began = time.monotonic()
        done = drill.run(well=False)
        needed = time.monotonic() - began
        assert_back(drill, before, done, "failed", ROLLED_BACK)
    assert needed < PATIENCE


def assert_not_taken(drill: Drill, fault: Fault) -> None:
    """With that fault the old one comes back, and no more is tried."""
    before = drill.live()
    drill.configure(probe_timeout="3s")
    drill.offer()
    with fault(drill):
        told = drill.told()
        done = drill.run(well=False)
        assert_back(drill, before, done, "failed", ROLLED_BACK)
        times = drill.told() - told
        assert_at_rest(drill, before, "failed")
    drill.saw(f"failed: {told_words(times)}")


@pytest.mark.drill
@pytest.mark.fault("other key")
def test_another_key(drill: Drill) -> None:
    """A certificate for another key, and a key file that was exchanged: refused, and the daemon is not told."""
    before, told = drill.live(), drill.told()
    drill.offer(csr=drill.csr_of(NAME, key="/root/another.key"))
    done = drill.run(well=False)
    assert_back(drill, before, done, "refused")
    assert_at_rest(drill, before, "refused")
    drill.offer()
    with another_key(drill, Authority("X").issue(["x.example.test"]).key_pem, KEY):
        drill.run(well=False)
        done = assert_at_rest(drill, before, "refused")
    assert_back(drill, before, done, "refused")  # some daemons read the key for each connection
    assert drill.told() == told
    drill.saw("refused: not told")


@pytest.mark.drill
@each_fault({"disk full": FULL, "read-only": READ_ONLY})
def test_a_folder_that_takes_nothing(drill: Drill, fault: str) -> None:
    """No space, or no writing, for live file or state folder: the daemon is not told; the next run goes on."""
    for folder in folders(drill):
        before, told = drill.live(), drill.told()
        new = drill.offer()
        done = drill.run(well=False, wrap=wrapped(fault, folder))
        assert done.code != 0
        words = "No space left on device" if fault == FULL else "Read-only file system"
        assert words in done.err + done.out
        assert drill.live() == before
        assert drill.shows(drill.present)
        assert drill.told() == told
        assert_goes_on(drill)
        assert drill.shows(new)
        drill.present = new
    drill.saw("failed: not told; the next run installs")


@pytest.mark.drill
@pytest.mark.fault("no way back")
def test_no_way_back(drill: Drill) -> None:
    """The roll back itself fails, which is said; the next run that can ends it."""
    before, folder = drill.live(), folders(drill)[0]
    drill.configure(probe_timeout="3s")
    drill.offer()
    shut = acting((INSTALL, "activate", 1, "before"), f"subprocess.run({[*SHUT, folder]}, check=True)")
    with keeps_the_old_one(drill):
        done = drill.run(well=False, program=shut, wrap=wrapped(MOUNTED, folder))
        assert (done.code, done.certificate["state"]) == (1, "broken"), done.out
        assert "ROLL BACK FAILED" in done.certificate["detail"]
        assert drill.reported()[0] == "broken"
        done = drill.run(well=False)
        assert_back(drill, before, done, "failed", "ROLL BACK FAILED", BY_NOW)
        assert_at_rest(drill, before, "failed")
    drill.restore()
    drill.configure(probe_timeout="3s")
    before = drill.live()
    new = drill.offer()
    with dies(drill, for_good=True):
        done = drill.run(well=False)
        assert (done.code, done.certificate["state"]) == (1, "broken"), done.out
        assert "ROLLED BACK, but the service is not as before" in done.certificate["detail"]
        assert drill.live() == before
        assert drill.reported()[0] == "broken"
        assert drill.served() == []
        again = drill.run(well=False)
        assert (again.code, again.certificate["state"]) == (1, "broken")
    drill.machine.execute("systemctl", "reset-failed", drill.daemon.unit)
    drill.machine.run("systemctl", "start", drill.daemon.told)
    wait_until(lambda: drill.shows(drill.present), "the daemon is started by hand, with the old one", 20)
    assert_back(drill, before, drill.run(well=False), "failed", BY_NOW)
    drill.run("--retry")
    assert drill.shows(new)
    drill.saw("broken, and said; the next run that can ends it")


INSTALL, STATE, FILES = "agent.journey.install", "agent.host.state_folder:StateFolder", "agent.host.files:LocalFiles"
FORWARD: list[Step] = [
    *((INSTALL, function, 1, "before") for function in ("stage", "back_up", "open_journal", "enter", "swap")),
    (FILES, "replace", 1, "after"),
    (INSTALL, "check_after", 1, "before"),
    (INSTALL, "enter", 2, "before"),
    (INSTALL, "activate", 1, "before"),
    (INSTALL, "activate", 1, "after"),
    (INSTALL, "enter", 3, "after"),
    (INSTALL, "prove", 1, "after"),
    (INSTALL, "commit", 1, "before"),
    (INSTALL, "commit", 1, "after"),
    (STATE, "save_records", 1, "after"),
    (STATE, "finish", 1, "before"),
    (STATE, "finish", 1, "after"),
]
BACK: list[Step] = [
    (INSTALL, "roll_back", 1, "before"),
    (FILES, "restore", 1, "before"),
    (FILES, "restore", 1, "after"),
    ("agent.journey.roll_back", "_look_until_as_before", 1, "before"),
    (INSTALL, "roll_back", 1, "after"),
]


@pytest.mark.drill
@pytest.mark.fault("killed")
def test_killed(drill: Drill) -> None:
    """Whatever it dies at: one of both is served, and the next run ends with the new one everywhere."""
    for step in FORWARD:
        new = drill.offer()
        done = drill.run(well=False, program=acting(step))
        assert done.code == -signal.SIGKILL or done.code == 128 + signal.SIGKILL, (step, done.code, done.err)
        wait_until(partial(shows_one_of, drill, new), f"{step}: one of both is served", 20)
        drill.run()
        assert drill.shows(new), step
        assert new.cert_pem in drill.live().content, step
        assert drill.reported() == ("installed", ""), step
        assert drill.leftovers() == [], step
        drill.present = new
    drill.configure(probe_timeout="3s")
    before = drill.live()
    with keeps_the_old_one(drill):
        for step in BACK:
            drill.offer()
            done = drill.run(well=False, program=acting(step))
            assert done.code == -signal.SIGKILL or done.code == 128 + signal.SIGKILL, (step, done.code, done.err)
            assert_back(drill, before, drill.run(well=False), "failed", ROLLED_BACK)
    drill.saw(f"at {len(FORWARD) + len(BACK)} boundaries: the next run ends it")


def shows_one_of(drill: Drill, new: Issued) -> bool:
    return drill.shows(new) or drill.shows(drill.present)
