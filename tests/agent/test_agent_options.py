"""Every option of certfleet-agent with values that cannot be meant: a sentence, exit code 1 or 2, no file changed.

The options are found in the parser itself: one without a case here fails the first test.
"""

import json
from pathlib import Path

import pytest

from agent.cli import build
from tests.agent.host import NAME, Host
from tests.common.options import HOSTILE_NAMES, WRONG_PROBES, Option, options_of, reports

GOOD: dict[tuple[str, ...], list[str]] = {  # words with which a command would work; {folder} is the host's
    ("check",): [],
    ("init",): ["new.example.test"],
    ("request",): [NAME, "--key", "{folder}/new.key", "--csr", "{folder}/new.csr"],
    ("run",): [NAME],
    ("status",): [NAME],
    ("rollback",): [NAME],
    ("hold",): [NAME, "--until", "2099-12-31", "--reason", "a reason"],
    ("release",): [NAME],
    ("probe",): ["https://127.0.0.1:9"],
    ("egress",): [],
    ("presets",): ["nginx"],
}
NAMES = [*HOSTILE_NAMES.values()]
URLS = ["", "x", "ftp://h/x", "https://h/x", "mysql://h/x", "mysql://u:p@h/x", "mysql://u@h/", "mysql://u@h:x/d"]
URLS += ["mysql://u@h/d?ssl_ca=/x", "sqlite:///relative", "sqlite://h/x.db", 'sqlite:////x"y\nz', "mysql://u@h/\x1b"]
PATHS = ["", "relative", "../up", "/" + "x" * 4096, "/a\nb", "/\x1b[2J", "/\udce9"]
WRONG = {
    "init NAME": NAMES,
    "init --state-dir": [*PATHS, "{folder}/key.pem"],
    "init --source": URLS,
    "init --password-file": PATHS,
    "init --tls-ca": PATHS,
    "init --service": ["", "..", "../nginx", "NGINX", "nginx,apache", "\x1b[2J", "\udce9"],
    "init --issuer-key": [
        "",
        "x",
        "AAAA",
        "A" * 44,
        "A" * 42 + "==",
        "A" * 43 + "= ",
        "-" * 43 + "=",
        "\udce9",
        "\x1b[2J",
    ],
    "request NAME": NAMES,
    "request --san": [name for name in NAMES if name != "a.example.test,b.example.test"],
    "request --key-type": ["", "rsa", "rsa1024", "RSA2048", "ecdsa-p521", "ed25519", "\x1b[2J"],
    "request --key": ["", "{folder}", "/dev/zero", "{folder}/agent.toml", "{folder}/key.pem/x", "/" + "x" * 300],
    "request --csr": ["", "{folder}", "/dev/zero", "{folder}/key.pem", "{folder}/key.pem/x", "/none/x"],
    "run NAME": NAMES,
    "status NAME": NAMES,
    "rollback NAME": NAMES,
    "rollback --to": ["", "x", "0A 0B 0G", "../0A", "\x1b[2J", "\udce9"],
    "hold NAME": NAMES,
    "hold --until": ["", "x", "2020-01-01", "2026-13-01", "31.12.2099", "9999-12-31", "2099-12-31T25:00", "\x1b[2J"],
    "hold --reason": ["\x1b[2J", "a\nb", "x" * 1001, "\udce9"],
    "release NAME": NAMES,
    **WRONG_PROBES,
    "egress --format": ["", "csv", "CSF", "plain\n", "\x1b[2J"],
    "presets NAME": ["", "..", "../nginx", "/etc/passwd", "NGINX", "nginx.toml", "\x1b[2J", "\udce9"],
}
OPTIONS = options_of(build())
JSON = reports(build())


@pytest.fixture
def configured(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host whose agent.toml asks for nothing that runs; the current folder is its own."""
    host.configure()
    monkeypatch.chdir(host.folder)
    return host


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def test_every_option_has_its_cases() -> None:
    """An option that is added wants an entry, and one that goes takes its entry with it."""
    assert {str(option) for option in OPTIONS if option.takes_value} == set(WRONG)
    assert {option.command for option in OPTIONS} == set(GOOD)


@pytest.mark.sampled
@pytest.mark.parametrize("option", [option for option in OPTIONS if option.takes_value], ids=str)
def test_a_wrong_value(configured: Host, option: Option, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 or 2 and one error; no file is made or changed; standard output holds JSON or nothing."""
    for value in WRONG[str(option)]:
        assert_refused(configured, option, value, capsys)


def assert_refused(host: Host, option: Option, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(host.folder)
    config = host.folder / "made" / "agent.toml" if option.command == ("init",) else host.config
    good = [word.format(folder=host.folder) for word in GOOD[option.command]]
    given = value.format(folder=host.folder) if "{folder}" in value else value
    words = option.typed(good, given)
    for as_json in ([], ["--json"]) if option.command in JSON else ([],):
        code = build().run(["--config", str(config), *option.command, *as_json, *words])
        out, err = capsys.readouterr()
        what = f"{option} {value[:60]!r}: exit code {code}\n{out[:2000]}\n{err[:2000]}"
        assert code in (1, 2), what
        assert "error: " in err, what
        assert "a fault in certfleet itself" not in err, what
        assert "\nerror: fake" not in err, what
        assert all(line.isprintable() and len(line) < 9000 for line in err.splitlines()), what
        assert not out or (as_json and json.loads(out)), what
        assert contents(host.folder) == before, what


@pytest.mark.parametrize("option", [option for option in OPTIONS if not option.takes_value], ids=str)
def test_a_switch_takes_no_value(configured: Host, option: Option, capsys: pytest.CaptureFixture[str]) -> None:
    """--retry=no does not mean yes."""
    before = contents(configured.folder)
    assert build().run([*option.command, *GOOD[option.command], f"{option.word}=no"]) == 2
    assert option.word in capsys.readouterr().err
    assert contents(configured.folder) == before


def test_init_writes_what_it_can_read(configured: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """Quotes and backslashes in a folder or URL come back as they were given."""
    file = configured.folder / "made" / "agent.toml"
    folder = configured.folder / 'a "quoted" \\folder\\'
    words = ["init", NAME, "--state-dir", str(folder), "--source", 'mysql://u"\\x@db.example.com/d']
    assert build().run(["--config", str(file), *words]) == 0, capsys.readouterr().err
    assert folder.is_dir()
    assert build().run(["--config", str(file), "status"]) == 1  # it never ran
    assert "is not TOML" not in capsys.readouterr().err
