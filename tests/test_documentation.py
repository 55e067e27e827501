"""What the documents say is so: links lead somewhere, commands parse, examples hold every setting and its default."""

import configparser
import dataclasses
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import agent.cli
import issuer.cli
from agent.model.result import Outcome
from agent.settings.config import AgentSettings, load_settings
from common.command_line import CommandLine
from common.config_file import load
from issuer.ca import problems
from issuer.model.config import Settings
from issuer.rules.health import STATES
from tests.servers.process import program

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
PAGES = sorted((ROOT / "docs").glob("*.md"))
DOCUMENTS = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")), *PAGES]
EXAMPLES = {Settings: DEPLOY / "issuer.example.toml", AgentSettings: DEPLOY / "agent.example.toml"}
UNITS = sorted((DEPLOY / "systemd").iterdir())
CRON = sorted((DEPLOY / "cron").iterdir())
INSTALLED = "/opt/certfleet/bin/"

# A command and its words, up to what ends it for a shell or a reader.
COMMAND = r"(certfleet-(?:issuer|agent)(?: +[^\s`|;&<>#()]+)+)"


def quoted(file: Path) -> list[list[str]]:
    """The command lines that a file quotes: as code, in backquotes, or with the path that units and cron need."""
    text = file.read_text(encoding="utf-8")
    if file in UNITS or file in CRON:
        found = re.findall(INSTALLED + COMMAND, text)
    else:
        blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
        found = re.findall(r"(?:^|\s)" + COMMAND, blocks) + re.findall(f"`{COMMAND}`", text)
    return [shlex.split(command) for command in found]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> dict[str, CommandLine]:
    """Both real command lines, built and not run."""
    built: list[CommandLine] = []

    def keep(line: CommandLine, *_arguments: object) -> int:
        built.append(line)
        return 0

    monkeypatch.setattr(CommandLine, "run", keep)
    monkeypatch.setattr(sys, "exit", lambda _: None)
    for module in (issuer.cli, agent.cli):
        module.main()
    return dict(zip(("certfleet-issuer", "certfleet-agent"), built, strict=True))


@pytest.mark.parametrize("file", [*DOCUMENTS, *UNITS, *CRON, *EXAMPLES.values()], ids=lambda file: file.name)
def test_quoted_commands_are_ones_we_have(file: Path, lines: dict[str, CommandLine]) -> None:
    """Each is accepted by the parser that the console script uses."""
    for name, *words in quoted(file):
        try:
            lines[name].parser.parse_args(words)
        except SystemExit as stop:  # 0 is --help
            assert stop.code == 0, f"{file.name} quotes what {name} does not know: {' '.join(words)}"


def test_commands_are_found_where_people_read_them() -> None:
    """The test above looks at something: the quick start, each unit and each cron line."""
    assert len(quoted(ROOT / "README.md")) > 12
    starting = [file for file in [*UNITS, *CRON] if file.suffix != ".timer"]
    assert [len(quoted(file)) for file in starting] == [1] * len(starting)


def test_a_line_for_cron_names_its_program_by_its_path() -> None:
    """cron looks in /usr/bin and /bin alone, and nothing of ours is there."""
    texts = [file.read_text(encoding="utf-8") for file in [*DOCUMENTS, *CRON]]
    line = r"(?:[\d*,/-]+ +){5}(?:certfleet|root) +.*?(\S*certfleet-(?:issuer|agent)) "
    found = [program for text in texts for program in re.findall(line, text)]
    assert len(found) > 3
    assert [program for program in found if not program.startswith(INSTALLED)] == []


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.name)
def test_links_lead_to_files(file: Path) -> None:
    """Relative links name something that exists, and a heading in it; so do the paths in CONTRIBUTING's table."""
    text = file.read_text(encoding="utf-8")
    for link, anchor in re.findall(r"\]\(([^):#]+)(?:#([^)]+))?\)", text):
        target = file.parent / link
        assert target.exists(), f"{file.name} links to {link}, which does not exist"
        assert not anchor or anchor in headings(target), f"{file.name} links to {link}#{anchor}, which does not exist"
    for path in re.findall(r"`((?:issuer|agent|common|tests|migrations|deploy|docs)/[\w./*-]*)`", text):
        assert list(ROOT.glob(path.rstrip("/"))), f"{file.name} names {path}, which does not exist"


