"""Foreign text made safe. Pure.

Safe to show: no character steers a terminal (:func:`printable`), or looks like a line of ours (:func:`one_line`). Safe
to store: the same, within the length of a column, a mail or a syslog datagram (:func:`storable`).
"""

from collections.abc import Sequence


def printable(text: str) -> str:
    """*text* with everything escaped that could steer a terminal; line ends stay."""
    if text.isprintable():  # nearly always
        return text
    return "".join(one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode() for one in text)


def one_line(text: str) -> str:
    """The same with line ends escaped too."""
    return printable(text).replace("\n", "\\n")


def storable(text: str, longest: int) -> str:
    """One line of at most *longest* characters: white space is a single space, all else as in :func:`one_line`."""
    return one_line(" ".join(text.split()))[:longest]


def some(texts: Sequence[str], most: int = 3) -> str:
    """The first *most* of *texts*, and how many more there are: "a, b, c and 4 more"."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
