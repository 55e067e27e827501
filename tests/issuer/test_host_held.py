"""A person holds a certificate on a host: what the centre says of it, from `hold` there to `status` here."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.agent.host import NAME, Host
from tests.issuer.box import Box
from tests.servers.database import SqliteDatabase
from tests.servers.nginx import Nginx

WEEK = 7 * 86400


def test_a_hold_is_said_at_the_centre(tmp_path: Path) -> None:
    """While the host has the present certificate, and as the reason once it is behind; `release` ends both."""
    box, host = Box(tmp_path / "box", SqliteDatabase(tmp_path)), Host(tmp_path / "host")
    box.document["hosts"] = {"behind": "0s"}
    box.set_up()
    host.make_key()
    store(box, host, 90)
    host.put_placeholder()
    with Nginx(tmp_path / "nginx", host.fullchain, host.key, name=NAME) as nginx:
        host.served_by(nginx, source=f'url = "{box.database.url}"')
        assert host.run().code == 0
        words = ("hold", NAME, "--until", "2090-06-30T12:00Z", "--reason", "freeze before the fair")
        assert host.agent(*words).code == 0
        assert host.run().code == 0
        held = "held by hand until 2090-06-30T12:00:00Z: freeze before the fair"
        assert held in box.ok("status", NAME).out
        [fact] = box.ok("status", "--hosts", "--json").report()["hosts"]
        assert held in fact["detail"]
        store(box, host, 91)
        assert host.run().code == 0
        box.fails("status", NAME, says=["1 host behind", f"; its agent says: {held}"])
        assert host.agent("release", NAME).code == 0
        assert host.run().code == 0
        assert "held" not in box.ok("status", NAME).out


def store(box: Box, host: Host, days: int) -> None:
    """A certificate of the host's authority for so many days, which was stored a week ago."""
    issued = host.sign(days, not_before=datetime.now(UTC) - timedelta(days=8))
    (box.folder / "given.pem").write_bytes(issued.fullchain_pem)
    box.ok("import", NAME, "--crt", str(box.folder / "given.pem"))
    box.database.execute(f"UPDATE certs SET ts_last_update = ts_last_update - {WEEK}, hosts_look_at = 0")  # noqa: S608
