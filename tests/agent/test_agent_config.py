"""agent.toml: every finding at once, each with its path; and what the presets fill in."""

import ast
import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from agent.model.certificate import Service, Use
from agent.settings.config import AgentSettings, load_settings
from agent.settings.preset import Preset, Presets
from common.config import parse
from common.errors import ConfigError
from tests.agent.configured import ENTRY, certificates, findings

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "deploy" / "agent.example.toml"


NAMES = Presets(Path("agent.toml")).names


def test_the_example_is_valid_and_complete() -> None:
    """It parses, and every field of every settings class stands in it."""
    settings, found = load_settings(EXAMPLE)
    assert [one.name for one in found] == ["www.example.com", "esxi1.example.com", "*.example.org"]
    text = EXAMPLE.read_text(encoding="utf-8")
    missing = [field for field in all_fields(AgentSettings) if not re.search(rf"^(# )?(\[+.*\b)?{field}\b", text, re.M)]
    assert missing == []
    assert settings.state_dir == AgentSettings.__dataclass_fields__["state_dir"].default
    assert settings.command_timeout == AgentSettings.__dataclass_fields__["command_timeout"].default
    assert settings.probe_timeout == AgentSettings.__dataclass_fields__["probe_timeout"].default


def all_fields(cls: Any) -> set[str]:
    names = set()
    for field in dataclasses.fields(cls):
        names.add(field.name)
        nested = field.metadata.get("section") or field.metadata.get("sections")
        names |= all_fields(nested) if nested else set()
    return names


def test_a_file_of_more_than_a_megabyte_is_read(tmp_path: Path) -> None:
    """Five thousand certificates have their entries in it."""
    file = tmp_path / "agent.toml"
    file.write_text(f'# {"x" * 1_100_000}\n[source]\nurl = "sqlite:////none.db"\n')
    assert not load_settings(file)[1]


def test_a_preset_fills_in_what_is_left_out() -> None:
    """Files, check, activate and probe come from the preset."""
    (one,) = certificates(ENTRY + 'service = "nginx"')
    assert [str(file.path) for file in one.files] == ["/etc/ssl/certs/www.example.com.fullchain.crt"]
    assert one.files[0].parts == ("certificate", "chain")
    (service,) = one.services
    start = (("nginx",),)
    logs = ("/var/log/nginx/error.log",)
    told = Service(
        "nginx", (("nginx", "-t"),), (("nginx", "-s", "reload"),), start=start, restart=start, logs=logs, reader="root"
    )
    assert service == dataclasses.replace(told, has_ended=service.has_ended)
    assert [probe.text for probe in one.probes] == ["https://www.example.com"]
    assert one.names == frozenset({"www.example.com"})


def test_several_services_share_one_certificate() -> None:
    """Both are checked and told; the file that both read is written once."""
    (one,) = certificates(ENTRY + 'service = ["nginx", "apache"]')
    assert [service.check for service in one.services] == [(("nginx", "-t"),), (("apachectl", "configtest"),)]
    assert [service.activate for service in one.services] == [
        (("nginx", "-s", "reload"),),
        (("apachectl", "graceful"),),
    ]
    assert len(one.files) == 1
    assert len(one.probes) == 1


@pytest.mark.parametrize(
    ("general", "own", "expected"),
    [
        ("", "", "system"),
        ("none", "", "none"),
        ("/r.pem", "", Path("/r.pem")),
        ("/r.pem", "system", "system"),
        ("", "/own.pem", Path("/own.pem")),
    ],
)
def test_the_roots_of_one_certificate_go_before_those_of_all(general: str, own: str, expected: object) -> None:
    """The system's store unless somebody says otherwise."""
    trust = f'[trust]\nroots = "{general}"\n' if general else ""
    (one,) = certificates(trust + ENTRY + 'service = "nginx"\n' + (f'roots = "{own}"\n' if own else ""))
    assert one.roots == expected


def test_what_the_user_says_replaces_the_preset() -> None:
    """Own commands, own files, own probes."""
    (one,) = certificates(
        ENTRY
        + 'service = "nginx"\ncheck = []\nactivate = [["a", "b"], ["c"]]\nprobe = []\nlogs = []\n'
        + '[certificate.files]\nchain = "/c"'
    )
    start = (("nginx",),)
    told = Service("nginx", (), (("a", "b"), ("c",)), start=start, restart=start, reader="root")
    assert one.uses == (Use(told),)
    assert [(str(file.path), file.parts) for file in one.files] == [("/c", ("chain",))]


