"""Saved moments, and whether they can be meant. Pure; times are epoch seconds.

A clock that was years ahead once, here or at another issuer, leaves moments that would stop renewals for years. Each
kind of moment is saved for a known time ahead, so a moment beyond that time is ignored.
"""

CLOCKS_APART = 600  # seconds that two good clocks may differ by


def believable(moment: int | None, now: float, longest: float) -> bool:
    """Is *moment* still to come, and not further ahead than *longest* seconds, the most that it is ever saved for?
    :func:`issuer.store.cells.believable` is the same as a condition of SQL."""
    return moment is not None and now < moment <= now + longest + CLOCKS_APART
