"""A new certificate, with what its row keeps of how it was obtained. Frozen and pure."""

from dataclasses import dataclass

from common.certificate import Bundle


@dataclass(frozen=True, slots=True)
class Obtained:
    """Moments are epoch seconds.

    *csr*: the one that was certified, in PEM. *directory*: of the CA. *due_at*: the next moment of the row. *ask_at*:
    when the CA is asked for renewal information; None: it offers none. *account*: the one at the CA. *profile*: what
    was asked for there. *early*: was it ordered long before its moment, because of a window of the CA?
    """

    csr: bytes
    bundle: Bundle
    directory: str
    due_at: int
    ask_at: int | None
    account: str = ""
    profile: str = ""
    early: bool = False
