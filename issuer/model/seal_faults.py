"""The ways in which a row and its seal do not belong together."""

from enum import Enum


class Fault(Enum):
    """The value is the sentence about it."""

    NONE = "it has no seal: another program wrote its row"
    OTHER_SEAL_KEY = "its seal was made with another seal key"
    FORGED = "its seal was not made by an issuer"
    OTHER_KIND = "its seal is that of something else than a row, or a newer certfleet made it"
    OTHER_ROW = "its seal is that of another row"
    OLD = "its seal is older than the last one: somebody put an earlier row back"
    KEY = "the CSR in its row has another key than the one that was enrolled"
    NAMES = "the CSR in its row has other names than those that were enrolled"
    VALIDATION = "its row wants its names validated in another way than was enrolled"
    COMPROMISED = "its key was revoked as compromised, and somebody took that out of the table"
    TAKEOVER = "its row wants its bought certificate taken over at another moment than was enrolled"
    IMPORTED = "its row differs from what was enrolled in whether it is imported"


OF_THE_CSR = frozenset({Fault.KEY, Fault.NAMES, Fault.COMPROMISED})  # another CSR mends these
