"""`certfleet-issuer probe` beside what the table has: match, an earlier one, another name's row, nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.issuer.box import Box
from tests.servers.authority import Authority, Issued
from tests.servers.nginx import Nginx

NAME, OTHER = "www.example.test", "other.example.test"
AUTHORITY = Authority("CA").intermediate("Issuing")


def take_in(box: Box, name: str, issued: Issued) -> None:
    file = box.folder / "new.pem"
    file.write_bytes(issued.fullchain_pem)
    box.ok("import", name, "--crt", str(file), *(["--label"] if name == "label" else []))


def verdict(box: Box, nginx: Nginx, name: str) -> dict[str, Any]:
    (seen,) = box.run("probe", f"https://{name}?connect=127.0.0.1:{nginx.port}", "--json").report()["targets"]
    found = seen["database"]
    assert isinstance(found, dict)
    return found


def test_what_is_served_and_what_the_table_has(lone_box: Box, tmp_path: Path) -> None:
    """The row is found by its name, or among all rows by the names of its certificate; versions tell earlier ones."""
    begin = datetime.now(UTC) - timedelta(days=2)
    first = AUTHORITY.issue([NAME, OTHER], not_before=begin)
    second = AUTHORITY.issue([NAME])
    files = first.write(tmp_path / "tls")
    with Nginx(tmp_path / "nginx", files.fullchain, files.key, name=NAME) as nginx:
        assert verdict(lone_box, nginx, NAME)["verdict"] == "not verifiable"
        take_in(lone_box, NAME, first)
        assert verdict(lone_box, nginx, NAME) == {"verdict": "match", "why": "", "name": NAME}
        assert verdict(lone_box, nginx, OTHER)["name"] == NAME
        take_in(lone_box, NAME, second)
        earlier = verdict(lone_box, nginx, NAME)
        assert (earlier["verdict"], earlier["name"]) == ("mismatch", NAME)
        assert earlier["why"].startswith("it is an earlier one; the database has serial")
        assert verdict(lone_box, nginx, OTHER)["verdict"] == "not verifiable"
        take_in(lone_box, "label", first)
        assert verdict(lone_box, nginx, NAME) == {"verdict": "match", "why": "", "name": "label"}
