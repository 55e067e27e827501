"""The findings of `check` as a test looks at them."""

from typing import Any

from tests.issuer.box import Box


def findings(box: Box, *words: str) -> list[dict[str, Any]]:
    """The findings of `check --json`, whose exit code has to fit them."""
    outcome = box.run("check", "--json", *words)
    document = outcome.report()
    found: list[dict[str, Any]] = document["findings"]
    assert document["well"] is (outcome.code == 0) is not any(item["level"] == "bad" for item in found)
    return found


def told(found: list[dict[str, Any]], level: str, phrase: str) -> dict[str, Any]:
    """The one finding of that level that says that."""
    fitting = [item for item in found if item["level"] == level and phrase in f"{item['subject']}: {item['finding']}"]
    assert len(fitting) == 1, found
    return fitting[0]


def bad_ones(found: list[dict[str, Any]]) -> list[str]:
    return [item["finding"] for item in found if item["level"] == "bad"]
