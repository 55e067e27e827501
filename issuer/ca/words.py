"""What a CA writes, before anything is made of it: text that can be shown and stored, URLs that can be asked. Pure."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from common.errors import one_line
from issuer.errors import AcmeProblem

_LONGEST_TEXT = 1000
_LONGEST_URL = 2000
_LONGEST_LINKS = 8000
_MOST_LINKS = 10
_LINK = re.compile(r'<([^<>]*)>\s*;\s*rel="?([^",;<]+)')


def text(value: object) -> str:
    """One printable line of bounded length, with "?" for what no terminal or database should see; "" for no text."""
    if not isinstance(value, str):
        return ""
    return "".join(one if one.isprintable() else "?" for one in value[:_LONGEST_TEXT])


def url(value: object) -> str:
    """An absolute https:// URL (RFC 8555 §6.1), "" for no text. Raises AcmeProblem for text that is no such URL."""
    if not isinstance(value, str) or not value:
        return ""
    if not _usable(value):
        what = "the CA gives an address that is not an https:// URL"
        raise AcmeProblem(what, why=one_line(value[:100]), hint="check [acme] directory")
    return value


def links(headers: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """(relation, URL) of Link headers (RFC 8288 §3); those that cannot be meant are left out."""
    found = _LINK.findall(", ".join(headers)[:_LONGEST_LINKS])
    return tuple((relation.strip(), target) for target, relation in found if _usable(target))[:_MOST_LINKS]


def _usable(value: str) -> bool:
    if len(value) > _LONGEST_URL or not value.isascii() or not value.isprintable() or " " in value:
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an absurd port, a bracket that never closes
        return False
