"""Certificates of one service go in one install: one check, one reload; the bad ones are found, the others go on."""

import math
import re
import shutil
from pathlib import Path

import pytest

from common.certificate import serial_text
from tests.agent.host import Done, Host
from tests.agent.killed import acting
from tests.agent.vhosts import Vhosts
from tests.servers.authority import Issued
from tests.servers.nginx import Nginx
from tests.servers.ports import free_port


def states(done: Done) -> dict[str, str]:
    return {one["name"]: one["state"] for one in done.json["certificates"]}


@pytest.fixture
def five(host: Host, nginx: Nginx) -> Vhosts:
    """Five virtual hosts, each with a first certificate."""
    return installed(Vhosts(host, nginx, 5))


@pytest.fixture
def many(request: pytest.FixtureRequest, host: Host, nginx: Nginx) -> Vhosts:
    """As many as the test says."""
    return installed(Vhosts(host, nginx, request.param))


def installed(vhosts: Vhosts) -> Vhosts:
    vhosts.write()
    vhosts.offer()
    done = vhosts.host.run()
    assert done.code == 0, done.err
    vhosts.commands()
    return vhosts


def serial(issued: Issued) -> str:
    return serial_text(issued.certificate)


def refused_by_nginx(vhosts: Vhosts, name: str, part: str) -> None:
    """Let its file hold a part that nginx cannot serve. Of a chain without its leaf nginx names the key, which all
    share; of a key without a certificate it names the file."""
    vhosts.configure(name, files=f'[[certificate.combined]]\npath = "{vhosts.file(name)}"\nparts = ["{part}"]')


def test_five_at_once(five: Vhosts) -> None:
    """One check and one reload for all."""
    issued = five.offer()
    done = five.host.run()
    assert done.code == 0, done.err
    assert five.commands() == ["check", "activate"]
    assert five.served() == {name: one.certificate for name, one in issued.items()}
    assert five.host.leftovers() == []


@pytest.mark.soak
def test_one_that_cannot_be_kept(five: Vhosts, host: Host) -> None:
    """All five are installed; of four the certificate before can be gone back to, of the other it is said."""
    name, *others = five.names
    folder = host.state_dir / "kept" / name
    shutil.rmtree(folder)
    folder.write_bytes(b"")
    issued = five.offer()
    done = host.run()
    assert done.code == 0, done.err
    said = [line for line in done.err.splitlines() if "kept.not-written" in line]
    assert said
    assert all(name in line for line in said), said
    kept = {one["name"]: one["kept"] for one in host.agent("status", "--json").json["certificates"]}
    assert kept[name] == []
    assert {one: kept[one][0] for one in others} == {one: serial(issued[one]) for one in others}
    assert {len(kept[one]) for one in others} == {2}


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("many", "bad", "part", "most"),
    [
        (8, [0], "chain", math.ceil(math.log2(8)) + 2),
        (8, [7], "chain", math.ceil(math.log2(8)) + 1),
        (8, [1, 4, 6], "key", 4),
        (40, [0], "chain", math.ceil(math.log2(40)) + 2),
        pytest.param(40, [3, 30], "chain", 2 * math.ceil(math.log2(40)) + 2, marks=pytest.mark.soak),
    ],
    indirect=["many"],
)
def test_bad_ones_among_many(many: Vhosts, bad: list[int], part: str, most: int) -> None:
    """Each bad one is found, named with its reason, and goes back; the others are installed by one reload."""
    vhosts, host = many, many.host
    before = {name: vhosts.file(name).read_bytes() for name in vhosts.names}
    names = [vhosts.names[number] for number in bad]
    for name in names:
        refused_by_nginx(vhosts, name, part)
    vhosts.write()
    was, issued = vhosts.served(), vhosts.offer()
    done = host.run()
    assert done.code == 1
    assert [name for name, state in states(done).items() if state != "installed"] == names
    commands = vhosts.commands()
    assert commands == ["check"] * (len(commands) - 1) + ["activate"]
    assert len(commands) - 1 <= most
    assert vhosts.served() == {name: was[name] if name in names else issued[name].certificate for name in vhosts.names}
    for name in names:
        assert vhosts.file(name).read_bytes() == before[name]
        assert f"{name}: failed: " in done.err
    assert host.leftovers() == []
    assert host.run().code == 1
    assert vhosts.commands() == []


