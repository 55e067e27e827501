"""Ports nobody else uses: unused now, and promised to no other process of any test run on this machine.

A port is promised by binding a Unix socket whose name is the port's number in Linux's abstract namespace: two
processes cannot hold the same name, no file is made, and the kernel takes the promise back when its holder dies.
"""

import atexit
import random
import socket
from contextlib import ExitStack

LOOPBACK = "127.0.0.1"
# Below the range from which the kernel takes the near ends of outgoing connections.
LOWEST, HIGHEST = 20000, 32000
ATTEMPTS = 500

_promises: dict[int, socket.socket] = {}


def free_port() -> int:
    """A port free for TCP and UDP on 127.0.0.1, promised to this process until `release_port` or its end."""
    for _ in range(ATTEMPTS):
        port = random.randint(LOWEST, HIGHEST)
        if _promise(port):
            if _unused(port):
                return port
            release_port(port)
    raise RuntimeError(f"no free port between {LOWEST} and {HIGHEST} after {ATTEMPTS} attempts")


def release_port(port: int) -> None:
    """Let others have the port. Does nothing when it is not promised to this process."""
    promise = _promises.pop(port, None)
    if promise is not None:
        promise.close()


def _promise(port: int) -> bool:
    promise = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        promise.bind(f"\0certfleet-tests-port-{port}")
    except OSError:
        promise.close()
        return False
    _promises[port] = promise
    return True


def _unused(port: int) -> bool:
    with ExitStack() as sockets:
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                sockets.enter_context(socket.socket(socket.AF_INET, kind)).bind((LOOPBACK, port))
        except OSError:
            return False
    return True


@atexit.register
def _release_all() -> None:
    for port in list(_promises):
        release_port(port)
