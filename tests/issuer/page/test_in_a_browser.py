"""The page in Chromium: readable by everybody (axe), narrow on a phone, and with its policy in force."""

import html
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from issuer.rules.listing import PER_PAGE
from tests.issuer.box import Box
from tests.issuer.page.fleet import fill
from tests.servers.chromium import address_of, load
from tests.servers.database import SqliteDatabase

_LOOK = """
for (const one of document.querySelectorAll("details")) one.open = true;
axe.run(document, {resultTypes: ["violations"]}).then(found => {
  const told = {
    rules: found.passes.length,
    faults: found.violations.map(one => [one.id, one.nodes.map(node => node.html)]),
    width: document.documentElement.scrollWidth - window.innerWidth,
    ground: getComputedStyle(document.body).backgroundColor,
  };
  const out = document.createElement("pre");
  out.id = "told";
  out.textContent = JSON.stringify(told);
  document.body.replaceChildren(out);
});
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a fleet in which everything can be seen."""
    folder = tmp_path_factory.mktemp("pages")
    box = Box(folder / "box", SqliteDatabase(folder))
    box.set_up()
    fill(box, PER_PAGE + 10, more=[{"comment": "x" * 190}, {"comment": "<b>bold</b>"}])
    box.ok("report", "--html", str(folder / "html"))
    return folder / "html"


def looked_at(page: Path, folder: Path, *, width: int, dark: bool) -> dict[str, Any]:
    """axe's word on *page*, whose policy is left out because it would keep axe out too."""
    axe = (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
    text, count = re.subn('<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    assert count == 1
    copy = folder / "copy.html"
    scripts = f"<script>{axe}</script><script>{_LOOK}</script></body>"
    copy.write_text(text.replace("</body>", scripts), encoding="utf-8")
    document = load(address_of(copy), width=width, dark=dark).document
    told = re.search('<pre id="told">(.*)</pre>', document, re.DOTALL)
    assert told, document[-2000:]
    return dict(json.loads(html.unescape(told[1])))


@pytest.mark.soak
@pytest.mark.parametrize(
    ("name", "width", "dark"),
    [("index.html", 1280, False), ("index.html", 500, True), ("certfleet-by-name-2.html", 500, False)],
)
def test_axe_finds_nothing(pages: Path, tmp_path: Path, name: str, width: int, dark: bool) -> None:
    """Structure, names, contrast of both schemes; and nothing is wider than the window."""
    told = looked_at(pages / name, tmp_path, width=width, dark=dark)
    assert told["rules"] > 20
    assert told["faults"] == []
    assert told["width"] <= 0
    assert told["ground"] == ("rgb(15, 20, 26)" if dark else "rgb(246, 247, 249)")


@pytest.mark.soak
def test_the_policy_is_in_force(pages: Path, tmp_path: Path) -> None:
    """A script that somebody got into the page does not run, nor a style, nor is anything fetched; the page's own style
    is taken."""
    planted = '<script>document.title="taken"</script><p style="color:red">x</p><img src="file:///etc/hostname"></body>'
    page = tmp_path / "page.html"
    page.write_text((pages / "index.html").read_text(encoding="utf-8").replace("</body>", planted), encoding="utf-8")
    seen = load(address_of(page))
    assert "<title>taken" not in seen.document
    refused = re.findall(r"violates the following Content Security Policy directive", seen.console)
    assert len(refused) == 3, seen.console
    clean = load(address_of(pages / "index.html"))
    assert "Content Security Policy" not in clean.console
