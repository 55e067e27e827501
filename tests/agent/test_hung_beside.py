"""A service that answers nobody, with many certificates, beside one that is well: how long each command looks at it."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.agent.host import NAME, ROOT, Done, Host
from tests.agent.test_found_by_the_reload import states
from tests.agent.test_install_hung import LOOK, QUICK
from tests.agent.vhosts import Vhosts
from tests.servers.nginx import Nginx
from tests.servers.ports import LOOPBACK

COUNT = 40
HUNG, FILTERED = 512, 0  # calls that wait to be taken; without room for one the kernel drops it, as a firewall does


@contextmanager
def silent(port: int, room: int) -> Iterator[None]:
    """Somebody who takes no call."""
    with ExitStack() as calls, socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((LOOPBACK, port))
        listening.listen(room)
        if not room:
            calls.enter_context(socket.create_connection((LOOPBACK, port)))
        yield


def soon(host: Host, *words: str) -> Done:
    """The end of a command, which comes after a few looks, and not after one look for each certificate."""
    began = time.monotonic()
    done = host.agent(*words, program=QUICK)
    assert time.monotonic() - began < 4 * LOOK
    return done


@pytest.mark.sampled
@pytest.mark.parametrize("silence", [(HUNG, "no certificate is shown at"), (FILTERED, "nothing answers at")])
def test_it_holds_up_no_other(host: Host, nginx: Nginx, tmp_path: Path, silence: tuple[int, str]) -> None:
    """Neither a run without news, nor one in which all rows have changed, nor `check` and a dry run."""
    room, says = silence
    well = host.config.read_text().partition("[[certificate]]")[2]
    host.offer_new()
    with Nginx(tmp_path / "hangs", host.fullchain, host.key) as other:
        vhosts = Vhosts(host, other, COUNT)
        vhosts.write()
        host.config.write_text(f"{host.config.read_text()}[[certificate]]{well}")
        issued = vhosts.offer()
        assert host.run().code == 0
        other.stop()
        with silent(other.port, room):
            for news in (False, True):
                if news:
                    for name, one in issued.items():
                        host.offer(one.cert_pem, one.chain_pem, name=name)
                for words in (["run", "--json", "--dry-run"], ["run", "--json"]):
                    found = {one["name"]: one for one in soon(host, *words).json["certificates"]}
                    assert found.pop(NAME)["state"] == "installed"
                    assert [one["state"] for one in found.values()] == ["unproven"] * COUNT
                    assert all(says in one["detail"] for one in found.values())
            findings = soon(host, "check", "--json").json["findings"]
    told = {one["subject"]: one["finding"] for one in findings if one["finding"].startswith("its sockets show")}
    assert list(told) == [NAME]
    assert sum(says in one["finding"] for one in findings) == COUNT


# In place of the first reload it ends, and nobody takes a call at its port.
ENDS = """[ -e {pid} ] && exit 0
kill $(cat {nginx}/pid); sleep 0.5; cd {root}
setsid {python} -c "from tests.agent.test_hung_beside import *
with silent({port}, 0): time.sleep(90)" </dev/null >/dev/null 2>&1 & echo $! >{pid}; sleep 3"""


@pytest.mark.soak
def test_one_that_an_install_took_down(host: Host, nginx: Nginx) -> None:
    """One of its certificates was due: the run tells of the others after one more look at all."""
    vhosts, pid = Vhosts(host, nginx, COUNT), host.folder / "silent.pid"
    ends = ENDS.format(pid=pid, nginx=nginx.folder, root=ROOT, python=sys.executable, port=nginx.port)
    vhosts.write()
    vhosts.offer()
    assert host.run().code == 0
    due, *others = vhosts.names
    for name in vhosts.names:
        vhosts.configure(name, activate=["sh", "-c", ends])
    vhosts.write("1s")
    assert host.run().code == 0  # the settings are on record
    vhosts.offer(due)
    try:
        done = host.run(program=QUICK)
        assert time.time() - pid.stat().st_mtime < 15 * LOOK
    finally:
        os.kill(int(pid.read_text()), signal.SIGTERM)
    assert states(done) == {due: "broken", **dict.fromkeys(others, "unproven")}, done.err
    assert "went down with an install of this run" in done.json["certificates"][1]["detail"]
