"""An agent.toml of a test, read."""

import tomllib
from pathlib import Path

import pytest

from agent.model.certificate import Certificate
from agent.settings.config import AgentSettings, resolve
from common.config import parse
from common.errors import ConfigError


def certificates(text: str) -> tuple[Certificate, ...]:
    document = {"source": {"url": "sqlite:////x.db"}, **tomllib.loads(text)}
    return resolve(parse(AgentSettings, document, "agent.toml"), Path("agent.toml"))


def findings(text: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        certificates(text)
    return {finding.path: finding.problem for finding in caught.value.findings}


ENTRY = '[[certificate]]\nname = "www.example.com"\nkey = "/k.pem"\n'
