"""Presets of one's own, and the service of a preset as a host has it."""

import os
from pathlib import Path

import pytest

from agent.host.presence import presence
from agent.model.presence import Kind, Presence
from agent.rules.presence import places, presence_in
from agent.settings.preset import Presets
from common.errors import ConfigError
from tests.agent.test_presets import certificate, service, words


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The folder of one's own presets."""
    folder = tmp_path / "presets"
    folder.mkdir()
    return folder


def test_ones_own_preset_overrules_the_shipped_one_key_by_key(own: Path) -> None:
    """What it does not say stays; a table goes as a whole."""
    (own / "haproxy.toml").write_text(
        'check = ["c"]\n[[combined]]\npath = "/etc/haproxy/{name}.pem"\nparts = ["key"]\n'
    )
    config = own.parent / "agent.toml"
    one = certificate('service = "haproxy"', config)
    assert [(str(file.path), file.parts) for file in one.files] == [("/etc/haproxy/www.example.com.pem", ("key",))]
    assert one.services[0].check == words("c")
    assert one.services[0].activate == service('service = "haproxy"').activate
    loaded, shipped = Presets(config).load("haproxy"), Presets(own.parent / "elsewhere" / "agent.toml").load("haproxy")
    assert loaded and shipped and (loaded.proven, bool(shipped.proven)) == ("", True)  # nobody has tried this one


def test_a_preset_of_ones_own_needs_little(own: Path) -> None:
    """A note is enough; places in its commands are filled with the files that the certificate has."""
    text = 'note = "ours"\nprobe = "tls://{name}:1"\nactivate = ["p", "--pair={fullchain}", "{key}", "{name}", "{x}"]\n'
    (own / "ours.toml").write_text(text)
    config = own.parent / "agent.toml"
    assert "ours" in Presets(config).names
    found = certificate('service = "ours"\n[certificate.files]\nfullchain = "/f"', config)
    assert found.services[0].activate == words("p --pair=/f /k.pem www.example.com {x}")
    with pytest.raises(ConfigError, match="needs the file"):
        certificate('service = "ours"\n[certificate.files]\ncertificate = "/c"', config)


def test_places_in_commands_of_agent_toml(own: Path) -> None:
    """Filled as those of a preset are; one without a word stays."""
    more = 'activate = ["a", "{name}", "{program}"]\nverify = ["v", "{fullchain}", "{key}", "{chain}"]\n'
    files = '[certificate.files]\nfullchain = "/f"'
    for named, program in (("", "{program}"), ('service = "nginx"\n', "nginx")):
        found = certificate(f"{named}probe = []\n{more}{files}", own.parent / "agent.toml").services[0]
        assert found.activate == words(f"a www.example.com {program}")
        assert found.verify == words("v /f /k.pem {chain}")


def test_what_is_wrong_with_ones_own_preset_is_said_with_its_file(own: Path) -> None:
    """The same kind of findings as for agent.toml."""
    (own / "nginx.toml").write_text('chek = ["c"]\n')
    with pytest.raises(ConfigError, match="did you mean 'check'") as caught:
        certificate('service = "nginx"', own.parent / "agent.toml")
    assert str(own / "nginx.toml") in str(caught.value)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_preset_that_others_can_write_is_refused(own: Path, what: str) -> None:
    """Root runs its commands."""
    file = own / "nginx.toml"
    file.write_text('check = ["c"]\n')
    (file if what == "file" else own).chmod(0o777)
    with pytest.raises(ConfigError, match="could make root run any command by it"):
        certificate('service = "nginx"', own.parent / "agent.toml")
    os.chown(file if what == "file" else own, 12345, -1)
    (file if what == "file" else own).chmod(0o755)
    with pytest.raises(ConfigError, match="user 12345"):
        certificate('service = "nginx"', own.parent / "agent.toml")


def test_only_names_of_presets_choose_a_file(own: Path) -> None:
    """Not a path."""
    (own.parent / "x.toml").write_text('note = "x"\n')
    assert Presets(own.parent / "agent.toml").load("../x") is None


def tree(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("#")
    return root


@pytest.mark.parametrize(
    ("files", "unit", "script"),
    [
        (["run/systemd/system/x", "lib/systemd/system/b.service"], "b", ""),
        (["run/systemd/system/x", "lib/systemd/system/b.service", "usr/lib/systemd/system/a.service"], "a", ""),
        (["run/systemd/system/x", "run/systemd/generator.late/a.service", "etc/init.d/a"], "a", "a"),
        (["lib/systemd/system/a.service", "etc/init.d/b"], "", "b"),
        (["run/systemd/system/x", "lib/systemd/system/c@.service"], "c@one", ""),
        ([], "", ""),
    ],
)
def test_a_service_is_found_as_the_host_has_it(tmp_path: Path, files: list[str], unit: str, script: str) -> None:
    """Units count where systemd runs, and the first name that is there; files of units alone prove nothing."""
    found = presence(("a", "b", "c@one"), ("no-such-program", "sh"), tree(tmp_path, *files))
    assert found == Presence(unit, script, "sh")


def test_an_init_script_needs_the_program_that_runs_it() -> None:
    """A host of BusyBox alone may have such scripts and no `service`."""
    nothing: dict[str, Kind] = dict.fromkeys(places(("a",), ("b",)), "")
    there: dict[str, Kind] = {**nothing, "/etc/init.d/a": "program", "b": "program"}
    assert presence_in(("a",), ("b",), there) == Presence(program="b")
    assert presence_in(("a",), ("b",), {**there, "service": "program"}) == Presence(script="a", program="b")


@pytest.mark.parametrize("target", ["/dev/null", "/empty"])
def test_a_masked_unit_is_none(tmp_path: Path, target: str) -> None:
    """Nobody can start it. So systemd.unit(5) has it for a link to /dev/null, and for a file without content."""
    root = tree(tmp_path, "run/systemd/system/x", "lib/systemd/system/a.service", "lib/systemd/system/b.service")
    (tmp_path / "empty").touch()
    (root / "etc/systemd/system").mkdir(parents=True)
    (root / "etc/systemd/system/a.service").symlink_to(target.replace("/empty", f"{tmp_path}/empty"))
    assert presence(("a", "b"), (), root).unit == "b"
