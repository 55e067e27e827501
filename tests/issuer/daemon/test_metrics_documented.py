"""docs/metrics.md, the alert rules and the dashboard beside what /metrics really shows."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from issuer.loops.health import Health
from issuer.loops.metrics import Metrics
from issuer.model.hosts import HostState
from issuer.model.survey import EXPIRY_DAYS, Survey
from tests.servers.process import program

ROOT = Path(__file__).parents[3]
RULES = ROOT / "deploy" / "prometheus" / "certfleet.rules.yml"
CASES = RULES.with_name("certfleet.rules.test.yml")
DASHBOARD = ROOT / "deploy" / "grafana" / "certfleet.json"
PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
_NAME = re.compile(r"certfleet_\w+")
Labelled = dict[str, frozenset[str]]


@pytest.fixture(scope="module")
def shown() -> Labelled:
    """Every sample of a daemon that has something to say of everything: its name, and its labels."""
    metrics = Metrics("1", Health(time.monotonic), time.time)
    metrics.failed("dns")
    metrics.survey = Survey(
        int(time.time()),
        1,
        1,
        1,
        1,
        1,
        (("a.test", 1),),
        dict.fromkeys((0, *EXPIRY_DAYS), 1),
        {"READY": 1},
        (("*", 1),),
    )
    metrics.propagation = lambda: {"ns1.test": 1.0}
    metrics.orders_left = {"https://ca/dir": 1}
    metrics.hosts = {HostState.SILENT: 1}
    families = text_string_to_metric_families(metrics.render("")[1].decode())
    return {one.name: frozenset(one.labels) for family in families for one in family.samples}


def test_the_page_has_every_number_and_no_other(shown: Labelled) -> None:
    """With its labels; a histogram by the name of its family."""
    told: Labelled = {}
    for cell in re.findall(r"^\| (`certfleet_.*?) \|", PAGE, re.MULTILINE):
        for name, labels in re.findall(r"`(certfleet_\w+)(?:\{([\w,]+)\})?`", cell):
            told[name] = frozenset(filter(None, labels.split(",")))
    real = {re.sub("_(bucket|sum|count)$", "", name): labels - {"le"} for name, labels in shown.items()}
    assert told == {name: labels for name, labels in real.items() if name.startswith("certfleet_")}


def test_the_alerts_fire_when_they_should() -> None:
    """By promtool, which finds a case for each alert that fires; the page lists them all."""
    command = [program("promtool", "prometheus"), "test", "rules", CASES.name]
    done = subprocess.run(command, cwd=CASES.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    alerts = set(re.findall(r"- alert: (\w+)", RULES.read_text(encoding="utf-8")))
    fired = re.findall(r"alertname: (\w+)\n\s+exp_alerts", CASES.read_text(encoding="utf-8"))
    assert alerts == set(fired) == set(re.findall(r"^\| `(Certfleet\w+)` \|", PAGE, re.MULTILINE))


def test_rules_and_dashboard_ask_for_numbers_that_are_there(shown: Labelled) -> None:
    """Each name is one that /metrics shows."""
    for file in (RULES, CASES, DASHBOARD):
        asked = set(_NAME.findall(file.read_text(encoding="utf-8")))
        assert asked <= set(shown), file.name


def test_the_dashboard_is_sound(tmp_path: Path) -> None:
    """Each expression is one that Prometheus takes; panels do not overlap, and their numbers differ."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    assert len(expressions) > 15
    rules = {"groups": [{"name": "dashboard", "rules": list(_recorded(expressions))}]}
    (tmp_path / "rules.yml").write_text(json.dumps(rules), encoding="utf-8")
    command = [program("promtool", "prometheus"), "check", "rules", str(tmp_path / "rules.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    cells = [cell for panel in panels for cell in _cells(panel["gridPos"])]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in panels}) == len(panels)


def _recorded(expressions: list[str]) -> Iterator[dict[str, str]]:
    for number, expression in enumerate(expressions):
        plain = expression.replace("$__rate_interval", "5m").replace("$instance", ".*")
        yield {"record": f"dashboard:{number}", "expr": plain}


def _cells(place: dict[str, Any]) -> list[tuple[int, int]]:
    columns, lines = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
    assert columns.stop <= 24
    return [(column, line) for column in columns for line in lines]