def test_a_wildcard_gets_a_file_name_without_a_star() -> None:
    """And asks for some host below it where a probe's host is an address."""
    (one,) = certificates(
        '[[certificate]]\nname = "*.example.com"\nkey = "/k"\nservice = "nginx"\nprobe = "https://127.0.0.1"'
    )
    assert str(one.files[0].path) == "/etc/ssl/certs/_wildcard.example.com.fullchain.crt"
    assert one.server_name == "www.example.com"


@pytest.mark.parametrize(
    ("name", "names", "asked"),
    [
        ("192.0.2.7", [], ""),
        ("2001:DB8::7", ["2001:db8::7", "192.0.2.7"], ""),
        ("192.0.2.7", ["192.0.2.7", "*.example.com"], "www.example.com"),
        ("192.0.2.7", ["192.0.2.7", "b.example.com", "a.example.com"], "a.example.com"),
        ("b.example.com", ["a.example.com", "b.example.com", "192.0.2.7"], "b.example.com"),
    ],
)
def test_an_address_is_a_name(name: str, names: list[str], asked: str) -> None:
    """It is probed by itself. A TLS client can ask for a DNS name only, so for such a certificate it asks for none."""
    (one,) = certificates(f'[[certificate]]\nname = "{name}"\nnames = {names}\nkey = "/k"\nservice = "nginx"')
    assert one.names == frozenset(names or [name])
    assert one.server_name == asked
    by_name = one.name if one.name == "b.example.com" else ""
    assert [(probe.host, probe.server_name) for probe in one.probes] == [(one.name, by_name)]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    """One look names every finding with its path in the file."""
    found = findings(
        ENTRY
        + 'service = "ngix"\n[certificate.files]\nfullchain = "/f"\n'
        + ENTRY
        + 'probe = []\n[[certificate]]\nname = "*.example.org"\nkey = "/f2"\nservice = "nginx"\n'
        + '[[certificate]]\nname = "a.example.org"\nkey = "/f2"\nservice = "nginx"\n'
        + '[certificate.files]\nfullchain = "/f2"\n'
    )
    assert found["certificate[0].service"] == "there is no preset 'ngix'; did you mean 'nginx'?"
    assert "nothing to write" in found["certificate[1].files"]
    assert "stands in certificate[0] too" in found["certificate[1].name"]
    assert found["certificate[2].probe"].startswith("must be given for a wildcard name")
    assert "would be overwritten" in found["certificate[3].key"]


@pytest.mark.parametrize(
    ("text", "path", "problem"),
    [
        ('name = "www.example.com"\nkey = "k.pem"', "certificate[0].key", "must be an absolute path"),
        ('name = "www.example.com"\nkey = "/k"\nroots = "ca.pem"', "certificate[0].roots", 'must be "system", "none"'),
        ('name = "www.example.com"\nkey = "/k"\n[trust]\nissuer_key = "x"', "trust.issuer_key", "key show"),
        ('name = "www.example.com"\nkey = "/k"\n[trust]\nissuer_key = "AAAA"', "trust.issuer_key", "32 octets"),
        ('name = "www.example.com"\nkey = "/k"\n[trust]\nissuer_key = 1', "trust.issuer_key", "must be a text"),
        ('name = "www"\nkey = "/k"', "certificate[0].name", "not a fully qualified"),
        ('name = "www.example.com"\nkey = "/k"\nkeys = "/k"', "certificate[0].keys", "did you mean 'key'?"),
        ('name = "www.example.com"', "certificate[0].key", "is missing"),
        ('name = "www.example.com"\nkey = "/k"\ncheck = "nginx -t"', "certificate[0].check", "must be a list"),
        ('name = "www.example.com"\nkey = "/k"\ncheck = [["nginx"], []]', "certificate[0].check", "empty list beside"),
        ('name = "www.example.com"\nkey = "/k"\nprobe = ["smpt://mx"]', "certificate[0].probe", "not a probe target"),
        ('name = "www.example.com"\nkey = "/k"\nprobe = ["www"]', "certificate[0].probe", "is not a probe target"),
        (
            'name = "www.example.com"\nkey = "/k"\n[certificate.files]\nmode = "999"',
            "certificate[0].files.mode",
            "0640",
        ),
        (
            'name = "www.example.com"\nkey = "/k"\n[[certificate.combined]]\npath = "/p"\nparts = ["cert"]',
            "certificate[0].combined[0].parts",
            "must list one or more",
        ),
        (
            'name = "www.example.com"\nkey = "/k"\n[[certificate.combined]]\npath = "/p"\nparts = ["key", "key"]',
            "certificate[0].combined[0].parts",
            "must list each part once",
        ),
    ],
)
def test_shape(text: str, path: str, problem: str) -> None:
    """Each wrong shape is named with its path."""
    assert problem in findings("[[certificate]]\n" + text)[path]


