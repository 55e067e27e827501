"""Are the certificates of rows revoked? Those who issued them are asked, side by side, within a time for all."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import wait

from common.errors import Finding
from common.revocation import Kept, Limits, Revocation, ask
from common.terminal import PROGRESS
from common.threads import each_on_thread
from issuer.model.enrolment import Enrolment
from issuer.model.leaf import Damaged

_AT_ONCE = 16  # certificates
_TELL = 1.0  # seconds after which it is told how far that is
_ONE = 10.0  # seconds for one certificate
_NO_TIME = Revocation(problems=(Finding("", "there was no time to ask"),))
_NOT_OURS = Revocation(problems=(Finding("", "it is not what was enrolled and signed, so nobody is asked"),))
_NO_ISSUER = Revocation(problems=(Finding("", "its chain does not have the certificate of its issuer"),))


class Revocations:
    """One look at many certificates: what they have in common, as a list, is fetched once. *seconds*: for all of them
    together; what could not be asked then is unknown. *is_proven*: is the certificate of a row one that we signed? Only
    then are the servers that it names those of its CA: whoever writes the database sends nobody to a server."""

    def __init__(self, seconds: float, is_proven: Callable[[Enrolment], bool]):
        self._left = seconds
        self._is_proven = is_proven
        self._kept = Kept()

    def of(self, rows: Sequence[Enrolment], now: int) -> list[Revocation]:
        """The revocation of the present certificate of each row at *now* (epoch seconds). Never raises."""
        began = time.monotonic()
        ends = began + self._left
        asked = each_on_thread(lambda row: self._ask(row, now, ends - time.monotonic()), rows, _AT_ONCE)
        while (left := ends - time.monotonic()) > 0:  # a resolver may hold up a thread for longer
            done, others = wait(asked, min(left, _TELL))
            if not others:
                break
            PROGRESS.tell(f"{len(done)} of {len(rows)} certificates asked about, whether they are revoked")
        self._left -= time.monotonic() - began
        return [one.result() if one.done() else _NO_TIME for one in asked]

    def _ask(self, row: Enrolment, now: int, left: float) -> Revocation:
        if left <= 0:
            return _NO_TIME
        bundle = row.bundle
        if isinstance(bundle, Damaged):
            return Revocation()
        if not self._is_proven(row):
            return _NOT_OURS
        if not bundle.chain:
            return _NO_ISSUER
        return ask(bundle.leaf, bundle.chain[0], Limits(min(_ONE, left)), now, self._kept)


def nobody_asked(rows: Sequence[Enrolment], _now: int) -> list[Revocation]:
    """The answers where nobody is to be asked: as of :meth:`Revocations.of`."""
    return [Revocation()] * len(rows)
