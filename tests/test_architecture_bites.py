"""The rules of the architecture find what is planted: small trees with one offence each."""

from pathlib import Path

import pytest

from tests.test_architecture import PURE, faults

BY_NAME = "import importlib\nimportlib.import_module("
FOR_TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("issuer/helpers.py", "x = 1", "issuer.helpers lies on no floor"),
        ("issuer/rules/renewal.py", "import issuer.journey.issue", "imports issuer.journey.issue (floor 6)"),
        ("issuer/store/orders.py", "import issuer.journey.ports", "imports issuer.journey.ports (floor 6)"),
        ("issuer/loops/run.py", "import issuer.commands.wiring", "imports issuer.commands.wiring (floor 8)"),
        ("issuer/rules/renewal.py", "import time", "is pure and imports time"),
        ("issuer/rules/renewal.py", "from os import path", "is pure and imports os"),
        ("issuer/model/orders.py", "import socket", "is pure and imports socket"),
        (
            "issuer/model/orders.py",
            "from importlib import import_module\nimport_module('threading')",
            "imports threading",
        ),
        ("agent/rules/verify.py", "import subprocess", "is pure and imports subprocess"),
        ("agent/model/offer.py", "import secrets", "is pure and imports secrets"),
        ("agent/rules/verify.py", "from common import files", "is pure and imports common.files"),
        (
            "issuer/journey/issue.py",
            "from issuer.ca import client",
            "imports the adapter issuer.ca",
        ),
        ("issuer/loops/daemon.py", "from issuer.store import orders", "issuer.loops.daemon imports the adapter"),
        ("agent/journey/install.py", "import subprocess", "agent.journey.install imports the adapter subprocess"),
        (
            "issuer/journey/issue.py",
            f"{BY_NAME}'issuer.ca.client')",
            "imports the adapter",
        ),
        (
            "issuer/journey/issue.py",
            f"{BY_NAME}f'issuer.ca.{{1}}')",
            "imports the adapter",
        ),
        ("issuer/dns/write/update.py", "from agent import verify", "imports agent"),
        ("common/files.py", "from issuer.model.errors import DnsError", "imports issuer.model.errors"),
        ("agent/rules/verify.py", "def f():\n    import agent.model.certificate", "inside a function"),
        ("issuer/ca/client.py", f"{BY_NAME}input())", "whose name cannot be read"),
        ("agent/host/files.py", "import sqlalchemy.orm", "only issuer.store"),
        ("agent/model/offer.py", "from dataclasses import replace", "only common.dataclasses"),
        ("common/files.py", "from common import names", "import cycle: "),
        ("common/files.py", f"{FOR_TYPES}from common import names", "import cycle: "),
        ("common/files.py", "def f():\n    from common import names", "import cycle: "),
        ("common/files.py", f"{BY_NAME}'common.names')", "import cycle: "),
        ("issuer/store/orders.py", f"{FOR_TYPES}import issuer.journey.ports", "imports issuer.journey.ports (floor 6)"),
        ("issuer/journey/issue.py", f"{FOR_TYPES}from issuer.ca import client", "imports the adapter issuer.ca"),
        ("issuer/journey/issue.py", "what.partition('x')", "cuts a sentence: what.partition"),
        ("issuer/journey/issue.py", "str(error).split('x')", "cuts a sentence: str(error).split"),
        ("issuer/journey/issue.py", "text.removesuffix(': ')", "cuts a sentence: text.removesuffix"),
        ("issuer/journey/issue.py", "f'{one.what}: {one.why}'", "joins facts: f"),
        ("issuer/rules/retry.py", "f'{error}; {error.hint}'", "joins facts: f"),
        ("agent/journey/install.py", "x = one.what + ': ' + one.hint", "joins facts: one.what"),
        ("issuer/notify/events.py", "' '.join([one.why, one.hint])", "joins facts: ' '.join"),
        ("common/files.py", "x = 1\n" * 321, "has 322 lines"),
        ("common/files.py", "def f():\n" + "    f()\n" * 50, "files.f has 51 lines"),
    ],
)
def test_each_rule_can_fail(tmp_path: Path, name: str, text: str, expected: str) -> None:
    """A small tree with one fault in it is found to have that fault."""
    tree = {"issuer/ca/client.py": "", "issuer/store/orders.py": "", "issuer/journey/ports.py": ""}
    tree |= {"issuer/model/errors.py": "", "agent/rules/verify.py": "", "agent/model/certificate.py": ""}
    tree |= {"issuer/commands/wiring.py": "", "common/files.py": "", name: text}
    tree["common/names.py"] = "import common.files" if "names" in text else ""
    for path, content in tree.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'"""What it is for."""\n{content}', encoding="utf-8")
    assert any(expected in found for found in faults(tmp_path)), faults(tmp_path)


def test_nothing_that_acts_is_pure(tmp_path: Path) -> None:
    """Each module that touches machine, network, clock or chance is reported in rules and model of both sides."""
    acting = "socket os time threading subprocess secrets random ssl sqlite3 sqlalchemy urllib3 paramiko dns acme"
    for folder in PURE:
        file = tmp_path / f"{folder.replace('.', '/')}/one.py"
        file.parent.mkdir(parents=True)
        file.write_text("".join(f"import {name}\n" for name in acting.split()), encoding="utf-8")
    found = faults(tmp_path)
    for folder in PURE:
        for name in acting.split():
            assert f"{folder}.one is pure and imports {name}, which acts" in found
    for side, adapter in (("issuer", "issuer.store"), ("issuer", "issuer.ca"), ("agent", "agent.host")):
        source = tmp_path / f"{adapter.replace('.', '/')}/one.py"
        source.parent.mkdir(parents=True)
        source.touch()
        (tmp_path / side / "rules" / "one.py").write_text(f"from {adapter} import one\n", encoding="utf-8")
        assert any(f"{side}.rules.one (floor 3) imports {adapter}" in each for each in faults(tmp_path))


def test_a_module_without_a_docstring_is_found(tmp_path: Path) -> None:
    """Only an empty file may say nothing."""
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "__init__.py").touch()
    (tmp_path / "common" / "clock.py").write_text("x = 1\n", encoding="utf-8")
    assert faults(tmp_path) == ["common.clock does not say in a docstring what it is for"]
