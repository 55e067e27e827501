"""Two bad certificates among several, or words that name the wrong one, at a reload: the others are installed, and what
is said of each is true."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.host import keys
from tests.agent.host import Done, Host, agent_ahead
from tests.agent.test_found_by_the_reload import on_apache, on_nginx, states, without_certificate
from tests.agent.test_taken_down import ApacheVhosts
from tests.agent.vhosts import Vhosts
from tests.servers.nginx import Nginx


@pytest.fixture
def apache(host: Host, tmp_path: Path) -> Iterator[ApacheVhosts]:
    with on_apache(host, tmp_path / "apache", 5) as vhosts:
        yield vhosts


@pytest.fixture
def quiet(host: Host, nginx: Nginx) -> Vhosts:
    return on_nginx(host, nginx, 12)


def test_apache_names_the_second_only_when_the_first_is_gone(apache: ApacheVhosts, host: Host) -> None:
    """It ends at the first that it does not take. The one that went back while it was down is served again too."""
    bad = [apache.names[1], apache.names[3]]
    for name in bad:
        without_certificate(apache, name)
    apache.write("2s")
    was, issued = apache.served(), apache.offer()
    done = host.run()
    good = [name for name in apache.names if name not in bad]
    assert states(done) == dict.fromkeys(good, "installed") | dict.fromkeys(bad, "failed"), done.err
    assert apache.served() == {name: was[name] if name in bad else issued[name].certificate for name in apache.names}
    assert host.leftovers() == []
    apache.commands()
    assert states(host.run()) == states(done)
    assert apache.commands() == []


NAMES = [f"v{number}.example.test" for number in range(5)]
BAD = (NAMES[1], NAMES[3])
# fails at the first file that holds a key
READER = """#!/bin/sh
for file in {folder}/v*.pem; do
  grep -q KEY "$file" && {{ echo "cannot load $file"; exit 1; }}
done
exit 0
"""


def unseen(host: Host, setting: str) -> Done:
    """Five certificates that no socket shows; a command, which is that *setting* of all, takes two of them not."""
    script = host.folder / "reader"
    script.write_text(READER.format(folder=host.live))
    script.chmod(0o755)
    host.configure()
    text = host.config.read_text().split("[[certificate]]")[0]
    for name in NAMES:
        file = host.live / f"{name}.pem"
        file.write_bytes(host.self_signed())
        issued = host.authority.sign(keys.csr(keys.load(host.key), (name,)))
        host.offer(issued.cert_pem, issued.chain_pem, name=name)
        part = '"key", ' if name in BAD else ""
        text += f'[[certificate]]\nname = "{name}"\nkey = "{host.key}"\nprobe = []\n{setting.format(script=script)}\n'
        text += f'[[certificate.combined]]\npath = "{file}"\nparts = [{part}"certificate", "chain"]\n'
    host.config.write_text(text)
    return host.run()


@pytest.mark.parametrize("setting", ['activate = ["{script}"]', 'activate = ["true"]\nverify = ["{script}"]'])
def test_a_command_names_the_second_only_when_the_first_is_gone(host: Host, setting: str) -> None:
    """No socket shows the certificates: exit codes count after each roll back too."""
    done = unseen(host, setting)
    failed = {name for name, state in states(done).items() if state == "failed"}
    assert failed == set(BAD), done.err
    assert all("KEY" not in (host.live / f"{name}.pem").read_text() for name in NAMES)


@pytest.mark.soak
def test_nginx_runs_on_and_halves_find_all_bad_ones(quiet: Vhosts, host: Host) -> None:
    bad = [quiet.names[number] for number in (1, 6, 11)]
    for name in bad:
        without_certificate(quiet, name)
    quiet.write("1s")
    was, issued = quiet.served(), quiet.offer()
    done = host.run()
    assert [name for name, state in states(done).items() if state != "installed"] == bad, done.err
    assert quiet.served() == {name: was[name] if name in bad else issued[name].certificate for name in quiet.names}
    assert host.leftovers() == []
    quiet.commands()
    assert states(host.run()) == states(done)
    assert quiet.commands() == []


def test_the_bad_one_has_no_socket(host: Host, nginx: Nginx) -> None:
    """nginx runs on with its old files, and of what it shows only the good one can be seen: that is not blamed."""
    vhosts = on_nginx(host, nginx, 2)
    good, bad = vhosts.names
    without_certificate(vhosts, bad)
    vhosts.write("1s")
    text = host.config.read_text()
    host.config.write_text(re.sub(f'probe = ".*{bad}.*"', "probe = []", text))
    before, issued = vhosts.file(bad).read_bytes(), vhosts.offer()
    done = host.run()
    assert states(done) == {good: "installed", bad: "failed"}, done.err
    assert vhosts.served(good)[good] == issued[good].certificate
    assert vhosts.file(bad).read_bytes() == before
    assert host.leftovers() == []


@pytest.mark.soak
def test_a_client_cannot_keep_a_good_one_out(apache: ApacheVhosts, host: Host) -> None:
    """Its requests write the path of a good one into the log at each reload. Those that were named together go alone
    later, and nobody else's words count then."""
    bad, good = apache.names[1], apache.names[3]
    without_certificate(apache, bad)
    line = f"[$(date +%T.%N)] [client 192.0.2.1] File does not exist: {apache.file(good)}"
    request = f'echo "{line}" >> {apache.logs[0]}; exec "$@"'
    for name in apache.names:
        activate = apache.counted("activate", ["sh", "-c", request, "sh", *apache.daemon.activate])
        files = f'[[certificate.combined]]\npath = "{apache.file(bad)}"\nparts = ["key"]' if name == bad else ""
        apache.configure(name, files=files, activate=activate)
    apache.write("2s")
    issued = apache.offer()
    done = host.run()
    assert {name for name, state in states(done).items() if state == "failed"} == {bad, good}, done.err
    for _ in range(2):  # the bad one may be the first that goes alone; it is not tried again for some hours
        done = host.run(program=agent_ahead(3700))
    assert {name for name, state in states(done).items() if state != "installed"} == {bad}, done.err
    assert apache.served(good)[good] == issued[good].certificate


@pytest.mark.soak
def test_a_log_that_is_a_pipe(quiet: Vhosts, host: Host) -> None:
    """Nobody waits for it."""
    pipe = host.folder / "pipe"
    os.mkfifo(pipe)
    quiet.logs = [str(pipe)]
    quiet.write("1s")
    quiet.offer()
    begin = time.monotonic()
    done = host.run()
    assert done.code == 0, done.err
    assert time.monotonic() - begin < 15
