"""A small process that runs commands one after another and says what they cost. Spoken to in lines of JSON.

It is a process of its own, because the kernel counts a parent's memory as its child's until the child has become
another program: seen from a large Python every small program would look large. Hence nothing but small imports here.
Run by its path with `python -I -S`, never imported by the benchmark.
"""

import json
import os
import resource
import signal
import sys
import time

GRACE = 10.0  # seconds between the request to end and the end


def main() -> None:
    """One request a line: commands, environment, log, seconds a command may take. One answer a line."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for line in sys.stdin:
        request = json.loads(line)
        sys.stdout.write(json.dumps(_timed(request)) + "\n")
        sys.stdout.flush()


def _timed(request: dict[str, object]) -> dict[str, object]:
    commands, environment = request["commands"], request["environment"]
    assert isinstance(commands, list)
    assert isinstance(environment, dict)
    log = os.open(str(request["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    onto = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
    codes, cpu, largest = [], 0.0, 0
    began = time.monotonic()
    for command in commands:
        child = os.posix_spawnp(command[0], command, environment, file_actions=onto, setsid=True)
        status, usage = _wait(child, float(str(request["limit"])))
        codes.append(os.waitstatus_to_exitcode(status))
        cpu += usage.ru_utime + usage.ru_stime
        largest = max(largest, usage.ru_maxrss)
    wall = time.monotonic() - began
    os.close(log)
    os.close(null)
    return {"wall": wall, "cpu": cpu, "kilobytes": largest, "codes": codes}


def _wait(child: int, limit: float) -> tuple[int, resource.struct_rusage]:
    """The end of a child with all its children; a child that takes longer than *limit* is ended with its session."""

    def end(*_: object) -> None:
        os.killpg(child, signal.SIGTERM)
        signal.signal(signal.SIGALRM, lambda *_: os.killpg(child, signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, GRACE)

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        _, status, usage = os.wait4(child, 0)
    except SystemExit:
        os.killpg(child, signal.SIGKILL)
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return status, usage


if __name__ == "__main__":
    main()
