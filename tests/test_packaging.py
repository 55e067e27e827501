"""The wheel, installed as users install it: not the source tree, and each side with the libraries that it declares.

No network: the libraries are those of .venv, each side sees only its own.
"""

import ast
import json
import os
import re
import stat
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution, distributions, packages_distributions
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
from cryptography import x509
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PARTS = ("agent", "common", "issuer", "migrations")
ISSUER_ONLY = ("sqlalchemy", "acme", "josepy", "dns", "alembic")
SECONDS = 300
NAME = "www.example.test"


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


def _empty(folder: Path, *names: str) -> Path:
    """The interpreter of a new virtual environment, which sees only *names* of .venv and what those need."""
    _must(sys.executable, "-m", "venv", "--without-pip", str(folder), cwd=folder.parent)
    python = folder / "bin" / "python"
    for name in names:
        for needed in (distribution(name), *closure(distribution(name)).values()):
            link(needed, _packages(python))
    return python


def _packages(python: Path) -> Path:
    return Path(
        _run(str(python), "-c", "import site; print(site.getsitepackages()[0])", cwd=python.parent).stdout.strip()
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: building leaves folders behind, and would take what earlier builds have left. The builder sees
    what pip gives it, and nothing of ours."""
    folder = tmp_path_factory.mktemp("wheel")
    for part in (*PARTS, "deploy"):
        copytree(ROOT / part, folder / "source" / part, ignore=ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        (folder / "source" / file).write_bytes((ROOT / file).read_bytes())
    python = _empty(
        folder / "builder", "build", *(Requirement(text).name for text in PYPROJECT["build-system"]["requires"])
    )
    build = (str(python), "-m", "build", "--wheel", "--no-isolation")
    _must(*build, "--outdir", str(folder), str(folder / "source"), cwd=folder)
    return next(folder.glob("certfleet-*.whl"))


@pytest.fixture(scope="module")
def sides(wheel: Path) -> dict[str, Installed]:
    """certfleet[agent] in one environment, certfleet[issuer] in another."""

    def install(extra: str) -> Installed:
        folder = wheel.parent / extra
        python = _empty(folder)
        pip = (sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "--no-input")
        _must(*pip, "install", "--quiet", "--no-index", "--no-deps", "--no-compile", str(wheel), cwd=wheel.parent)
        packages = _packages(python)
        (declared,) = distributions(path=[str(packages)])
        for needed in closure(declared, extra).values():
            link(needed, packages)
        _must(*pip, "check", cwd=wheel.parent)
        return Installed(folder)

    return {extra: install(extra) for extra in ("agent", "issuer")}


def closure(wanted: Distribution, extra: str = "") -> dict[str, Distribution]:
    """Every distribution that this one declares to need, and what those need."""
    found: dict[str, Distribution] = {}
    for text in wanted.requires or ():
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        needed = distribution(requirement.name)
        assert requirement.specifier.contains(needed.version), f"{wanted.name} wants {text}, here is {needed.version}"
        found |= {canonicalize_name(requirement.name): needed}
        for more in requirement.extras or ("",):
            found |= closure(needed, more)
    return found


def link(needed: Distribution, packages: Path) -> None:
    """Let it be seen in another environment."""
    own = Path(str(needed.locate_file("")))
    for name in {file.parts[0] for file in needed.files or () if file.parts[0] not in {"..", "__pycache__"}}:
        if not (packages / name).exists():
            (packages / name).symlink_to(own / name)


@pytest.mark.parametrize(
    ("extra", "parts"), [("agent", ("agent", "common")), ("issuer", ("issuer", "common", "migrations"))]
)
def test_what_is_imported_is_declared(extra: str, parts: Sequence[str]) -> None:
    """By pyproject.toml itself, not only by a library that happens to need it as well; and nothing else is."""
    brought_by = packages_distributions()
    used = {
        canonicalize_name(brought_by[name][0])
        for part in parts
        for file in (ROOT / part).rglob("*.py")
        for name in imported(file) - sys.stdlib_module_names - set(PARTS)
    }
    assert used == set(bounds(extra))


@pytest.mark.parametrize(
    "extras", [("agent",), ("issuer",), ("agent", "issuer", "dev")], ids=["agent", "issuer", "dev"]
)
def test_a_lock_file_holds_what_is_wanted(extras: Sequence[str]) -> None:
    """Everything that is declared, at a version within its bounds, with hashes; and on servers what is tested here."""
    pins = locked(extras[-1])
    build = {wanted.name: wanted.specifier for wanted in map(Requirement, PYPROJECT["build-system"]["requires"])}
    for name, bound in (bounds(*extras) | build).items():
        assert name in pins, f"make lock: {name} is not in requirements/{extras[-1]}.txt"
        assert bound.contains(pins[name]), f"make lock: {name} {pins[name]} is not {bound}"
    assert pins.items() <= locked("dev").items(), "make lock: dev.txt has other versions"


def test_a_lock_file_is_the_same_wherever_it_is_made() -> None:
    """No word of the machine that made it: each line is a version, a hash or a comment."""
    for file in (ROOT / "requirements").glob("*.txt"):
        for line in file.read_text(encoding="utf-8").splitlines():
            assert re.match(r"[a-z0-9-]+==\S+( ; .+)? \\$|    --hash=sha256:[0-9a-f]{64}|\s*# ", line), line
            assert "://" not in line


def locked(name: str) -> dict[str, str]:
    """The versions in requirements/*name*.txt."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)(?: ; .+)? \\\n    --hash=", text, re.MULTILINE))


def imported(file: Path) -> set[str]:
    """The first names of what a file imports."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names}


def bounds(*extras: str) -> dict[str, SpecifierSet]:
    """What pyproject.toml wants for both sides and for these extras, by name."""
    project = PYPROJECT["project"]
    texts = project["dependencies"] + [text for extra in extras for text in project["optional-dependencies"][extra]]
    return {canonicalize_name(wanted.name): wanted.specifier for wanted in map(Requirement, texts)}


def test_the_wheel_holds_the_product_and_nothing_else(wheel: Path) -> None:
    """Data files and migrations are in it; tests and the demo are not."""
    names = set(zipfile.ZipFile(wheel).namelist())
    folders = {name.split("/")[0] for name in names}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == set(PARTS)
    data = [file for part in PARTS for file in (ROOT / part).rglob("*") if file.suffix in {".toml", ".mako"}]
    code = [file for part in PARTS for file in (ROOT / part).rglob("*.py")]
    assert {str(file.relative_to(ROOT)) for file in [*data, *code]} <= names
    kinds = ("1", "bash", "fish", "zsh")
    manual = {f"common/manual/{program}.{kind}" for program in PYPROJECT["project"]["scripts"] for kind in kinds}
    assert {name for name in names if name.startswith("common/manual/")} == manual
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.soak
def test_the_agent_runs_without_the_libraries_of_the_issuer(sides: dict[str, Installed], tmp_path: Path) -> None:
    """None of them came with it, and it says its version and its presets."""
    look = f"import importlib.util as u; print([name for name in {ISSUER_ONLY} if u.find_spec(name)])"
    assert sides["agent"].run("python", "-c", look, cwd=tmp_path).stdout.strip() == "[]"
    version = sides["agent"].run("certfleet-agent", "--version", cwd=tmp_path)
    assert version.stdout.startswith("certfleet-agent ")
    presets = sides["agent"].run("certfleet-agent", "presets", "--json", cwd=tmp_path)
    assert presets.returncode == 0, presets.stderr
    assert {"apache", "nginx"} <= {preset["name"] for preset in json.loads(presets.stdout)}


@pytest.mark.soak
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


def test_a_program_is_linked_with_its_man_page_and_completions(sides: dict[str, Installed], tmp_path: Path) -> None:
    """As `init --system` does it, where man and the shells look; a second time nothing is made."""
    target = sides["agent"].folder / "bin" / "certfleet-agent"
    script = "import sys, common.system as s; from pathlib import Path"
    script += "; s._LOCAL = Path(sys.argv[1]); s.link(Path(sys.argv[2]))"
    local = tmp_path / "local"
    said = [sides["agent"].run("python", "-c", script, str(local), str(target), cwd=tmp_path).stdout for _ in range(2)]
    assert [{line.split()[0] for line in text.splitlines()} for text in said] == [{"made"}, {"kept"}]
    assert {str(file.relative_to(local)) for file in local.rglob("*") if file.is_symlink() and file.exists()} == {
        "bin/certfleet-agent",
        "share/man/man1/certfleet-agent.1",
        "share/bash-completion/completions/certfleet-agent",
        "share/zsh/site-functions/_certfleet-agent",
        "share/fish/vendor_completions.d/certfleet-agent.fish",
    }


@pytest.mark.parametrize("words", [(), ("dev",), ("../x",), ("issuer", "a", "b")], ids=" ".join)
def test_the_installer_takes_only_what_it_can_install(tmp_path: Path, words: Sequence[str]) -> None:
    """The part is named, and nothing is made for another word."""
    done = _run(str(ROOT / "deploy" / "install"), *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: deploy/install issuer|agent" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("umask", [0o027, 0o077], ids=oct)
def test_what_is_installed_may_be_run_by_another_user(tmp_path: Path, umask: int) -> None:
    """Whatever the umask of the root shell: the issuer runs as a user of its own. Here pip only makes a program."""
    python, folder = tmp_path / "python", tmp_path / "installed"
    pip = '#!/bin/sh\ntouch "${0%/*}/certfleet-issuer"\n'
    venv = f'{sys.executable} -m venv --without-pip "$3"'
    python.write_text(f'#!/bin/sh\n{venv}\nprintf %s \'{pip}\' >"$3/bin/pip"\nchmod +x "$3/bin/pip"\n')
    python.chmod(0o755)
    command = ("sh", "-c", f'umask {umask:03o}; PYTHON="$1" exec "$2" issuer "$3"', "sh", str(python))
    _must(*command, str(ROOT / "deploy" / "install"), str(folder), cwd=tmp_path)
    made = [one for one in (folder, *folder.rglob("*")) if not one.is_symlink()]
    assert folder / "bin" / "certfleet-issuer" in made
    assert [one for one in made if ~one.stat().st_mode & (0o055 if one.is_dir() else 0o044)] == []
