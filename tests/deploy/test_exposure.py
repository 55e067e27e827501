"""How exposed each unit is by systemd's own reckoning, from 0 to 10, and what no unit may do to its machine."""

import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"


@pytest.mark.parametrize(
    ("unit", "tenths"), [("certfleet-issuer", 15), ("certfleet-issuer-daemon", 15), ("certfleet-agent", 27)]
)
def test_exposure(unit: str, tenths: int) -> None:
    """1.5 at most; of the agent what docs/trust.md says: no opening comes in unseen."""
    file = UNITS / f"{unit}.service"
    words = ["systemd-analyze", "security", "--offline=true", f"--threshold={tenths}", "--no-pager", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-300:]}{done.stderr}"
    settings = file.read_text().splitlines()
    assert {"LimitCORE=0", "ProtectSystem=strict", "NoNewPrivileges=yes"} <= set(settings)
    for limit in ("MemoryMax=", "TasksMax="):
        assert any(line.startswith(limit) and not line.endswith("infinity") for line in settings)
