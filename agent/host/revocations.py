"""The Revocations of ``agent.journey.ports``: CAs are asked by this machine, for all certificates of one run."""

import time
from functools import partial

from agent.host.waits import Waits
from common.certificate import Bundle
from common.revocation import Kept, Limits, Revocation, Status, ask
from common.revocation.state import unknown

_SECONDS = 10.0  # that a run waits for CAs in vain, however many certificates it is about
_MORE = 2.0  # for a question to end by its own limit


class Revocations:
    """Each list is fetched once. *waits* end with a request to stop."""

    def __init__(self, waits: Waits) -> None:
        self._waits, self._kept, self._left = waits, Kept(), _SECONDS

    def of(self, bundle: Bundle, now: float) -> Revocation:
        """As in the ports. Raises Stopped."""
        if not bundle.chain:
            return unknown("", "the CA's own certificate does not come with it")
        if self._left <= 0:
            return unknown("", f"nobody is asked any more: {_SECONDS:g} s of this run went by without an answer")
        began = time.monotonic()
        question = partial(ask, bundle.leaf, bundle.chain[0], Limits(self._left), now, self._kept)
        try:
            found = self._waits.within(self._left + _MORE, question)
        except TimeoutError as error:
            found = unknown("", str(error))
        if found.status is Status.UNKNOWN:
            self._left -= time.monotonic() - began
        return found
