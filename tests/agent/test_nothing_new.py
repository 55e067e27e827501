"""The run of most days: nothing is new. It looks at everything all the same, and pays only for what it uses."""

import json

import pytest

from tests.agent.accounts import Agents, source_lines
from tests.agent.host import Host
from tests.servers.nginx import Nginx

HEAVY = {"cryptography", "structlog", "alembic", "sqlalchemy", "acme", "dns", "josepy", "subprocess", "paramiko"}
LIGHT_BUT_UNUSED = {"email", "http", "xml", "tempfile", "shutil", "bz2", "lzma", "zlib", "hmac", "secrets", "random"}
LIGHT_BUT_UNUSED |= {"dataclasses", "inspect"}
OURS_UNUSED = {"agent.model.stapling", "common.probe.eap", "common.probe.radius"}
UNUSED = HEAVY | LIGHT_BUT_UNUSED | OURS_UNUSED
LOADED = """
import json, sys
from agent.__main__ import main
code = main()
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


def loaded(host: Host, code: int = 0) -> set[str]:
    """The modules that a run without news imports."""
    done = host.run(program=LOADED, fresh=True)
    assert done.code == code, done.err
    assert not any(one["changed"] for one in done.json["certificates"])
    return set(json.loads(done.err.splitlines()[-1]))


@pytest.mark.parametrize("count", [1, 20])
def test_no_news_from_sqlite(host: Host, nginx: Nginx, count: int) -> None:
    """No X.509, logging, MySQL, mail or HTTP, however many certificates there are; the socket is looked at."""
    host.fill(count)
    first = host.run()
    assert (first.code, len(first.json["certificates"])) == (0, count), first.err
    imported = loaded(host)
    assert not imported & {*UNUSED, "pymysql"}
    assert {"ssl", "sqlite3"} <= imported


@pytest.mark.parametrize("count", [1, 20])
def test_no_news_from_a_server(host: Host, nginx: Nginx, agents: Agents, count: int) -> None:
    """The same over a database server with verified TLS, where PyMySQL would import cryptography if it could."""
    settings = agents.settings()
    probe = [f"https://127.0.0.1:{nginx.port}"]
    host.configure(check=nginx.check, activate=nginx.activate, probe=probe, source=source_lines(settings))
    host.fill(count, agents.enrol)
    first = host.run()
    assert (first.code, len(first.json["certificates"])) == (0, count), first.err
    imported = loaded(host)
    assert not imported & UNUSED
    assert {"ssl", "pymysql"} <= imported


def test_no_news_while_the_source_is_away(host: Host, nginx: Nginx) -> None:
    """Nothing is staged, and so nothing is parsed."""
    host.offer_new()
    assert host.run().code == 0
    host.database.rename(host.database.with_suffix(".away"))
    assert not loaded(host, code=1) & {"cryptography", "agent.journey.take"}