def test_a_bad_one_with_a_key_of_its_own(host: Host, nginx: Nginx) -> None:
    """Of a chain without its leaf nginx names the key, and by that one check more finds it."""
    vhosts = installed(Vhosts(host, nginx, 8, own_keys=True))
    bad = vhosts.names[3]
    refused_by_nginx(vhosts, bad, "chain")
    vhosts.write()
    vhosts.offer()
    done = host.run()
    assert [name for name, state in states(done).items() if state != "installed"] == [bad]
    assert vhosts.commands() == ["check", "check", "activate"]


def test_two_new_names_at_once(five: Vhosts, host: Host, nginx: Nginx) -> None:
    """nginx.conf has two names more, whose files do not exist; nginx runs on, by its configuration of before."""
    more = ["new1.example.test", "new2.example.test"]
    five.names += more
    five.serve(five.names)
    for name in more:
        five.configure(name)
    five.write()
    issued = five.offer(*more)
    done = host.run()
    assert [states(done)[name] for name in more] == ["installed", "installed"], done.err
    assert [nginx.served(name) for name in more] == [issued[name].certificate for name in more]
    assert five.commands() == ["check", "activate"]


def test_one_of_two_new_names_is_not_there_yet(five: Vhosts, host: Host, nginx: Nginx) -> None:
    """The check fails for want of the other one: nothing is held against the first, and both go when both are there."""
    more = ["new1.example.test", "new2.example.test"]
    five.names += more
    five.serve(five.names)
    for name in more:
        five.configure(name)
    five.write()
    five.offer(more[0])
    done = host.run()
    assert states(done)[more[0]] == "failed"
    assert f"{more[0]}: failed: waits for the first certificate of {more[1]}: " in done.err
    assert not five.file(more[0]).exists()
    five.offer(more[1])
    done = host.run()
    assert [states(done)[name] for name in more] == ["installed", "installed"], done.err


def test_one_of_two_new_names_is_refused(five: Vhosts, host: Host, nginx: Nginx) -> None:
    """It is at fault, by the check's own words, and the configuration is not: the other one waits for it."""
    more = ["new1.example.test", "new2.example.test"]
    five.names += more
    five.serve(five.names)
    bad = five.file(more[1])
    five.configure(more[0])
    five.configure(more[1], files=f'[[certificate.combined]]\npath = "{bad}"\nparts = ["key"]')
    five.write()
    five.offer(*more)
    said = host.run().err
    assert f"{more[1]}: failed: the service's check fails with its first certificate" in said
    assert f"{more[0]}: failed: waits for the first certificate of {more[1]}, which the service's check refuses" in said
    assert said.count("no start line") == 2
    assert "broken before" not in said
    assert not bad.exists()


@pytest.mark.soak
def test_a_first_certificate_that_the_check_refuses(five: Vhosts, host: Host, nginx: Nginx) -> None:
    """Alone, with the check's words about the new file and not only those about the missing one."""
    five.names.append("new.example.test")
    five.serve(five.names)
    five.configure("new.example.test", files=f'[certificate.files]\nchain = "{five.file("new.example.test")}"')
    five.write()
    five.offer("new.example.test")
    said = host.run().err
    assert "new.example.test: failed: the service's check fails with its first certificate" in said
    assert "key values mismatch" in said


