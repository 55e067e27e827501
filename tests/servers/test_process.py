"""A process is started, watched and ended, and its port is its own."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.forks import forks
from tests.servers.ports import free_port, release_port
from tests.servers.process import MissingProgram, Process, ServerFailed, accepts_tcp, program, wait_until
from tests.servers.server import Server
from tests.servers.stopwatch import wait_ended

ROOT = Path(__file__).parents[2]


def test_a_port_is_never_given_out_twice() -> None:
    """Another process is not offered a port this one holds, and may have it once it is released."""
    port = free_port()
    script = f"from tests.servers.ports import _promise; print(_promise({port}))"

    def offered_elsewhere() -> str:
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert offered_elsewhere() == "False"
    release_port(port)
    assert offered_elsewhere() == "True"


def test_a_missing_program_is_named_with_its_package() -> None:
    """Who lacks a server is told what to install."""
    with pytest.raises(MissingProgram, match="install the Debian package bind9-nowhere"):
        program("named-nowhere", "bind9-nowhere")


def test_a_server_that_ends_shows_its_log(tmp_path: Path) -> None:
    """A server that dies while it is waited for fails at once, with what it said last."""
    process = Process(["/bin/sh", "-c", "echo the reason why; exit 3"], tmp_path / "log")
    process.start()
    with pytest.raises(ServerFailed, match="the reason why"):
        process.wait_tcp("127.0.0.1", 1)


class Moody(Server):
    """Ends after a while, and answers the first questions with errors of its own kind."""

    def __init__(self, folder: Path, errors: int) -> None:
        super().__init__(folder)
        self.errors = errors

    def _command(self) -> list[str]:
        return ["/bin/sleep", "600" if self.errors < 5 else "0.2"]

    def _ready(self) -> bool:
        self.errors -= 1
        if self.errors >= 0:
            raise LookupError("lost connection during query")
        return True


def test_a_server_that_starts_may_answer_with_errors(tmp_path: Path) -> None:
    """An error means that it is not ready yet; what went wrong last is told when it never is."""
    with Moody(tmp_path / "first", 3) as server:
        assert server.alive()
    with pytest.raises(ServerFailed, match="ended by itself") as caught, Moody(tmp_path / "second", sys.maxsize):
        pass
    assert "lost connection during query" in caught.value.__notes__[0]


def test_a_server_that_ends_is_reaped_at_once(tmp_path: Path) -> None:
    """Nobody has to look: a dead server takes no signals, and what it had started is gone."""
    process = Process(["/bin/sh", "-c", "sleep 600 & echo $! && exec sleep 0.01"], tmp_path / "log")
    process.start()
    pid = process.pid
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the process is reaped")
    worker = int((tmp_path / "log").read_text(encoding="ascii"))
    wait_until(lambda: not command_line(worker), "its worker is ended")
    process.stop()


def command_line(pid: int) -> bytes:
    """What a process runs; nothing when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def test_a_server_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Killing the tests leaves nothing running."""
    port = free_port()
    script = (
        "import os, signal; from pathlib import Path; from tests.servers.bind import Bind;"
        f"Bind(Path({str(tmp_path)!r}), port={port}).start();"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: not accepts_tcp("127.0.0.1", port), "named has ended")
    release_port(port)


def test_a_forked_program_is_as_one_of_its_own_interpreter(tmp_path: Path) -> None:
    """Its words, folder, environment, exit code and output are its own, the modules are there, and a second program
    finds nothing of the first."""
    program = """
import os, sys
assert "agent.cli" in sys.modules and not hasattr(sys, "first")
sys.first = os.environ["FIRST"] = "here"
print(sys.argv[1:], os.getcwd() == os.environ["OWN"], sorted(os.environ))
sys.exit("the end")
"""
    for _ in range(2):
        ended = forks("agent").run(program, ["a", "b"], folder=tmp_path, environment={"OWN": str(tmp_path)})
        assert (ended.code, ended.err) == (1, "the end\n")
        assert ended.out == "['a', 'b'] True ['FIRST', 'OWN']\n"


def test_a_forked_program_is_killed_with_those_who_wait_for_it(tmp_path: Path) -> None:
    """Its end by a signal is told; and it does not outlive the wait for it."""
    killed = forks("agent").run("import os; os.kill(os.getpid(), 9)", [], folder=tmp_path, environment={})
    assert killed.code == -signal.SIGKILL
    program = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
    seconds, pid = 0.5, ""
    while not pid:
        seconds *= 2
        with pytest.raises(subprocess.TimeoutExpired):
            forks("agent").run(program, [], folder=tmp_path, environment={}, seconds=seconds)
        pid = (tmp_path / "pid").read_text() if (tmp_path / "pid").exists() else ""
    wait_until(lambda: not Path("/proc", pid).exists(), "the program is gone")


def test_a_forked_program_is_driven_as_a_child_is(tmp_path: Path) -> None:
    """It is read while it runs, a signal reaches it, and it is listed until somebody has waited for it."""
    program = "import signal; print('here', flush=True); signal.pause()"

    def gone() -> bool:
        return not Path("/proc", str(started.pid)).exists()

    with forks("agent").start(program, [], folder=tmp_path, environment={}) as started:
        assert started.stdout.readline() == "here\n"
        with pytest.raises(subprocess.TimeoutExpired):
            started.wait(0.01)
        assert started.poll() is None
        started.send_signal(signal.SIGTERM)
        assert wait_ended(started.pid, 60)
        with pytest.raises(ServerFailed, match="not within"):
            wait_until(gone, "it is not listed", seconds=0.3)
        assert started.communicate(60) == ("", "")
        assert started.returncode == -signal.SIGTERM
    wait_until(gone, "it is not listed")
