"""docs/services.md and the presets say what the drill has seen, and nothing else."""

import json
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from agent.settings.preset import Presets
from tests.drill import facts, page, test_drill, test_esxi, test_honest
from tests.drill.daemons import DAEMONS
from tests.drill.facts import FAULTS, WANTED, Facts, all_facts


def faults_of(tests: ModuleType) -> list[str]:
    """The faults that its tests are about, by their marks."""
    marks = [mark for name, one in vars(tests).items() if name.startswith("test_") for mark in one.pytestmark]
    rows = [row for mark in marks if mark.name == "parametrize" for row in mark.args[1]]
    marks += [mark for row in rows for mark in row.marks]
    return [mark.args[0] for mark in marks if mark.name == "fault"]


def test_the_page_is_what_was_seen() -> None:
    """Nothing on it is written by hand."""
    assert page.PAGE.read_text(encoding="utf-8") == page.text(all_facts())


def test_every_service_has_been_through_every_fault() -> None:
    """Each daemon of the drill is on the page, with all faults; the stand-in for ESXi with those that it has."""
    wanted = {name: set(FAULTS) for name in DAEMONS} | {"esxi_on_a_stand-in": set(faults_of(test_esxi))}
    assert {one.name: set(one.seen) for one in all_facts()} == wanted


def test_what_a_stand_in_shows_proves_no_preset() -> None:
    """The page says so, and `presets esxi` does."""
    assert "| `esxi` on a stand-in | not proven on ESXi itself: nginx " in page.PAGE.read_text(encoding="utf-8")
    preset = Presets(Path("/nonexistent/agent.toml")).load("esxi")
    assert preset is not None
    assert preset.proven == ""


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


def test_a_run_over_some_faults_keeps_what_it_does_not_look_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-k unit` leaves the other facts; one that it looks at and does not see any more is gone, as is one of another
    version, of another system, and of a fault that there is no more."""
    monkeypatch.setattr(facts, "FOLDER", tmp_path)
    monkeypatch.setenv(WANTED, "1")
    first = Facts("nginx", "nginx 1.22", "Debian 12", seen={"of yore": "seen"})
    for fault in ("unit", "keeps", "good"):
        first.saw(fault, "seen")
    again = Facts("nginx", "nginx 1.22", "Debian 12").with_kept()
    again.forget("keeps")
    again.forget("unit")
    again.saw("unit", "seen anew")
    (kept,) = all_facts()
    assert list(kept.seen.items()) == [("good", "seen"), ("unit", "seen anew")]
    for other in (Facts("nginx", "nginx 1.23", "Debian 12"), Facts("nginx", "nginx 1.22", "Debian 13")):
        assert other.with_kept().seen == {}
    assert Facts("nginx", "nginx 1.22", "Debian 12", way="in a jail").with_kept().seen == {}


def test_each_fault_has_its_test() -> None:
    """By its mark; a test without one would keep no fact."""
    assert sorted(faults_of(test_drill)) == sorted(FAULTS)


def test_what_the_honesty_gate_takes_out_is_in_the_code() -> None:
    """`make drill` alone would notice late that a line has changed."""
    for (name, text, _), _ in test_honest.NOTICED.values():
        assert (page.ROOT / name).read_text(encoding="utf-8").count(text) == 1, name


def test_proven_is_a_line_of_the_preset() -> None:
    """Put in, exchanged, taken out; all else stays."""
    bare = '# Data\nnote = "N"\nprograms = "n"\n'
    first = page.with_proven(bare, "A 1")
    assert first == '# Data\nnote = "N"\nproven = "A 1"\nprograms = "n"\n'
    assert page.with_proven(first, "A 2") == first.replace("A 1", "A 2")
    assert page.with_proven(first, "") == bare
