"""A slow road for NOTIFY messages: takes them from a primary at once, hands them to a secondary later.

A secondary copies a zone when it is told that the zone has changed (RFC 1996). Holding that message back for some
seconds is how a secondary is made to lag by just as long, while it goes on answering with what it has.
"""

import math
import socket
import struct
import threading
import time
from multiprocessing.connection import wait  # by poll: select() ends at descriptor 1024
from typing import Self

from tests.servers.ports import LOOPBACK

QR_BIT = 0x80
MESSAGE_LIMIT = 65535
_FLAGS = 2


class NotifyRelay:
    """Receives on a port of its own and sends on to `target` after `seconds`; with infinity, never."""

    def __init__(self, port: int, target: tuple[str, int], seconds: float) -> None:
        self.port = port
        self._target = target
        self._seconds = seconds
        self._held: list[tuple[float, bytes]] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._wake, self._woken = socket.socketpair()
        self._socket.bind((LOOPBACK, port))
        self._thread = threading.Thread(target=self._run, name=f"notify-relay-{port}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop and forget what is still held."""
        self._wake.close()
        self._thread.join()
        self._woken.close()
        self._socket.close()

    def _run(self) -> None:
        while True:
            readable = wait([self._socket, self._woken], self._pause())
            if self._woken in readable:
                return
            if self._socket in readable:
                self._receive()
            self._hand_on()

    def _pause(self) -> float | None:
        if not self._held or math.isinf(self._held[0][0]):
            return None
        return max(0.0, self._held[0][0] - time.monotonic())

    def _receive(self) -> None:
        message, sender = self._socket.recvfrom(MESSAGE_LIMIT)
        if len(message) <= _FLAGS or message[_FLAGS] & QR_BIT:
            return  # the secondary's answer to a message sent on earlier
        # Answered at once, or the primary would send it again and again.
        self._socket.sendto(message[:_FLAGS] + struct.pack("B", message[_FLAGS] | QR_BIT) + message[3:], sender)
        self._held.append((time.monotonic() + self._seconds, message))

    def _hand_on(self) -> None:
        while self._held and self._held[0][0] <= time.monotonic():
            self._socket.sendto(self._held.pop(0)[1], self._target)
