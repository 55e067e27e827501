"""How `status` shows several certificates: the worst first, and on a terminal in its colour."""

import pytest

from agent import cli
from common import terminal
from common.terminal import Colour
from tests.agent.host import Host


@pytest.fixture
def half(host: Host) -> list[str]:
    """Two certificates, of which the first in agent.toml is installed, and the other was never looked at; their names
    in the order of that file."""
    host.configure()
    host.fill(2)
    names = [line.split('"')[1] for line in host.config.read_text(encoding="utf-8").splitlines() if "name =" in line]
    done = host.agent("run", names[0])
    assert done.code == 0, done.err
    return names


def test_the_worst_comes_first(host: Host, half: list[str]) -> None:
    """Whatever the order of agent.toml, which --json keeps."""
    shown = host.agent("status").out.splitlines()
    assert [line.split()[0] for line in shown[2:4]] == half[::-1]
    assert [one["name"] for one in host.agent("status", "--json").json["certificates"]] == half


def test_on_a_terminal_what_is_not_well_is_red(
    host: Host, half: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And only that."""
    monkeypatch.setattr(terminal, "_is_terminal", lambda _: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert cli.main(["--config", str(host.config), "status"]) == 1
    bad, good = capsys.readouterr().out.splitlines()[2:4]
    assert bad.startswith(f"{Colour.BAD.value}{half[1]}")
    assert good.startswith(half[0])


def test_only_some(host: Host, half: list[str]) -> None:
    """The exit code is about these alone; a name that is not configured is wrong usage, and told so."""
    done = host.agent("status", half[0])
    assert (done.code, half[1] in done.out) == (0, False)
    assert [one["name"] for one in host.agent("status", "--json", half[1]).json["certificates"]] == half[1:]
    done = host.agent("status", half[1], half[0].replace("host", "hots"))
    assert (done.code, done.out) == (2, "")
    assert f"did you mean {half[0]}?" in done.err


def test_without_a_certificate(host: Host) -> None:
    """agent.toml may have none yet: that is no error, as long as none is asked for."""
    host.configure()
    text = host.config.read_text(encoding="utf-8")
    host.config.write_text(text[: text.index("[[certificate]]")], encoding="utf-8")
    assert host.agent("status").code == 0
    done = host.agent("status", host.name)
    assert done.code == 2
    assert "none is configured" in done.err
