"""Cleaning of the CA's strings: text becomes fit to show and store, URLs are checked. Pure."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urljoin, urlsplit

from common.text import one_line, storable
from issuer.model.acme import Problem
from issuer.model.errors import AcmeProblem

_LONGEST_TEXT = 1000
_LONGEST_URL = 2000
_LONGEST_LINKS = 8000
_MOST_LINKS = 10
_LONGEST_KIND = 50  # twice the longest registered type; it has to fit into a column
_PAGE = re.compile(r"https?://[^\s<>\"'()]{1,500}")
_TARGET = re.compile(r"<([^<>]*)>")
_PARAMETER = re.compile(
    r"""[ \t]{0,99} ; [ \t]{0,99} ([^\s=;,"<>]*)
        (?: [ \t]{0,99} = [ \t]{0,99} (?: "((?:[^"\\]|\\.)*)" | ([^\s;,"]*) ) )?""",
    re.VERBOSE,
)


def text(value: object) -> str:
    """One line that is safe to show and to store; "" unless *value* is a string."""
    return storable(value[:_LONGEST_TEXT], _LONGEST_TEXT) if isinstance(value, str) else ""


def problem(document: dict[str, Any]) -> Problem:
    """A problem document (RFC 7807, RFC 8555 §6.7). Its page is *instance* (§7.3.3), else the first URL in its text."""
    kind = re.sub(r"[^A-Za-z]", "", text(document.get("type")).rpartition(":")[2])[:_LONGEST_KIND]
    parts = [str(document.get("detail") or document.get("title") or kind or "no detail given")]
    subproblems = document.get("subproblems")
    items = [item for item in subproblems if isinstance(item, dict)] if isinstance(subproblems, list) else []
    parts += [f"{identifier(item)}: {item.get('detail', '')}" for item in items]
    detail = text("; ".join(parts))
    page = _PAGE.match(text(document.get("instance"))) or _PAGE.search(detail)
    names = tuple(filter(None, map(identifier, [document, *items])))
    return Problem(kind, detail, page.group().rstrip(".,;:") if page else "", names)


def identifier(document: dict[str, Any]) -> str:
    """The value of an object's identifier (RFC 8555 §7.1.4, §6.7.1); "" without one."""
    found = document.get("identifier")
    return text(found.get("value")).lower() if isinstance(found, dict) else ""


def url(value: object) -> str:
    """An absolute https:// URL (RFC 8555 §6.1); "" when it is missing. Raises AcmeProblem for anything else."""
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or not _usable(value):
        what = "the CA sends a URL that is malformed or not https://"
        hint = "check [acme] directory; a private CA behind a proxy has to hear from it that clients use https"
        raise AcmeProblem(what, why=one_line(str(value)[:100]), hint=hint)
    return value


def urls(value: object) -> tuple[str, ...]:
    """The URLs of a list; () unless *value* is one. Raises AcmeProblem for a malformed URL."""
    return tuple(found for item in value if (found := url(item))) if isinstance(value, list) else ()


def domains(value: object) -> tuple[str, ...]:
    """The names of a list in lower case and without the final dot, each once; () unless *value* is a list."""
    names = (text(item).lower().removesuffix(".") for item in value) if isinstance(value, list) else ()
    return tuple(dict.fromkeys(name for name in names if name))


def links(headers: Iterable[str], base: str = "") -> tuple[tuple[str, str], ...]:
    """(relation, URL) of each Link header in any form of RFC 8288 §3, relations in lower case. A relative address is
    one below *base*, the URL of the answer. Links without a usable https:// URL are left out."""
    text, position, found = ", ".join(headers)[:_LONGEST_LINKS], 0, list[tuple[str, str]]()
    while (target := _TARGET.search(text, position)) and len(found) < _MOST_LINKS:
        position, parameters = target.end(), dict[str, str]()
        while parameter := _PARAMETER.match(text, position):
            position, (name, quoted, plain) = parameter.end(), parameter.groups("")
            parameters.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) or plain)  # the first one counts
        address = absolute(base, target[1].strip())
        if "anchor" not in parameters and _usable(address):  # with an anchor it is about something else
            found += [(relation, address) for relation in parameters.get("rel", "").lower().split()]
    return tuple(found[:_MOST_LINKS])


def host(address: str) -> str:
    """Host and port as the URL *address* has them, in lower case; its begin where a CA made up one that has none."""
    try:
        return urlsplit(address).netloc.lower()
    except ValueError:
        return address[:100]


def absolute(base: str, address: str) -> str:
    """*address*, relative to *base* or not, as an absolute one (RFC 3986 §5); as it is where that cannot be."""
    try:
        return urljoin(base, address)
    except ValueError:
        return address


def _usable(value: str) -> bool:
    if len(value) > _LONGEST_URL or not value.isascii() or not value.isprintable() or " " in value:
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an absurd port, a bracket that never closes
        return False