def headings(file: Path) -> set[str]:
    """The anchors that a page's headings get."""
    found = re.findall(r"^#+ +(.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-")) for heading in found}


def test_the_readme_leads_to_every_page() -> None:
    """A page that nobody is led to is not read."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if f"(docs/{page.name})" not in text] == []


def test_every_kind_of_failure_is_explained() -> None:
    """Whatever may stand in last_reference stands in docs/trouble.md with what to do."""
    sources = [file for side in ("issuer", "agent", "common") for file in (ROOT / side).rglob("*.py")]
    code = "\n".join(file.read_text(encoding="utf-8") for file in sources)
    kinds = set(re.findall(r"\breference ?= ?\"([a-z-]+)\"", code)) - {"other"}
    kinds |= {f"acme-{kind}" for kind in problems._TABLE}
    explained = (ROOT / "docs" / "trouble.md").read_text(encoding="utf-8")
    assert sorted(kind for kind in kinds if f"`{kind}`" not in explained) == []


@pytest.mark.parametrize(
    ("heading", "states"),
    [("States at the issuer", STATES), ("States on a host", [outcome.value for outcome in Outcome])],
)
def test_every_state_is_explained(heading: str, states: Sequence[str]) -> None:
    """And no other, in the table below its heading."""
    text = (ROOT / "docs" / "trouble.md").read_text(encoding="utf-8")
    rows = text.partition(f"## {heading}\n")[2].partition("\n## ")[0].splitlines()
    explained = [state for row in rows if row.startswith("| `") for state in re.findall("`([^`]+)`", row.split("|")[1])]
    assert sorted(explained) == sorted(states)


def test_every_metric_is_explained() -> None:
    """By the name that Prometheus shows: counters end in _total, information in _info."""
    code = (ROOT / "issuer" / "loops" / "metrics.py").read_text(encoding="utf-8")
    explained = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    names = set(re.findall(r"\"(certfleet_\w+)\"", code))
    assert sorted(name for name in names if not re.search(rf"`{name}(_total|_info)?[`{{]", explained)) == []


def keys(settings: type, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every key of a settings class and those below it, with where it stands."""
    for field in dataclasses.fields(settings):
        below = field.metadata.get("section") or field.metadata.get("sections")
        if below:
            yield from keys(below, f"{prefix}{field.name}.")
        else:
            yield field.name, f"{prefix}{field.name}"


@pytest.mark.parametrize("settings", EXAMPLES)
def test_the_example_shows_every_key(settings: type) -> None:
    """As a line of its own, or as one that is commented out because there is no default to show."""
    shown = set(re.findall(r"^(?:# *)?(\w+) *= ", EXAMPLES[settings].read_text(encoding="utf-8"), re.MULTILINE))
    assert [where for key, where in keys(settings) if key not in shown] == []


def test_the_example_of_the_issuer_is_the_defaults() -> None:
    """Written out or left away, every setting means the same."""
    assert load(Settings, EXAMPLES[Settings]) == Settings()


def test_the_example_of_the_agent_parses_and_shows_the_defaults() -> None:
    """It has certificates, which have no defaults; all else is what it would be without the file."""
    shown, certificates = load_settings(EXAMPLES[AgentSettings])
    assert certificates
    for field in dataclasses.fields(AgentSettings):
        if field.default is not dataclasses.MISSING and "parser" in field.metadata:
            assert getattr(shown, field.name) == field.default, field.name


def unit(file: Path) -> Any:
    """A unit file, whose keys may stand more than once."""
    parser = configparser.RawConfigParser(strict=False, comment_prefixes=("#",), delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(file, encoding="utf-8")
    return parser


@pytest.mark.parametrize("file", [file for file in UNITS if file.suffix == ".timer"], ids=lambda file: file.name)
def test_timers_start_services_that_exist(file: Path) -> None:
    """Each has a service of its name, draws its moment, and makes up for what was missed."""
    timer = unit(file)["Timer"]
    assert file.with_suffix(".service") in UNITS
    assert (timer["RandomizedDelaySec"], timer["Persistent"]) == ("2h", "yes")


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """systemd itself finds no fault, with the programs where these tests have theirs."""
    here = f"{Path(sys.executable).parent}/"
    for file in UNITS:
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8").replace(INSTALLED, here), encoding="utf-8")
    command = [program("systemd-analyze", "systemd"), "verify", *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
