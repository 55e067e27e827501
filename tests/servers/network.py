"""A network of one's own: nothing but loopback, with any addresses on it, every port free, and no way out.

Who makes it is one *thread* of this process, as Linux has it: the servers and commands that this thread starts are in
it, and so are the threads that it starts; all others stay where they are.
"""

import ctypes
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.servers.process import ServerFailed, program

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET; Python has its own functions for this from 3.12 on
_LIBC = ctypes.CDLL(None, use_errno=True)
_MINE = Path("/proc/thread-self/ns/net")


class Network:
    """In use between `with` and its end. `addresses` are those beside 127.0.0.0/8 and ::1, or in it, that an interface
    must really have. Wants root."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = tuple(addresses)
        self._outside = -1

    def __enter__(self) -> Self:
        self._outside = os.open(_MINE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _call("unshare", _NEW_NETWORK)
            _ip("link", "set", "lo", "up")
            for address in self.addresses:
                _ip("address", "add", address, "dev", "lo", *(["nodad"] if ":" in address else []))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        _call("setns", self._outside, _NEW_NETWORK)
        os.close(self._outside)


def _call(name: str, *arguments: int) -> None:
    if getattr(_LIBC, name)(*arguments):
        why = os.strerror(ctypes.get_errno())
        raise ServerFailed(f"{name}: {why}: this machine lets root have no network of its own (CAP_SYS_ADMIN)")


def _ip(*words: str) -> None:
    subprocess.run([program("ip", "iproute2"), *words], check=True, timeout=20)
