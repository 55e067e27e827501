"""The drill is honest: with a part of the journey taken out of a copy of this tree, it fails there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TREES = ("agent", "common", "deploy", "issuer", "migrations", "tests")

SWAP_BACK = (
    "agent/journey/roll_back.py",
    "one.turn.tools.files.restore(old_files(one.part.files, one.turn.tools))",
    "old_files(one.part.files, one.turn.tools)",
)
PROBE = (
    "agent/journey/watch.py",
    "self._sights[one], self.evidence[one] = sights, self._watched[one][1](sights)",
    "self._sights[one], self.evidence[one] = sights, Evidence(Proof.PROVEN)",
)
CHECK = (
    "agent/journey/install.py",
    "failures |= leave_out(service, [user for user in users if user.name not in failures], tools)",
    "failures |= {}",
)
GROUPING = (
    "agent/rules/groups.py",
    "joined = [group for group in found if group[0] & services]",
    "joined = found[:0]",
)
NOTICED = {
    "swap-back": (SWAP_BACK, "keeps"),
    "probe": (PROBE, "keeps"),
    "check": (CHECK, "refuses"),
    "grouping": (GROUPING, "together"),
}
"""The code that is taken out (file, text, another in its place), and the test that notices."""


def drilled(tree: Path, test: str) -> subprocess.CompletedProcess[str]:
    """The tests of the drill on nginx that *test* selects, in the copy."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "", "tests/drill/test_drill.py"]
    return subprocess.run(
        [*command, "-k", f"nginx and ({test})", f"--basetemp={tree.parent / 'tmp'}"],
        cwd=tree,
        env={**os.environ, "CERTFLEET_DRILL": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the code and its tests."""
    copy = tmp_path / "copy"
    for name in TREES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


@pytest.mark.drill
def test_a_copy_as_it_is_passes(tree: Path) -> None:
    """So what fails below fails by what was taken out."""
    done = drilled(tree, " or ".join({test for _, test in NOTICED.values()}))
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


@pytest.mark.drill
@pytest.mark.parametrize("part", NOTICED)
def test_without_it_the_drill_fails(tree: Path, part: str) -> None:
    """Each part of the journey is missed."""
    (name, text, other), test = NOTICED[part]
    file = tree / name
    was = file.read_text(encoding="utf-8")
    assert was.count(text) == 1
    file.write_text(was.replace(text, other), encoding="utf-8")
    done = drilled(tree, test)
    assert done.returncode == 1, done.stdout
    assert "1 failed" in done.stdout, done.stdout
