"""From the values of the page to HTML. Only this module knows jinja2.

Every value is escaped, and everything in it that could steer a reader's eye or screen is shown as an escape sequence:
names, comments and sentences come from a database that others may write. No element has a style or a script of its own:
the policy in the page allows one style sheet, by its digest, and nothing else.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from common.clock import duration_text, utc_text
from common.text import one_line
from issuer.model.page import Choice, Entry, Overview
from issuer.rules.listing import listing, page
from issuer.rules.page import left, states

_FOLDER = Path(__file__).parent
_CSS = (_FOLDER / "page.css").read_text(encoding="utf-8")
_DIGEST = base64.b64encode(hashlib.sha256(_CSS.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'self'"
_COMMAND = re.compile("`([^`]+)`")
HEADERS = {
    "Content-Security-Policy": f"{_POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""For the page over HTTP; a file has the policy in a meta element."""


class Links(Protocol):
    """Where the parts of the list are."""

    searches: bool  # is there somebody who answers a search?

    def href(self, choice: Choice) -> str | None:
        """The address of that part; None where there is none."""


class Renderer:
    """Makes pages of one overview. The rows of the list are made once, however many pages show them."""

    def __init__(self, overview: Overview, links: Links):
        self._environment = _environment()
        self.overview = overview
        self._links = links
        self._row = self._environment.get_template("row.html").module.row  # type: ignore[attr-defined]
        self._rows: dict[str, Markup] = {}
        self._common: Mapping[str, Any] = {
            "overview": overview,
            "states": states(overview.entries),
            "bad": sum(not entry.well for entry in overview.entries),
            "css": Markup(_CSS),  # noqa: S704 - ours
            "policy": _POLICY,
            "searches": links.searches,
        }

    def page(self, choice: Choice, found: Sequence[Entry], note: str = "") -> bytes:
        """The page of *choice*, whose certificates are *found*: all of them, in their order. *note*: about its age."""
        template = self._environment.get_template("page.html")
        shown = page(found, choice.page)
        view = listing(self.overview, choice, found, self._common["states"], self._links.href)
        rows = [self._rendered(entry) for entry in shown]
        return template.render(self._common, choice=choice, view=view, rows=rows, note=note).encode()

    def _rendered(self, entry: Entry) -> Markup:
        made = self._rows.get(entry.name)
        if made is None:
            made = self._rows[entry.name] = Markup(self._row(entry, self.overview.at))  # noqa: S704 - escaped by row
        return made


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"duration": duration_text, "moment": _moment, "day": _day, "number": _number, "utc": utc_text}
    made.filters["code"] = _code
    made.globals["left"] = left
    return made


def _shown(value: Any) -> Any:
    """Nothing that is shown has a character that nobody sees, or that turns the direction of the text."""
    return one_line(value) if type(value) is str else value


def _code(sentence: str) -> Markup:
    """A sentence whose commands stand between backticks."""
    return Markup(_COMMAND.sub(r"<code>\1</code>", str(escape(one_line(sentence)))))  # noqa: S704 - escaped before


def _moment(epoch: int) -> str:
    """2026-11-21 03:14, in UTC."""
    return utc_text(epoch)[:16].replace("T", " ")


def _day(epoch: int) -> str:
    return utc_text(epoch)[:10]


def _number(count: int) -> str:
    return f"{count:,}"
