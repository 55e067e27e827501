"""docs/services.md and the presets say what the drill has seen, and nothing else."""

import json
import subprocess
from pathlib import Path

import pytest

from agent.settings.preset import Presets
from tests.drill import facts, page
from tests.drill.daemons import DAEMONS
from tests.drill.facts import FAULTS, WANTED, Facts, all_facts


def test_the_page_is_what_was_seen() -> None:
    """Nothing on it is written by hand."""
    assert page.PAGE.read_text(encoding="utf-8") == page.text(all_facts())


def test_every_service_has_been_through_every_fault() -> None:
    """Each daemon of the drill is on the page, with all faults."""
    assert {one.name: set(one.seen) for one in all_facts()} == {name: set(FAULTS) for name in DAEMONS}


def test_a_preset_is_proven_if_the_page_says_so() -> None:
    """`proven` is written by the same run, with the versions."""
    presets = Presets(Path("/nonexistent/agent.toml"))
    proven = {name: found.proven for name in presets.names if (found := presets.load(name)) and found.proven}
    assert proven == {one.preset: one.proven for one in all_facts() if not one.way}


def test_what_the_drill_needs_is_installed_first() -> None:
    """`.ci/packages` knows the package of each daemon; what `make test` has of the drill, it has for that."""
    text = (page.ROOT / ".ci" / "packages").read_text(encoding="utf-8")
    lists = text[text.index("\nlint=(") :].partition("\n\n")[0]
    for name, wanted in {"test": [one for one in DAEMONS.values() if one.short], "drill": DAEMONS.values()}.items():
        done = subprocess.run(
            ["bash", "-c", f'{lists}; printf "%s\n" "${{{name}[@]}}"'], capture_output=True, check=True
        )
        packages = {line.rpartition(":")[2] for line in done.stdout.decode().splitlines()}
        assert {one.package for one in wanted} <= packages


def test_facts_are_kept_where_a_run_wants_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make test` sees the same and writes nothing; a preset is proven when no fault is left."""
    monkeypatch.setattr(facts, "FOLDER", tmp_path)
    one = Facts("nginx", "nginx 1.22", "Debian 12")
    monkeypatch.delenv(WANTED, raising=False)
    one.saw("good", "0 of 10 handshakes fail")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv(WANTED, "1")
    for fault in FAULTS:
        assert one.proven == ""
        one.saw(fault, "seen")
    assert one.proven == "Debian 12, nginx 1.22: every fault of docs/services.md"
    assert json.loads(one.file.read_text(encoding="utf-8"))["seen"] == dict.fromkeys(FAULTS, "seen")
    assert "| `nginx` | Debian 12: nginx 1.22 | seen | seen |" in page.text(all_facts())


def test_proven_is_a_line_of_the_preset() -> None:
    """Put in, exchanged, taken out; all else stays."""
    bare = '# Data\nnote = "N"\nprograms = "n"\n'
    first = page.with_proven(bare, "A 1")
    assert first == '# Data\nnote = "N"\nproven = "A 1"\nprograms = "n"\n'
    assert page.with_proven(first, "A 2") == first.replace("A 1", "A 2")
    assert page.with_proven(first, "") == bare
