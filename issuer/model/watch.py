"""How people want a row to be watched, and what the last audit left in it. Pure."""

from common.dataclasses import dataclass
from issuer.model.audit import Kind

LONGEST_MUTE = 400 * 86400  # seconds: a year, and some. Another program may have written more


@dataclass(frozen=True, slots=True)
class Watch:
    """Beside a row. Moments are epoch seconds.

    Until *muted_until* nothing replaces its certificate because of a finding (*no_replacing*), or no mail tells of it
    (*no_mails*). *contact* and *renewal_note* are a person's words for those who have to act. *audit_at*: the moment of
    the next audit; None: at the next run. *found*: the kinds of finding of the last one. *served*: the kinds for which
    a new certificate was ordered already. It is not ordered again for these while they last."""

    muted_until: int = 0
    no_replacing: bool = False
    no_mails: bool = False
    contact: str = ""
    renewal_note: str = ""
    audit_at: int | None = None
    found: frozenset[str] = frozenset()
    served: frozenset[str] = frozenset()

    @property
    def revoked(self) -> bool:
        """Did the last audit find the present certificate revoked? A new one has not been audited: its moment is
        None."""
        return self.audit_at is not None and Kind.REVOKED.value in self.found

    def keeps(self, now: int) -> bool:
        """Is its certificate not to be replaced because of a finding?"""
        return self.no_replacing and self._muted(now)

    def silent(self, now: int) -> bool:
        """Does no mail tell of it?"""
        return self.no_mails and self._muted(now)

    def _muted(self, now: int) -> bool:
        return now < self.muted_until <= now + LONGEST_MUTE


def mute_words(*, replacing: bool, mails: bool) -> str:
    """The meaning of a mute, for people."""
    return " and ".join(["no finding replaces it"] * replacing + ["no mail tells of it"] * mails)


UNWATCHED = Watch()
REPLACING, MAILS = "replacing", "mails"  # what a row can be muted for
