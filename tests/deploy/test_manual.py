"""Man pages and completions as the build makes them, read by the real man, bash, zsh and fish."""

import subprocess
from pathlib import Path

import pytest

from agent import cli as agent_line
from common.command_line import CommandLine, examples
from deploy import manual
from issuer import cli as issuer_line
from tests.common.options import commands_of

LINES = {"certfleet-issuer": issuer_line.build, "certfleet-agent": agent_line.build}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manual of both programs."""
    made = tmp_path_factory.mktemp("manual")
    manual.write(made)
    return made


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("program", LINES)
def test_every_command_has_examples_that_its_parser_accepts(program: str) -> None:
    """None is for a command that there is not; each is for the command under which it stands."""
    line: CommandLine = LINES[program]()
    known = {" ".join(words) for words in commands_of(line)}
    shown = examples(program)
    assert shown.keys() == known | {""}
    for command, lines in shown.items():
        for example in lines:
            assert example.startswith(f"{program} {command}".rstrip())


@pytest.mark.parametrize("program", LINES)
def test_the_help_of_a_command_ends_with_its_examples(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each on a line of its own."""
    assert LINES[program]().run(["run", "--help"]) == 0
    expected = ["examples:", *(f"  {line}" for line in examples(program)["run"])]
    assert capsys.readouterr().out.splitlines()[-len(expected) :] == expected


@pytest.mark.parametrize("program", LINES)
def test_the_man_page_has_every_command(program: str, folder: Path) -> None:
    """groff finds nothing to complain of, and examples stay whole lines."""
    file = folder / f"{program}.1"
    text = _said("man", "--warnings=w", "--encoding=UTF-8", "--nh", "--nj", "-l", str(file))
    for words in commands_of(LINES[program]()):
        assert f"COMMAND '{program} {' '.join(words)}'" in " ".join(text.split())
    for example in examples(program)["run"]:
        assert f"       {example}\n" in text


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["certfleet-issuer", "stat"], ["status"]),
        (["certfleet-issuer", "db", "gr"], ["grants"]),
        (["certfleet-issuer", "zone", "--server", "k"], ["knot"]),
        (["certfleet-agent", "run", "--dry"], ["--dry-run"]),
    ],
    ids=" ".join,
)
def test_bash_completes(typed: list[str], offered: list[str], folder: Path) -> None:
    """A command, a command of a group, a value, an option."""
    script = f"""
        source {folder / typed[0]}.bash
        COMP_WORDS=({" ".join(typed)})
        COMP_CWORD={len(typed) - 1}
        $(complete -p {typed[0]} | sed -E 's/.*-F (\\S+).*/\\1/')
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    assert _said("bash", "--norc", "-c", script).split() == offered


def test_fish_completes(folder: Path) -> None:
    """As bash does."""
    for program, typed, offered in [
        ("certfleet-issuer", "db gr", "grants"),
        ("certfleet-agent", "run --dr", "--dry-run"),
    ]:
        script = f"source {folder / program}.fish; complete --do-complete '{program} {typed}'"
        assert [line.split("\t")[0] for line in _said("fish", "--no-config", "-c", script).splitlines()] == [offered]


@pytest.mark.parametrize("program", LINES)
def test_zsh_reads_its_completion(program: str, folder: Path) -> None:
    """zsh completes at a terminal only; it compiles the function."""
    assert _said("zsh", "-f", "-n", str(folder / f"{program}.zsh")) == ""