def test_two_for_a_service_that_shows_one() -> None:
    """Cockpit takes one pair, whatever name is asked for: a second one would be rolled back in each run."""
    entry = f'{ENTRY}service = "cockpit"\n'
    found = findings(entry + entry.replace("www.", "web."))
    key = "/etc/cockpit/ws-certs.d/90-certfleet.key"
    assert found == {"certificate[1].files": f"{key} is written twice (also by certificate[0])"}


@pytest.mark.parametrize(
    ("text", "path", "problem"),
    [
        (
            'service = "nginx"\n[[certificate.combined]]\npath = "/p"\nparts = ["key"]\nmode = "0644"',
            "certificate[0].combined[0].mode",
            "would open the private key to everybody",
        ),
        (
            'service = "nginx"\n[certificate.files]\nfullchain = "/p"\n'
            '[[certificate.combined]]\npath = "/p"\nparts = ["key"]',
            "certificate[0].files",
            "/p is written twice",
        ),
        ('[certificate.files]\nfullchain = "/p"', "certificate[0].probe", "must be given when no service"),
    ],
)
def test_sense(text: str, path: str, problem: str) -> None:
    """What is well formed and cannot be meant is named with its path."""
    assert problem in findings(ENTRY + text)[path]


def test_a_changed_setting_changes_the_digest() -> None:
    """So that a refused certificate gets another try with other settings, and the same ones change nothing."""
    first, same, other = (
        certificates(ENTRY + f'service = "nginx"\nactivate = ["{word}"]')[0].circumstances("") for word in "aab"
    )
    assert first == same != other


PRESET = {
    "note": "n",
    "programs": ["p"],
    "processes": ["p"],
    "check": [["p", "-t"]],
    "activate": [],
    "probe": ["https://{name}"],
}


@pytest.mark.parametrize(
    ("text", "path", "problem"),
    [
        ('chek = [["p"]]', "chek", "is not a known key; did you mean 'check'?"),
        ('check = "p -t"', "check", "must be a list"),
        ("programs = [1]", "programs", "must be a text"),
        ('probe = ["smpt://{name}"]', "probe", "is not a probe target"),
        ('note = ""', "note", "must not be empty"),
        ('[files]\nfullchian = "/x"', "files.fullchian", "is not a known key; did you mean 'fullchain'?"),
        ('[files]\nchain = "x"', "files.chain", "must be an absolute path"),
    ],
)
def test_a_preset_is_read_as_agent_toml_is(text: str, path: str, problem: str) -> None:
    """The same findings, each with its path; unknown keys are refused."""
    with pytest.raises(ConfigError) as caught:
        parse(Preset, PRESET | tomllib.loads(text), "p.toml")
    assert {finding.path: problem in finding.problem for finding in caught.value.findings} == {path: True}


@pytest.mark.parametrize(
    ("table", "key", "problem"),
    [
        ("source", "issuer_key", "is not a known key; it belongs into [trust]"),
        ("source", "keep", "is not a known key; it belongs above the first table"),
        ("trust", "fullchain", "is not a known key; it belongs into [certificate.files]"),
        ("trust", "service", "is not a known key; it belongs into [[certificate]]"),
        ("trust", "ssh_key_file", "is not a known key; it belongs above the first table or into [[certificate]]"),
        ("source", "mode", "is not a known key"),
        ("source", "key_file", "is not a known key"),
    ],
)
def test_a_key_in_another_table(table: str, key: str, problem: str) -> None:
    """The one or two tables that have it are named."""
    document: dict[str, dict[str, str]] = {"source": {"url": "sqlite:////x.db"}, "trust": {}}
    document[table][key] = "x"
    with pytest.raises(ConfigError) as caught:
        parse(AgentSettings, document, "agent.toml")
    assert [str(finding) for finding in caught.value.findings] == [f"{table}.{key}: {problem}"]


def test_a_preset_says_all_that_is_known_about_a_service() -> None:
    """Every one is well formed, and no code names a service or its program."""
    presets = {name: Presets(Path("agent.toml")).load(name) for name in NAMES}
    words = {word for name, preset in presets.items() if preset for word in (name, *preset.programs, *preset.units)}
    assert {"apache", "nginx", "apachectl"} <= words
    for file in (ROOT / "agent").rglob("*.py"):
        constants = {node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)}
        assert not constants & words, file
