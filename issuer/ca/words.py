"""What a CA writes, before anything is made of it: text that can be shown and stored, URLs that can be asked. Pure."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from common.errors import one_line
from issuer.model.errors import AcmeProblem

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
    """An absolute https:// URL (RFC 8555 §6.1); "" when it is missing. Raises AcmeProblem for anything else."""
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or not _usable(value):
        what = "the CA gives an address that is not an https:// URL"
        raise AcmeProblem(what, why=one_line(str(value)[:100]), hint="check [acme] directory")
    return value


def urls(value: object) -> tuple[str, ...]:
    """Those of a list; none for what is no list. Raises AcmeProblem."""
    return tuple(found for item in value if (found := url(item))) if isinstance(value, list) else ()


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
