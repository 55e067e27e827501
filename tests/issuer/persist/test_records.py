"""Who is asked for a record: the zone's own servers, for a resolver may say for hours that there is none."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from common.errors import Retry
from issuer.dns.records import Records
from issuer.model.acme import Challenge
from issuer.model.config import DnsSettings
from issuer.model.errors import DnsError
from tests.issuer.fakes.world import World
from tests.servers.knot import Knot
from tests.servers.ports import free_port, release_port
from tests.servers.resolver import Resolver

NAME = "shop.example.test"
OWNER = f"_validation-persist.{NAME}"
VALUE = "authority.example; accounturi=https://ca.test/acct/1"
RECORD = f'_validation-persist.shop TXT "{VALUE}"'
HOSTS = ["@ NS ns1", "@ NS ns2", "ns1 A 127.0.0.2", "ns2 A 127.0.0.3"]
ENTRY = Challenge("dns-persist-01", NAME, "https://ca.test/a/1", "https://ca.test/c/1", OWNER, "", VALUE)


@dataclass
class Served:
    """example.test on two servers at addresses of their own, and a resolver that asks the first one."""

    folder: Path
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.servers = [
            Knot(self.folder / address, addresses=[address], port=self.port) for address in ("127.0.0.2", "127.0.0.3")
        ]
        self.resolver = Resolver(self.folder / "resolver", f"127.0.0.2:{self.port}")

    def start(self, *records: list[str], configured: bool = False) -> Records:
        """Serve what each server is to have, on as many servers as there are lists. *configured*: the configuration
        names them."""
        for server, lines in zip(self.servers, records, strict=False):
            server.static_zone("example.test", [*HOSTS, *lines])
            server.start()
        self.resolver.start()
        named = tuple(f"127.0.0.{number}:{self.port}" for number in (2, 3)) if configured else ()
        return Records(DnsSettings(resolvers=(self.resolver.endpoint,), nameservers=named), port=self.port)

    def close(self) -> None:
        for server in (self.resolver, *self.servers):
            server.close()
        release_port(self.port)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.close()


def place(records: Records) -> tuple[str, str]:
    world = World()
    return records.place(NAME, world.row(world.enrol(NAME)))


def test_every_server_of_the_zone_has_to_have_it(served: Served) -> None:
    """One that was not told of the change yet is named; nothing is waited for, because nothing of ours is under way."""
    records = served.start([RECORD], [])
    [laggard] = records.unseen([ENTRY])
    assert str(laggard) == f"{OWNER} at ns2.example.test (127.0.0.3:{served.port}): there is no TXT record"
    with pytest.raises(DnsError, match="there is no TXT record") as caught:
        place(records)
    assert "ns2.example.test" in caught.value.why
    assert "ns1.example.test" not in caught.value.why
    assert records.patience == 0


def test_a_silent_server_is_left_out(served: Served) -> None:
    """A CA asks another one too."""
    records = served.start([RECORD])
    assert place(records) == (OWNER, "")
    assert records.unseen([ENTRY]) == []


def test_a_resolver_that_remembers_that_there_was_none(served: Served) -> None:
    """As after a first look before the record was published."""
    records = served.start([], [])
    assert served.resolver.txt(OWNER) == set()
    for server in served.servers:
        zone = server.folder / "example.test.zone"
        zone.write_text(zone.read_text().replace(" 1 3600", " 2 3600") + f"{RECORD}\n")
        server.stop()
        server.start()
    assert served.resolver.txt(OWNER) == set()
    assert place(records) == (OWNER, "")


@pytest.mark.parametrize("configured", [False, True])
def test_an_alias_and_a_record_in_pieces(served: Served, *, configured: bool) -> None:
    """The record may stand in another zone, where the resolvers follow, and in several strings."""
    alias = ["_validation-persist.shop CNAME shop.records.test."]
    served.servers[0].static_zone("records.test", [*HOSTS, f'shop TXT "{VALUE[:20]}" "{VALUE[20:]}"'])
    records = served.start(alias, alias, configured=configured)
    assert place(records) == (OWNER, "")
    assert records.unseen([ENTRY]) == []


def test_an_alias_inside_the_zone(served: Served) -> None:
    """The zone's servers show its end themselves, so no resolver can have an older answer."""
    alias = "_validation-persist.shop CNAME all-records"
    records = served.start([alias, f'all-records TXT "{VALUE}"'], [alias, "all-records TXT other"])
    [laggard] = records.unseen([ENTRY])
    assert "127.0.0.3" in laggard.who


def test_nobody_answers(served: Served) -> None:
    """That is passing trouble, not a record that is missing."""
    records = Records(DnsSettings(resolvers=(f"127.0.0.2:{served.port}",)), port=served.port)
    with pytest.raises(DnsError, match="cannot be looked up") as caught:
        place(records)
    assert caught.value.retry is Retry.SOON


def test_nothing_is_ever_taken_away(served: Served) -> None:
    """Neither publishing nor withdrawing changes anything; there is no server to ask for it."""
    records = served.start([RECORD], [RECORD])
    records.publish([ENTRY])
    records.withdraw([ENTRY])
    assert records.unseen([ENTRY]) == []
    assert records.keeper(ENTRY) == ""
