"""BIND takes zones and signed updates as its class promises, and its secondaries follow or lag."""

import math
import time
from pathlib import Path

import dns.query
import dns.rcode
import dns.tsigkeyring
import dns.update
import pytest

from tests.servers.bind import Bind
from tests.servers.process import wait_until

ZONE = "shop.example.test"
CHALLENGE = f"_acme-challenge.{ZONE}"


def update(bind: Bind, key: Path, zone: str, owner: str, value: str, *, rdtype: str = "TXT") -> str:
    """Send one signed update and say how the server answered it."""
    words = key.read_text(encoding="ascii").replace('"', " ").replace(";", " ").split()
    name, algorithm, secret = (words[words.index(word) + 1] for word in ("key", "algorithm", "secret"))
    message = dns.update.UpdateMessage(zone, keyring=dns.tsigkeyring.from_text({name: (algorithm, secret)}))
    message.replace(f"{owner}.", 1, rdtype, value)
    return dns.rcode.to_text(dns.query.tcp(message, bind.address, port=bind.port, timeout=5).rcode())


def test_bind_lets_a_key_write_its_name_and_nothing_else(bind: Bind) -> None:
    """The update-policy allows TXT at the challenge name; another name, type or zone is refused."""
    key = bind.tsig_key("shop", "hmac-sha512")
    other = bind.tsig_key("other")
    bind.static_zone("example.test", ["www A 127.0.0.1"])
    bind.dynamic_zone(ZONE, "shop")
    bind.dynamic_zone("_acme-challenge.www.example.test", "shop")
    bind.reconfigure()
    assert update(bind, key, ZONE, CHALLENGE, "one") == "NOERROR"
    assert bind.txt(CHALLENGE) == {"one"}
    assert update(bind, key, ZONE, f"www.{ZONE}", "one") == "REFUSED"
    assert update(bind, key, ZONE, CHALLENGE, "127.0.0.1", rdtype="A") == "REFUSED"
    assert update(bind, other, ZONE, CHALLENGE, "two") == "REFUSED"
    assert update(bind, key, "example.test", "_acme-challenge.example.test", "one") == "REFUSED"
    own = "_acme-challenge.www.example.test"
    assert update(bind, key, own, own, "three") == "NOERROR"
    assert bind.txt(own) == {"three"}
    bind.restart()
    assert bind.txt(CHALLENGE) == {"one"}


def test_bind_takes_a_hundred_zones_at_once(bind: Bind) -> None:
    """Many zones cost one reconfiguration."""
    bind.tsig_key("acme")
    for number in range(100):
        bind.dynamic_zone(f"z{number}.example.test", "acme")
    bind.reconfigure()
    assert all(bind.serial(f"z{number}.example.test") == 1 for number in range(100))


def test_a_rewritten_static_zone_is_served_at_once(bind: Bind) -> None:
    """Describing a hand-written zone again replaces it, however soon."""
    for value in ("one", "two", "three"):
        bind.static_zone("example.test", [f'@ TXT "{value}"'])
        bind.reconfigure()
        assert bind.txt("example.test") == {value}


def test_secondaries_follow_lag_or_wait(bind: Bind, tmp_path: Path) -> None:
    """One secondary follows at once, one lags by six seconds, one waits until it is told."""
    key = bind.tsig_key("acme")
    bind.dynamic_zone(ZONE, "acme")
    bind.reconfigure()
    with (
        Bind(tmp_path / "prompt", secondary_of=bind) as prompt,
        Bind(tmp_path / "late", secondary_of=bind, lag_seconds=6) as late,
        Bind(tmp_path / "told", secondary_of=bind, lag_seconds=math.inf) as told,
    ):
        changed = time.monotonic()
        update(bind, key, ZONE, CHALLENGE, "value")
        wait_until(lambda: prompt.txt(CHALLENGE) == {"value"}, "the prompt secondary has the value")
        assert late.txt(CHALLENGE) == set()
        wait_until(lambda: late.txt(CHALLENGE) == {"value"}, "the late secondary has the value")
        assert time.monotonic() - changed >= 6
        assert told.txt(CHALLENGE) == set()
        told.refresh()
        assert told.txt(CHALLENGE) == {"value"}


def test_a_refresh_meets_a_change(bind: Bind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zone that changes once more right after its transfer is transferred again."""
    key = bind.tsig_key("acme")
    bind.dynamic_zone(ZONE, "acme")
    bind.reconfigure()
    has = Bind._has

    def has_at_first(server: Bind, name: str, *, level: bool) -> bool:
        if not has(server, name, level=level):
            return False
        if bind.txt(CHALLENGE) == {"first"}:  # just now it was level
            update(bind, key, ZONE, CHALLENGE, "second")
        return has(server, name, level=level)

    with Bind(tmp_path / "told", secondary_of=bind, lag_seconds=math.inf) as told:
        update(bind, key, ZONE, CHALLENGE, "first")
        monkeypatch.setattr(Bind, "_has", has_at_first)
        told.refresh()
        assert told.txt(CHALLENGE) == {"second"}


def test_secondaries_get_zones_described_later(bind: Bind, tmp_path: Path) -> None:
    """A zone added to a running primary reaches its secondary with the same reconfiguration."""
    with Bind(tmp_path / "secondary", secondary_of=bind) as secondary:
        bind.static_zone("late.test", ['@ TXT "here"'])
        bind.reconfigure()
        assert secondary.txt("late.test") == {"here"}
