"""report --html: whole pages in a folder, with the truth of `status`, safe against names, links and other users."""

import os
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from issuer.rules.listing import PER_PAGE
from tests.issuer.box import Box
from tests.issuer.page.fleet import fill, name_of
from tests.servers.database import SqliteDatabase

_HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% raw %}",
    "</style></title><svg onload=alert(1)>",
    "javascript:alert(1)",
    "\u202egnp.exe\u2066\u200b",
    "\x1b[2J\x00line\nbreak",
]


class Seen(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def values(self, attribute: str) -> set[str]:
        return {attributes[attribute] for _, attributes in self.elements if attribute in attributes}

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def written(box: Box, folder: Path) -> dict[str, Seen]:
    box.ok("report", "--html", str(folder))
    return {file.name: Seen(file.read_text(encoding="utf-8")) for file in folder.iterdir()}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Box:
    """A fleet whose list has two pages."""
    folder = tmp_path_factory.mktemp("fleet")
    box = Box(folder / "box", SqliteDatabase(folder))
    box.set_up()
    fill(box, PER_PAGE + 20)
    return box


def test_the_page_says_what_status_says(fleet: Box, tmp_path: Path) -> None:
    """The same certificates, states and counts, because both show the same looks."""
    pages = written(fleet, tmp_path)
    facts = fleet.run("status", "--json").report()["certificates"]
    whole = pages["index.html"]
    bad = [fact["name"] for fact in facts if not fact["well"]]
    assert 2 < len(bad) < 20
    assert f"{len(bad)} of {len(facts)} certificates need attention" in whole.text
    listed = [
        words for name in ("certfleet-by-name-1.html", "certfleet-by-name-2.html") for words in [pages[name].text]
    ]
    for fact in facts:
        assert any(f"{fact['state']} {fact['name']}" in text for text in listed)
    rows = pages["certfleet-state-attention-1.html"].text
    assert all(name in rows for name in bad)
    assert "ns2.example.net does not show the answer: it is 14 minutes behind" in whole.text
    assert "nginx -t: no such file /etc/ssl/dhparam.pem" in whole.text
    assert "acme.zerossl.com/v2/DV90" in whole.text


@pytest.mark.soak
def test_every_link_leads_to_a_file(fleet: Box, tmp_path: Path) -> None:
    """Each page is reached from the overview, nothing is fetched from elsewhere, and no element has a style or script
    of its own."""
    pages = written(fleet, tmp_path)
    todo, reached = {"index.html"}, set[str]()
    while todo:
        name = todo.pop()
        reached.add(name)
        page = pages[name]
        links = {href.partition("#")[0] for href in page.values("href")} - {""}
        assert links <= set(pages)
        todo |= links - reached
        tags = {tag for tag, _ in page.elements}
        assert not tags & {"script", "link", "img", "iframe", "object", "form"}
        assert not page.values("style") | page.values("src")
        anchors = {href.partition("#")[2] for href in page.values("href") if href.startswith("#")}
        assert anchors <= page.values("id")
    assert reached == set(pages)


def test_hostile_names_and_comments_are_words(tmp_path: Path) -> None:
    """Markup, template language and characters that turn the text are shown, and never take effect."""
    box = Box(tmp_path / "box", SqliteDatabase(tmp_path))
    box.set_up()
    fill(box, 8, more=[{"comment": text, "directory": f"https://{text}/dir"} for text in _HOSTILE])
    for number, text in enumerate(_HOSTILE):
        change = {"name": f"{number}{text}".replace("\x00", ""), "old": name_of(number)}
        box.database.execute(
            "INSERT INTO events (at, name, event, detail) VALUES (1, {0}, {0}, {0})".format(_quoted(text))  # noqa: S608
        )
        box.database.execute(
            f"UPDATE certs SET name = {_quoted(change['name'])} WHERE name = {_quoted(change['old'])}"  # noqa: S608
        )
    pages = written(box, tmp_path / "html")
    tags = {tag for page in pages.values() for tag, _ in page.elements}
    assert not tags & {"script", "img", "form"}
    whole = pages["index.html"]
    for text in _HOSTILE[:4]:
        assert whole.text.count(text) >= 3, text
    assert "{{ 7 * 7 }}{% raw %}" in whole.text
    assert "\\u202egnp.exe" in whole.text
    for page in pages.values():
        assert not [one for one in page.text if not one.isprintable()]
        assert not [key for _, attributes in page.elements for key in attributes if key.startswith("on")]
        assert not [href for href in page.values("href") if ":" in href]


def _quoted(text: str) -> str:
    return "CAST(X'" + text.encode().hex() + "' AS TEXT)"


@pytest.mark.soak
def test_the_files_are_replaced_whole_and_old_ones_go(fleet: Box, tmp_path: Path) -> None:
    """Everybody may read them whatever the umask; what an earlier page left goes, and what is not ours stays."""
    folder = tmp_path / "html"
    folder.mkdir()
    for name in ("certfleet-by-name-99.html", "certfleet-notes.txt", "mine.html"):
        (folder / name).write_text("before")
    (folder / "index.html").symlink_to(tmp_path / "elsewhere.html")
    before = os.umask(0o077)
    try:
        pages = written(fleet, folder)
    finally:
        os.umask(before)
    assert not (tmp_path / "elsewhere.html").exists()
    assert "certfleet-by-name-99.html" not in pages
    assert (folder / "mine.html").read_text() == (folder / "certfleet-notes.txt").read_text() == "before"
    made = [file for file in folder.iterdir() if file.read_text() != "before"]
    assert {file.stat().st_mode & 0o7777 for file in made} == {0o644}
    assert not [file for file in made if file.is_symlink()]


def test_a_link_of_another_user_is_not_followed(lone_box: Box, tmp_path: Path) -> None:
    """Root does not write where somebody else makes a link lead."""
    (tmp_path / "target").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    if os.geteuid() == 0:
        os.lchown(link, 65534, 65534)
    else:
        tmp_path.chmod(0o777)
    lone_box.refused("report", "--html", str(link), code=1, says=["is a symbolic link that is not followed"])
    assert not list((tmp_path / "target").iterdir())


def test_an_empty_fleet_and_a_command_without_a_folder(lone_box: Box, tmp_path: Path) -> None:
    """The page says how to begin; without --html the command says what is missing."""
    pages = written(lone_box, tmp_path / "html")
    assert "Nothing is enrolled yet" in pages["index.html"].text
    lone_box.refused("report", code=2, says=["--html DIR"])
    lone_box.refused("report", "--html", str(tmp_path / "typo" / "html"), code=2, says=[f"no folder {tmp_path}/typo"])
    assert not (tmp_path / "typo").exists()


def test_no_secret_is_on_the_page(fleet: Box, tmp_path: Path) -> None:
    """No key, no password, no address of the database."""
    assert "not well" in fleet.ok("report", "--html", str(tmp_path)).out
    assert fleet.ok("report", "-q", "--html", str(tmp_path)).out == ""  # cron mails what is printed
    text = "".join(file.read_text() for file in tmp_path.iterdir())
    assert "PRIVATE KEY" not in text
    assert fleet.database.url not in text
    key = (fleet.state_dir / "seal.key").read_text().strip()
    assert key not in text
    assert not re.search(r"-----BEGIN", text)
    assert time.strftime("%Y-%m-%d", time.gmtime()) in text
