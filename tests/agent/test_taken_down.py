"""A service that an install took down, and its roll back cannot bring up: what is said of it, and who starts it."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.agent.host import Done, Host
from tests.agent.vhosts import Vhosts
from tests.servers.apache import Apache
from tests.servers.ports import LOOPBACK

NEW = "new.example.test"


class ApacheVhosts(Vhosts):
    """The same on an Apache, whose own check reads no certificate."""

    def __init__(self, host: Host, server: Apache, count: int) -> None:
        self.server = server
        super().__init__(host, server, count)

    def serve(self, names: Sequence[str]) -> None:
        conf = self.daemon.folder / "apache2.conf"
        text = conf.read_text()
        head = text[: min(place for word in ("SSLEngine on", "<VirtualHost") if (place := text.find(word)) >= 0)]
        blocks = [
            f"<VirtualHost {LOOPBACK}:{self.daemon.port}>\nServerName {name}\nSSLEngine on\n"
            f"SSLCertificateFile {self.file(name)}\nSSLCertificateKeyFile {self.key(name)}\n</VirtualHost>\n"
            for name in names
        ]
        conf.write_text(head + "".join(blocks))


@pytest.fixture
def three(host: Host, tmp_path: Path) -> Iterator[ApacheVhosts]:
    """Three virtual hosts of an Apache, each with a first certificate."""
    server = Apache(tmp_path / "apache", host.fullchain, host.key, name="v000.example.test")
    vhosts = ApacheVhosts(host, server, 3)
    with server:
        vhosts.write("2s")
        vhosts.offer()
        done = host.run()
        assert done.code == 0, done.err
        vhosts.commands()
        yield vhosts


def states(done: Done) -> dict[str, str]:
    return {one["name"]: one["state"] for one in done.json["certificates"]}


def remembered(host: Host) -> set[str]:
    """The names of the certificates whose records say that an install took their service down."""
    records = [json.loads(file.read_text()) for file in (host.state_dir / "records").glob("*.json")]
    return {record["name"] for record in records if record["took_down"]}


def add_one_that_kills(vhosts: ApacheVhosts, part: str = "key") -> None:
    """One virtual host more, whose first file will hold no certificate for its key: Apache ends at its reload."""
    vhosts.names.append(NEW)
    vhosts.serve(vhosts.names)
    vhosts.configure(NEW, files=f'[[certificate.combined]]\npath = "{vhosts.file(NEW)}"\nparts = ["{part}"]')
    vhosts.write("2s")


def jam(vhosts: ApacheVhosts) -> Path:
    """As long as this file is there, a reload ends Apache for good."""
    place, server = vhosts.host.folder / "jam", vhosts.daemon
    script = f'[ -e {place} ] || exec "$@"; kill $(cat {server.folder}/pid) 2>&1; sleep 0.3; exit 1'
    for name in vhosts.names:
        vhosts.configure(name, activate=vhosts.counted("activate", ["sh", "-c", script, "sh", *server.activate]))
    vhosts.write("2s")
    place.touch()
    return place


@pytest.mark.soak
def test_none_is_called_installed_while_it_is_dead(three: ApacheVhosts, host: Host) -> None:
    """Those that were not due are looked at again before they are reported; `status` says so too."""
    mended = jam(three)
    old = three.names[:2]
    three.offer(three.names[2])
    done = host.run()
    assert states(done) == {three.names[2]: "broken"} | dict.fromkeys(old, "unproven"), done.err
    assert len(done.json["certificates"]) == 3
    assert done.err.count("went down with an install") >= 1
    status = {one["name"]: one["state"] for one in host.agent("status", "--json").json["certificates"]}
    assert status == states(done)
    assert remembered(host) == set(three.names)
    assert mended.exists()


def test_a_later_run_starts_it(three: ApacheVhosts, host: Host) -> None:
    """Nothing is to be installed, the check passes, and the service is still down because of us: it is started, once
    for all. A person who stops it later is not overruled."""
    mended = jam(three)
    three.offer(three.names[2])
    assert host.run().code == 1
    mended.unlink()
    three.commands()
    done = host.run()
    assert states(done) == dict.fromkeys(three.names[:2], "installed") | {three.names[2]: "failed"}, done.err
    assert three.commands() == ["check", "activate"]
    assert "was started again" in done.err
    assert set(three.served()) == set(three.names)
    assert remembered(host) == set()
    three.server.stop()
    done = host.run()
    assert states(done)[three.names[0]] == "unproven"
    assert three.commands() == []


@pytest.mark.soak
def test_it_stays_down_while_its_check_fails(three: ApacheVhosts, host: Host) -> None:
    """The run says why the check fails, and the memory stays; a start of ours would be in vain."""
    mended = jam(three)
    three.offer(three.names[2])
    assert host.run().code == 1
    mended.unlink()
    three.commands()
    conf = three.daemon.folder / "apache2.conf"
    text = conf.read_text()
    conf.write_text(f"{text}NoSuchDirective on\n")
    done = host.run()
    assert set(states(done).values()) == {"unproven", "broken"}, done.err
    assert "NoSuchDirective" in done.err
    assert "activate" not in three.commands()
    conf.write_text(text)
    assert set(states(host.run()).values()) == {"installed", "failed"}


def hold(host: Host, name: str) -> None:
    assert host.agent("hold", name, "--until", "2090-06-30").code == 0


@pytest.mark.soak
@pytest.mark.parametrize("is_first", [True, False])
def test_a_hold_makes_nothing_well(three: ApacheVhosts, host: Host, *, is_first: bool) -> None:
    """Of a first certificate, and of one without a socket: while the service is down because of us it is broken; when
    it runs again, the hold is all that is said."""
    name = NEW if is_first else three.names[2]
    if is_first:
        add_one_that_kills(three)
    else:
        mended = jam(three)
    three.offer(name)
    assert states(host.run())[name] == "broken"
    hold(host, name)
    if not is_first:
        text = host.config.read_text()
        host.config.write_text(f"{text[: text.rindex('probe = ')]}probe = []\n{text[text.rindex('check = ') :]}")
    names = [name] if is_first else []
    done = host.run(*names)
    assert (done.code, states(done)[name]) == (1, "broken"), done.err
    assert "went down with an install that failed, and " in done.err
    record = next((host.state_dir / "records").glob(f"{name}.json"))
    written = record.stat().st_mtime_ns
    assert states(host.run(*names))[name] == "broken"
    assert record.stat().st_mtime_ns == written  # nothing is new: it is broken since the first run that said so
    if is_first:
        three.serve(three.names[:3])
    else:
        mended.unlink()
    done = host.run(*names)
    assert (done.code, states(done)[name]) == (0, "held" if is_first else "unprovable"), done.err
    assert remembered(host).isdisjoint({name})


@pytest.mark.soak
def test_a_person_has_started_it(three: ApacheVhosts, host: Host) -> None:
    """Then it is forgotten that an install took it down."""
    mended = jam(three)
    three.offer(three.names[2])
    assert host.run().code == 1
    mended.unlink()
    three.server.start()
    three.commands()
    done = host.run()
    assert states(done)[three.names[0]] == "installed", done.err
    assert three.commands() == []
    assert remembered(host) == set()


def test_a_first_certificate_kills_apache(three: ApacheVhosts, host: Host) -> None:
    """With its files mended in agent.toml it is installed, the service started, and all virtual hosts are there."""
    add_one_that_kills(three)
    issued = three.offer(NEW)
    done = host.run()
    assert states(done)[NEW] == "broken", done.err
    assert "installed" not in states(done).values()
    three.configure(NEW)
    three.write("2s")
    done = host.run()
    assert (done.code, set(states(done).values())) == (0, {"installed"}), done.err
    assert three.served(NEW)[NEW] == issued[NEW].certificate
    assert set(three.served()) == set(three.names)
    assert remembered(host) == set()


@pytest.mark.soak
def test_a_first_certificate_kills_apache_and_is_taken_out(three: ApacheVhosts, host: Host) -> None:
    """The operator gives that virtual host up: the certificates that were not due start the service."""
    add_one_that_kills(three)
    three.offer(NEW)
    assert host.run().code == 1
    three.names.remove(NEW)
    three.serve(three.names)
    text = host.config.read_text()
    host.config.write_text(text[: text.rindex("[[certificate]]")])
    done = host.run()
    assert (done.code, set(states(done).values())) == (0, {"installed"}), done.err
    assert set(three.served()) == set(three.names)


def test_a_self_signed_one_stands_in(three: ApacheVhosts, host: Host) -> None:
    """Apache does not start without the first file that the roll back has removed: with a self-signed one the other
    virtual hosts live at once, and it is said. With its files mended the first real one takes its place."""
    was = three.served()
    add_one_that_kills(three, "chain")
    issued = three.offer(NEW)
    done = host.run()
    assert states(done) == dict.fromkeys(was, "installed") | {NEW: "failed"}, done.err
    assert f"does not start without {three.file(NEW)}: a self-signed certificate is in its place" in done.err
    assert three.served(*was) == was
    stand_in = three.served(NEW)[NEW]
    assert stand_in is not None
    assert stand_in.issuer == stand_in.subject
    assert remembered(host) == set()
    assert host.leftovers() == []
    assert states(host.run()) == states(done)
    three.configure(NEW)
    three.write("2s")
    done = host.run()
    assert (done.code, set(states(done).values())) == (0, {"installed"}), done.err
    assert three.served(NEW)[NEW] == issued[NEW].certificate


@pytest.mark.soak
def test_a_self_signed_one_does_not_help(three: ApacheVhosts, host: Host) -> None:
    """Apache does not start with it either: it is taken away again."""
    add_one_that_kills(three)
    three.offer(NEW)
    assert states(host.run())[NEW] == "broken"
    assert not three.file(NEW).exists()
    assert host.leftovers() == []


@pytest.mark.soak
def test_an_earlier_agent_reads_the_record(three: ApacheVhosts, host: Host) -> None:
    """The record without the new field is one too, and nothing is started by it."""
    mended = jam(three)
    three.offer(three.names[2])
    assert host.run().code == 1
    mended.unlink()
    for file in (host.state_dir / "records").glob("*.json"):
        document = json.loads(file.read_text())
        del document["took_down"]
        file.write_text(json.dumps(document))
    three.commands()
    done = host.run()
    assert states(done)[three.names[0]] == "unproven", done.err
    assert three.commands() == []
    assert os.listdir(host.state_dir / "records")
