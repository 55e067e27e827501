"""A skip fails in CI, and nowhere else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SKIPPED = """
import pytest

pytestmark = pytest.mark.skipif({mark}, reason="there is no moon")

@pytest.fixture
def moon():
    pytest.skip("there is no moon")

def test_tide({fixture}):
    pass
"""


@pytest.mark.sampled
@pytest.mark.parametrize(("mark", "fixture"), [(True, ""), (False, "moon")], ids=["mark", "fixture"])
@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)], ids=["CI", "elsewhere"])
def test_a_skip_fails_in_ci(tmp_path: Path, mark: bool, fixture: str, ci: str, code: int) -> None:
    file = tmp_path / "test_tide.py"
    file.write_text(SKIPPED.format(mark=mark, fixture=fixture), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "tests.skips", "-p", "no:cacheprovider", str(file), "-rs", "-q"]
    done = subprocess.run(
        [*command, f"--rootdir={tmp_path}", "-c", os.devnull],
        env={**os.environ, "CI": ci, "CERTFLEET_DRILL": "", "PYTEST_ADDOPTS": ""},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "there is no moon" in done.stdout) == (code, True), done.stdout + done.stderr
