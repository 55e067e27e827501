"""Both command lines with files that are no configuration and words that steer a terminal."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import agent.cli
from common.command_line import CommandLine
from issuer.cli import build

ROOT = Path(__file__).parents[2]
EVIL = "a\x1b[2Jb\nerror: fake\x07\u202ec"
Run = Callable[..., int]


@pytest.fixture(params=["issuer", "agent"])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Run:
    """One of the two command lines, in this process."""
    monkeypatch.setattr(sys, "stdin", None)
    return lambda *words: build().run(words) if request.param == "issuer" else agent.cli.main(words)


def text(content: bytes) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(content)


def sparse(file: Path) -> None:
    file.touch()
    os.truncate(file, 100_000_000)


NO_CONFIGURATION: dict[str, tuple[Callable[[Path], object], str]] = {
    "absent": (lambda file: file, "no such file"),
    "folder": (Path.mkdir, "not a regular file"),
    "pipe": (os.mkfifo, "not a regular file"),
    "device without an end": (lambda file: file.symlink_to("/dev/zero"), "not a regular file"),
    "link to itself": (lambda file: file.symlink_to(file), "cannot be read"),
    "100 MB": (sparse, "larger than 64000000 bytes"),
    "nested arrays": (text(b"a = " + b"[" * 400_000), "nested too deeply"),
    "nested tables": (text(b"a = " + b"{a=" * 200_000), "nested too deeply"),
    "dotted deep": (text(b"state_dir" + b".a" * 900 + b" = 1"), "state_dir: must be a text in quotes, not a table"),
    "NUL": (text(b"\0\0\0"), "is not TOML"),
    "no UTF-8": (text(b'state_dir = "\xff"'), "is not TOML"),
    "UTF-16": (text('state_dir = "/x"'.encode("utf-16")), "is not TOML"),
    "one key twice": (text(b'state_dir = "/a"\nstate_dir = "/b"'), "is not TOML"),
    "one table twice": (text(b"[source]\n[source]\n[dns]\n[dns]"), "is not TOML"),
    "number of many digits": (text(b"a = " + b"9" * 5000), "is not TOML"),
    "no such day": (text(b"a = 2026-02-30"), "is not TOML"),
    "cut off": (text(b'state_dir = "/var'), "is not TOML"),
    "JSON": (text(b'{"state_dir": "/x"}'), "is not TOML"),
    "terminal tricks": (text(b'"\\u001b[2J\\nerror: fake" = 1'), "is not a known key"),
}


@pytest.mark.sampled
@pytest.mark.parametrize("what", NO_CONFIGURATION)
def test_a_file_that_is_no_configuration(
    run: Run, tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One error with the file and what to do, exit code 2, nothing on standard output, whatever lies there."""
    make, says = NO_CONFIGURATION[what]
    file = tmp_path / "file.toml"
    make(file)
    assert run("status", "--json", "--config", str(file)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {file}: ")
    assert says in err
    assert "\n  what to do: " in err
    assert "\nerror: fake" not in err
    assert all(line.isprintable() and len(line) < 600 for line in err.splitlines()), err[:2000]


@pytest.mark.sampled
@pytest.mark.parametrize(
    "words",
    [
        [f"--{EVIL}"],
        [EVIL],
        ["status", f"--{EVIL}"],
        ["status", "--json", f"-{EVIL}"],
        ["--config", "/none", "status", f"--json={EVIL}"],
        ["request", "--key-type", EVIL, "a.example.com"],
        ["zone", "--server", EVIL, "a.example.com"],
        ["revoke", "--reason", EVIL, "a.example.com"],
        ["db", EVIL],
        ["--config", f"/{EVIL}", "status"],
        ["--config"],
        ["--config", "", "status"],
        ["--config=", "status"],
        ["revoke", "a.example.com", "--serial", "", "--yes"],
        ["init", ""],
    ],
    ids=repr,
)
def test_what_was_typed_is_repeated_harmlessly(run: Run, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Escapes and line ends of an unknown option, command or choice are shown, not obeyed; exit code 2."""
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "error: " in err
    assert "\nerror: fake" not in err
    assert all(line.isprintable() for line in err.splitlines()), repr(err)


@pytest.mark.soak
def test_the_environment_names_the_file(tmp_path: Path) -> None:
    """CERTFLEET_CONFIG counts where --config does not stand; empty it is as good as unset; it need not be UTF-8."""
    code = "from issuer.cli import main; main()"
    for given, says in ((os.fsencode(tmp_path) + b"/\xff", "\\udcff"), (b"", "/etc/certfleet/issuer.toml")):
        done = subprocess.run(
            [sys.executable, "-B", "-c", code, "db", "status"],
            cwd=ROOT,
            env={**os.environb, b"CERTFLEET_CONFIG": given},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        assert says in done.stderr


def test_a_parser_of_its_own_escapes_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Commands below a word get the same parser."""
    line = CommandLine("program", "What it is for.", "/etc/default.toml")
    line.group("word", "a group").command("do", lambda _: 0, "do it")
    assert line.run(["word", "do", EVIL]) == 2
    assert "\x1b" not in capsys.readouterr().err
