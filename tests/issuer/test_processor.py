"""All threads of a run share one of the processors that it may use: Python lets one of them act at a time."""

import os
from pathlib import Path

from tests.issuer.box import Box
from tests.issuer.stopping import SilentCa, stopped
from tests.servers.ca_proxy import CaProxy


def test_threads_of_a_run_stay_on_one_processor(proxied: Box, proxy: CaProxy) -> None:
    """While four of them sit with a CA that is silent, each has the same single processor of ours."""
    proxied.write(acme={"workers": 4})
    for number in range(4):
        proxied.enrol(f"w{number}.example.test")
    with SilentCa(proxy, "/authZ/") as ca:
        process = proxied.start("run")
        ca.wait_silent(sitting=4)
        tasks = {int(task.name) for task in Path(f"/proc/{process.pid}/task").iterdir()}
        threads = tasks - {process.pid}  # the main thread only waits for them
        places = {frozenset(os.sched_getaffinity(thread)) for thread in threads}
        stopped(process)
    assert len(threads) >= 4
    [place] = places
    assert len(place) == 1
    assert place <= os.sched_getaffinity(0)
