"""The wheel, installed as users install it: not the source tree, and each side without the other's libraries."""

import json
import os
import stat
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
from cryptography import x509

ROOT = Path(__file__).parents[1]
PARTS = ("agent", "common", "issuer", "migrations")
ISSUER_ONLY = ("sqlalchemy", "acme", "josepy", "dns", "alembic")
SECONDS = 300
NAME = "www.example.test"

# One process builds the wheel and both environments; the others need not.
pytestmark = pytest.mark.xdist_group("packaging")


@dataclass(frozen=True, slots=True)
class Installed:
    """A virtual environment that knows nothing of the source tree."""

    folder: Path

    def run(self, program: str, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run one of its programs, in a folder from which nothing of ours can be imported."""
        return _run(str(self.folder / "bin" / program), *words, cwd=cwd)


def _run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CERTFLEET"))}
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def _must(*command: str, cwd: Path) -> None:
    done = _run(*command, cwd=cwd)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: building leaves folders behind, and would take what earlier builds have left."""
    folder = tmp_path_factory.mktemp("wheel")
    for part in PARTS:
        copytree(ROOT / part, folder / "source" / part, ignore=ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        (folder / "source" / file).write_bytes((ROOT / file).read_bytes())
    _must(sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(folder / "source"), cwd=folder)
    return next(folder.glob("certfleet-*.whl"))


@pytest.fixture(scope="module")
def sides(wheel: Path) -> dict[str, Installed]:
    """certfleet[agent] in one environment, certfleet[issuer] in another."""

    def install(extra: str) -> Installed:
        folder = wheel.parent / extra
        _must(sys.executable, "-m", "venv", "--without-pip", str(folder), cwd=wheel.parent)
        pip = (sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "--disable-pip-version-check")
        _must(*pip, "install", "--quiet", f"{wheel}[{extra}]", cwd=wheel.parent)
        return Installed(folder)

    extras = ("agent", "issuer")
    with ThreadPoolExecutor() as pool:
        return dict(zip(extras, pool.map(install, extras), strict=True))


def test_the_wheel_holds_the_product_and_nothing_else(wheel: Path) -> None:
    """Data files and migrations are in it; tests and the demo are not."""
    names = set(zipfile.ZipFile(wheel).namelist())
    folders = {name.split("/")[0] for name in names}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == set(PARTS)
    data = [file for part in PARTS for file in (ROOT / part).rglob("*") if file.suffix in {".toml", ".mako"}]
    code = [file for part in PARTS for file in (ROOT / part).rglob("*.py")]
    assert {str(file.relative_to(ROOT)) for file in [*data, *code]} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_agent_runs_without_the_libraries_of_the_issuer(sides: dict[str, Installed], tmp_path: Path) -> None:
    """None of them came with it, and it says its version and its presets."""
    look = f"import importlib.util as u; print([name for name in {ISSUER_ONLY} if u.find_spec(name)])"
    assert sides["agent"].run("python", "-c", look, cwd=tmp_path).stdout.strip() == "[]"
    version = sides["agent"].run("certfleet-agent", "--version", cwd=tmp_path)
    assert version.stdout.startswith("certfleet-agent ")
    presets = json.loads(sides["agent"].run("certfleet-agent", "presets", "--json", cwd=tmp_path).stdout)
    assert {"apache", "nginx"} <= {preset["name"] for preset in presets}


def test_a_request_of_the_agent_is_enrolled_by_the_issuer(sides: dict[str, Installed], tmp_path: Path) -> None:
    """Key and CSR from one environment, database and enrolment in the other, and the agent sees that it must wait."""
    key, csr = tmp_path / f"{NAME}.key", tmp_path / f"{NAME}.csr"
    made = sides["agent"].run("certfleet-agent", "request", NAME, "--key", str(key), cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert x509.load_pem_x509_csr(csr.read_bytes()).is_signature_valid

    database = tmp_path / "state" / "certfleet.db"
    config = tmp_path / "issuer.toml"
    config.write_text(
        f'state_dir = "{tmp_path / "state"}"\ncsr_dir = "{tmp_path}"\n[database]\nurl = "sqlite:///{database}"\n',
        encoding="utf-8",
    )
    for words in (["init"], ["db", "upgrade"], ["db", "status"], ["populate", NAME], ["enable", NAME]):
        done = sides["issuer"].run("certfleet-issuer", *words, "--config", str(config), cwd=tmp_path)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"

    config = tmp_path / "agent.toml"
    config.write_text(
        f'state_dir = "{tmp_path / "agent"}"\n[source]\nurl = "sqlite:///{database}"\n'
        f'[[certificate]]\nname = "{NAME}"\nkey = "{key}"\nprobe = []\n'
        f'[certificate.files]\nfullchain = "{tmp_path / "fullchain.pem"}"\n',
        encoding="utf-8",
    )
    ran = sides["agent"].run("certfleet-agent", "--config", str(config), "run", "--json", cwd=tmp_path)
    assert "fault in certfleet itself" not in ran.stderr
    assert json.loads(ran.stdout)["certificates"][0]["name"] == NAME
    assert not (tmp_path / "fullchain.pem").exists()
