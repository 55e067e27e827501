"""Ctrl-C and SIGTERM while Python still imports: the end with the usual code, and never a traceback."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.stopwatch import Stopwatch, wait_ended

ROOT = Path(__file__).parents[2]
LONGEST = 5.0  # seconds, as every command promises; a look at a silent service takes ten

# A console script as pip makes it, on a disk so slow that one module takes a minute and a half.
SCRIPT = """
import sys, time

class Slow:
    def find_spec(name, path=None, target=None):
        if name == {slow!r}:
            print("importing", flush=True)
            for _ in range(900):  # a signal just before a sleep does not end it
                time.sleep(0.1)

sys.meta_path.insert(0, Slow)
from {package}.__main__ import main
sys.exit(main())
"""
PLACES = [
    ("issuer", "issuer.cli"),
    ("issuer", "common.log"),
    ("issuer", "issuer.commands.issuing"),
    ("issuer", "sqlalchemy"),
    ("agent", "agent.cli"),
    ("agent", "agent.commands.run"),
    ("agent", "agent.journey.run"),
]


@pytest.fixture
def heard() -> Iterator[None]:
    """A child hears Ctrl-C, also where these tests run in the background of a script, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.sampled
@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(("package", "slow"), PLACES)
@pytest.mark.parametrize(
    ("number", "code", "says"), [(signal.SIGINT, 130, "interrupted\n"), (signal.SIGTERM, -signal.SIGTERM, "")]
)
def test_an_early_signal(package: str, slow: str, number: signal.Signals, code: int, says: str) -> None:
    """In the middle of any import it ends at once: 130 and one word for Ctrl-C, 143 to a shell for SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(package=package, slow=slow), "run"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "importing\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (code, says)


@pytest.mark.usefixtures("heard")
def test_an_early_signal_that_nobody_hears_of() -> None:
    """A full disk under standard error changes nothing about the code."""
    script = SCRIPT.format(package="agent", slow="agent.cli")
    with open("/dev/full", "wb") as full:
        process = subprocess.Popen(
            [sys.executable, "-c", script, "run"],
            stdout=subprocess.PIPE,
            stderr=full,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"importing\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def test_ignored_stays_ignored() -> None:
    """Under nohup or in the background of a script, where Ctrl-C is ignored, it is."""
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + SCRIPT.format(package="agent", slow="x")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            code.replace("sys.exit(main())", "main(); print(signal.getsignal(2) is signal.SIG_IGN)"),
            "presets",
        ],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.splitlines()[-1] == "True"


@pytest.mark.usefixtures("heard")
def test_a_look_at_a_silent_service() -> None:
    """`probe` waits ten seconds for what takes a connection and says nothing; Ctrl-C does not."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        process = subprocess.Popen(
            [sys.executable, "-m", "agent", "probe", f"tls://127.0.0.1:{silent.getsockname()[1]}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(1)  # its ClientHello has begun
            watch = Stopwatch(process.pid)
            process.send_signal(signal.SIGINT)
            assert wait_ended(process.pid, 60)
            assert watch.seconds() < LONGEST, "it waited for the silent service"
            _, err = process.communicate()
    assert (process.returncode, err) == (130, "interrupted\n")
