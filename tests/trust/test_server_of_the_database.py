"""A thief has the server of the database: he answers what he likes, and asks for files of his clients."""

from pathlib import Path

from tests.agent.host import Host
from tests.issuer.box import Box
from tests.servers.broken_sql import ANSWERS, serving
from tests.servers.database import SqliteDatabase
from tests.trust.thief import Thief


def test_the_server_of_the_database(host: Host, tmp_path: Path) -> None:
    """Every answer of his is a sentence about the database: nothing is sent to him, and no command ends otherwise."""
    thief, sent, broken = Thief("The server of the database"), list[bytes](), list[str]()
    box = Box(tmp_path / "box", SqliteDatabase(tmp_path))
    box.set_up()
    for number, (kind, answer) in enumerate(ANSWERS.items()):
        place = tmp_path / f"{number}"
        host.configure(source=f'url = "mysql://agent@localhost/certfleet?unix_socket={place}"')
        box.write(database={"url": f"mysql://issuer@localhost/certfleet?unix_socket={place}"})
        with serving(place, answer) as heard:
            for done in (host.run(), box.run("status")):
                well = done.code == 1 and "the database" in done.err and "a fault in certfleet" not in done.err
                broken += [] if well else [f"{kind}: {done.err}"]
        sent += heard
    thief.tries("a file of a host or of the issuer, by asking for it (LOCAL INFILE)", got=any(sent))
    thief.tries("the end of a command without a sentence, by answers that break the protocol", got=bool(broken))
    assert not broken, "\n".join(broken)
    thief.is_told()
