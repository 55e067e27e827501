"""`certfleet-agent probe` beside what the source has, in rounds, for monitoring."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.agent.host import NAME, Host
from tests.servers.nginx import Nginx
from tests.servers.ports import free_port, release_port


def test_what_is_served_and_what_the_source_has(host: Host, nginx: Nginx) -> None:
    """A match after the install; older once the source has a newer one, a warning for monitoring; then nothing is
    known of the name, and at last nobody can be asked."""
    target = f"https://{NAME}?connect=127.0.0.1:{nginx.port}"
    first = host.sign(not_before=datetime.now(UTC) - timedelta(days=1))
    host.offer(first.cert_pem, first.chain_pem)
    assert host.run().code == 0
    (seen,) = host.agent("probe", target, "--json").json["targets"]
    assert seen["database"] == {"verdict": "match", "why": "", "name": NAME}
    host.offer_new()
    done = host.agent("probe", target, "--nagios")
    assert (done.code, done.out.count("\n"), done.out[:16]) == (1, 1, "PROBE WARNING - "), done.out
    assert "it is not what the database has: it is older, with the same key; the database has serial" in done.out
    host.sql("DELETE FROM certs")
    unknown, unread = host.agent("probe", target), host.agent("probe", target, "--config", "/nonexistent")
    assert (unknown.code, unread.code) == (0, 0)
    assert "not verifiable; the database has no certificate for this name" in unknown.out
    assert "not verifiable; /nonexistent: no such file" in unread.out


def test_rounds_of_a_service_that_is_down(host: Host, tmp_path: Path) -> None:
    """Each failure with its time; the numbers say that nothing is served. A wrong target of a plugin is UNKNOWN."""
    host.configure()
    port, file = free_port(), tmp_path / "probe.prom"
    target = f"https://{NAME}?connect=127.0.0.1:{port}"
    done = host.agent("probe", target, "--repeat", "2", "--every", "1s", "--textfile", str(file))
    release_port(port)
    assert done.code == 1
    failures = re.findall(r"^  (\S+)  \S+  127\.0\.0\.1:\d+  \S+  Connection refused$", done.out, re.MULTILINE)
    assert (len(failures), len(set(failures)), "2 rounds, 2 failures" in done.out) == (2, 2, True), done.out
    assert re.search(r'^certfleet_probe_served\{.*address="127\.0\.0\.1:\d+".*\} 0\.0$', file.read_text(), re.MULTILINE)
    alone = host.agent("probe", target, "--every", "1m")
    assert (alone.code, "--every is for --repeat" in alone.err) == (2, True)
    wrong = host.agent("probe", "gopher://h", "--nagios")
    assert (wrong.code, wrong.out[:16]) == (3, "PROBE UNKNOWN - ")
