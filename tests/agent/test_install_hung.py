"""A service that takes connections and answers nothing, with several certificates: how long it stays so."""

import os
import signal
import time

import pytest

from tests.agent.host import AGENT, Host
from tests.agent.test_found_by_the_reload import states
from tests.agent.vhosts import Vhosts
from tests.servers.nginx import Nginx

LOOK = 2  # seconds
QUICK = f"""from agent.host import sockets
real = sockets.look
sockets.look = lambda target, address, name, _seconds, kind: real(target, address, name, {LOOK}, kind)
{AGENT}"""
# The first reload leaves a service that hangs. No other one wakes it.
RELOAD = """[ -e {hung} ] && exit 0
"$@" && sleep 0.5
pid=$(cat {nginx}/pid); echo $pid $(pgrep -P $pid) >{hung}
kill -STOP $(cat {hung})"""
RESTART = "kill -CONT $(cat {hung}); mv {hung} {hung}.was; kill -HUP $(cat {nginx}/pid)"


def test_it_is_restarted_with_its_old_files(host: Host, nginx: Nginx) -> None:
    """Nothing answers after the roll back, and a restart helps. Each round of looks takes as long for all certificates
    as for one."""
    vhosts, hung = Vhosts(host, nginx, 12), host.folder / "hung"
    vhosts.write()
    vhosts.offer()
    assert host.run().code == 0
    was, _ = vhosts.served(), vhosts.offer()
    reload, restart = (text.format(hung=hung, nginx=nginx.folder) for text in (RELOAD, RESTART))
    for name in vhosts.names:
        vhosts.configure(name, activate=["sh", "-c", reload, "sh", *nginx.activate])
    vhosts.write("1s")
    text = host.config.read_text()
    start = f"start = ['sh', '-c', '{restart}']"
    host.config.write_text(text.replace("[[certificate]]", f"[[certificate]]\n{start}"))
    done = host.run(program=QUICK)
    assert set(states(done).values()) == {"failed"}, done.err
    assert "rolled back, all is as it was" in done.err
    assert vhosts.served() == was
    assert time.time() - (hung.parent / "hung.was").stat().st_mtime < 12 * LOOK


@pytest.mark.soak
def test_the_others_of_one_that_is_left_hanging(host: Host, nginx: Nginx) -> None:
    """Nothing wakes it, so that no certificate of it is proven any more: the same run says so of those that were not
    due. Once somebody has woken it, the next run finds them as they were, and starts nothing."""
    vhosts, hung = Vhosts(host, nginx, 3), host.folder / "hung"
    vhosts.write()
    vhosts.offer()
    assert host.run().code == 0
    due, *others = vhosts.names
    reload = ["sh", "-c", RELOAD.format(hung=hung, nginx=nginx.folder), "sh", *nginx.activate]
    for name in vhosts.names:
        vhosts.configure(name, activate=reload)
    vhosts.write("1s")
    assert host.run().code == 0  # the settings are on record
    vhosts.offer(due)
    try:
        done = host.run(program=QUICK)
    finally:
        for process in hung.read_text().split():
            os.kill(int(process), signal.SIGCONT)
    assert states(done) == {due: "broken", **dict.fromkeys(others, "unproven")}, done.err
    assert done.err.count("no certificate is shown at") == len(others)
    vhosts.commands()
    found = states(host.run())
    assert {found[name] for name in others} == {"installed"}
    assert vhosts.commands() == []