def test_one_that_is_not_shown(five: Vhosts, host: Host, nginx: Nginx) -> None:
    """nginx reads another file for one name: that one goes back by one reload more, the others stay."""
    name = five.names[2]
    elsewhere = host.live / "elsewhere.pem"
    elsewhere.write_bytes(five.file(name).read_bytes())
    five.configure(name, files=f'[certificate.files]\nfullchain = "{elsewhere}"')
    five.write(probe_timeout="2s")
    was, issued = five.served(), five.offer()
    before = elsewhere.read_bytes()
    done = host.run()
    assert done.code == 1
    assert [one for one, state in states(done).items() if state != "installed"] == [name]
    assert "the service does not serve the new certificate" in done.err
    assert five.commands() == ["check", "activate", "activate"]
    assert five.served() == {one: was[one] if one == name else issued[one].certificate for one in five.names}
    assert elsewhere.read_bytes() == before
    assert host.leftovers() == []


@pytest.mark.soak
def test_a_service_that_takes_nothing(five: Vhosts, host: Host, nginx: Nginx, tmp_path: Path) -> None:
    """It cannot be told, and runs on: everything goes back, and so do the smaller groups that are tried. The next time
    they go alone, and the first that fails ends the trials of this run."""
    before = {name: five.file(name).read_bytes() for name in five.names}
    for name in five.names:
        five.configure(name, activate=five.counted("activate", ["false"]))
    five.write(probe_timeout="2s")
    was = five.served()
    five.offer()
    done = host.run()
    assert set(states(done).values()) == {"failed"}
    assert {name: five.file(name).read_bytes() for name in five.names} == before
    assert five.commands() == ["check", "activate", "activate"] * 7
    assert host.leftovers() == []
    done = host.run("--retry")
    assert set(states(done).values()) == {"failed"}
    assert five.commands() == ["check", "activate", "activate"]
    assert five.served() == was
    for name in five.names:
        five.configure(name)
    five.write()
    done = host.run()
    assert done.code == 0, done.err


def test_a_stopped_sibling(host: Host, nginx: Nginx, tmp_path: Path) -> None:
    """One certificate, two services by commands of agent.toml, one of them stopped: the running one gets it."""
    host.configure(
        check=nginx.check,
        probe=[f"https://127.0.0.1:{nginx.port}", f"https://127.0.0.1:{free_port()}"],
        activate=["x"],
        probe_timeout="2s",
    )
    text = host.config.read_text().replace('activate = ["x"]', f"activate = [['false'], {nginx.activate}]")
    host.config.write_text(text)
    issued = host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "unproven"), done.err
    assert nginx.served() == issued.certificate
    assert "nothing answers at" in done.err
    assert host.run().certificate["state"] == "unproven"
    assert nginx.served() == issued.certificate


def test_a_command_that_fails_although_all_is_well(host: Host, nginx: Nginx) -> None:
    """As a reload of a unit that its socket activates: the socket shows the new one, and nothing goes back."""
    failing = ["sh", "-c", '"$@"; sleep 1; exit 1', "sh", *nginx.activate]
    host.served_by(nginx, activate=failing)
    issued = host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
    assert nginx.served() == issued.certificate


@pytest.mark.sampled
@pytest.mark.parametrize("case", ["", "killed", "unseen"])
def test_one_whose_socket_shows_the_certificate_of_another(host: Host, nginx: Nginx, case: str) -> None:
    """nginx has no virtual host for it, and shows that of the first, which is renewed meanwhile: nothing is broken. Nor
    is it where the next run has to settle that, or where the first has no socket of its own, as a wildcard may."""
    vhosts = Vhosts(host, nginx, 3)
    first, second, third = vhosts.names
    vhosts.serve([first, third])
    vhosts.write("2s")
    vhosts.offer(first, third)
    assert host.run(first, third).code == 0
    before, issued = vhosts.file(second).read_bytes(), vhosts.offer()
    if case == "unseen":
        host.config.write_text(re.sub(f'probe = ".*{first}.*"', "probe = []", host.config.read_text()))
    if case == "killed":
        host.run(program=acting(("agent.journey.install", "prove", 1, "after")))
    done = host.run()
    well = "unprovable" if case == "unseen" else "installed"
    assert states(done) == {first: well, second: "failed", third: "installed"}, done.err
    assert "rolled back, all is as it was" in done.err
    assert vhosts.served(second)[second] == issued[first].certificate
    assert vhosts.file(second).read_bytes() == before
