"""--dry-run tells what would be done, and --staging orders for test: nothing that is stored changes."""

import pytest

from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
from tests.servers.ca_proxy import CaProxy
from tests.servers.lab import Lab
from tests.servers.process import wait_until

NAME, OTHER = "www.example.test", "mail.example.test"


def test_a_dry_run_asks_the_ca_for_nothing(proxied: Box, proxy: CaProxy) -> None:
    """What is due, where and how; a failure with what to do; no order, no account, no record, the same in --json."""
    proxied.enrol(NAME)
    proxied.populate(OTHER)  # without a zone
    before = proxied.contents()
    for words in (("run", "--dry-run"), ("issue", "--dry-run", NAME, OTHER)):
        outcome = proxied.run(*words)
        assert outcome.code == 1
        begin = f"{NAME}: would be ordered at {proxy.directory} by dns-01 in _acme-challenge.{NAME}: "
        assert begin in outcome.out
        assert f"{OTHER}: would fail\n" in outcome.out
        assert f"error: {OTHER}: would fail: " in outcome.err
        assert "  what to do: " in outcome.err
        assert "dry run, nothing was done: 1 would be ordered, 1 would fail\n" in outcome.out
    report = proxied.run("run", "--dry-run", "--json").report()
    assert report["dry_run"] is True
    assert {one["name"]: one["ending"] for one in report["certificates"]} == {
        NAME: "would be ordered",
        OTHER: "would fail",
    }
    assert [request.path for request in proxy.seen if request.method == "POST"] == []
    assert proxied.contents() == before
    assert proxied.txt(NAME) == set()
    proxied.ok("disable", NAME)
    assert f"_acme-challenge.{NAME}: asked for by hand\n" in proxied.ok("issue", "--dry-run", NAME).out


def test_a_dry_run_tells_what_it_has_not_tried(box: Box, lab: Lab) -> None:
    """The sub-zone is missing, the zone above is served there: an update would be refused, and `check` finds that."""
    lab.bind.static_zone("example.test")
    lab.bind.reconfigure()
    box.populate(NAME)
    outcome = box.ok("run", "--dry-run")
    assert f"{NAME}: would be ordered" in outcome.out
    assert "was not tried: `check` tries it" in outcome.out
    assert "`check` tries it" in box.ok("run", "--dry-run", "--json").report()["not_tried"]
    box.fails("check", NAME, says=["REFUSED"])
    box.fails("run", says=["REFUSED"])
    box.ok("disable", NAME)
    assert "tried" not in box.ok("run", "--dry-run").out
    assert box.ok("run", "--dry-run", "--json").report()["not_tried"] is None


def test_a_dry_run_beside_the_daemon(box: Box) -> None:
    """It needs no lock, and hands nothing over."""
    name = box.enrol(NAME)
    box.ok("run")
    with Service(box):
        assert "would be ordered" in box.ok("reissue", "--dry-run", name).out
        assert f"{name}: not due (valid, until" in box.ok("run", "--dry-run", name).out
    assert box.row(name, "reissue_reason") == (None,)


def test_staging_orders_in_earnest_and_stores_nothing(box: Box) -> None:
    """A certificate of another account, which only the output tells; then nothing of it is left but that account."""
    name = box.enrol(NAME)
    box.ok("run")
    box.forget_validations()
    box.write(acme={"staging": box.document["acme"]["directory"]})
    before = box.contents()
    for words in (("issue", "--staging", name), ("reissue", "--dry-run", "--staging", "--all")):
        outcome = box.ok(*words)
        assert f"{name}: issued for test (serial " in outcome.out
        assert "nothing is stored: 1 issued for test\n" in outcome.out
    assert "nothing is due\n" in box.ok("run", "--staging").out
    assert box.contents() == before
    assert box.txt(name) == set()
    folder = box.state_dir / "staging"
    assert sorted(file.name for file in folder.iterdir()) == ["account.pem", "accounts.json", "issuer.id"]
    assert (folder / "account.pem").read_bytes() != (box.state_dir / "account.pem").read_bytes()


@pytest.mark.soak
def test_a_failure_at_staging_is_no_failure_of_ours(proxied: Box, proxy: CaProxy) -> None:
    """It is told with its cause; no count, no hold, no mail, no next attempt."""
    name = proxied.enrol(NAME)
    proxied.write(acme={"staging": proxied.document["acme"]["directory"].replace("/dir", "/nowhere")})
    before = proxied.contents()
    outcome = proxied.fails("issue", "--staging", name, says=[f"{name}: would fail", "what to do: "])
    assert "next attempt" not in outcome.out + outcome.err
    assert proxied.contents() == before


def test_a_ca_without_a_known_staging_directory(box: Box) -> None:
    """The setting is named."""
    name = box.enrol(NAME)
    box.refused("issue", "--staging", name, code=2, says=["no staging directory of https://", "`staging` in [acme]"])


@pytest.fixture
def left(box: Box) -> Box:
    """A process with a staging order was killed when its answer was published. The row is disabled."""
    name = box.enrol(NAME)
    box.ok("disable", name)
    box.write(acme={"staging": box.document["acme"]["directory"]})
    right = list(box.document["dns"]["nameservers"])
    box.write(dns={"nameservers": [*right, "127.0.0.1:9"]})  # one that never shows it
    with box.start("issue", "--staging", name) as process:
        wait_until(lambda: bool(box.txt(name)), "the answer is published")
        process.kill()
    box.write(dns={"nameservers": right})
    assert len(box.txt(name)) == 1
    return box


@pytest.mark.sampled
@pytest.mark.parametrize("next_words", [["run"], ["issue", "--staging", NAME]], ids=" ".join)
def test_what_a_killed_staging_order_has_published_is_withdrawn(left: Box, next_words: list[str]) -> None:
    """By the next command, whichever it is; then nothing is left of it."""
    left.ok(*next_words)
    assert left.txt(NAME) == set()
    assert not list((left.state_dir / "staging").glob("staging.db*"))


def test_the_daemon_withdraws_it_too(left: Box) -> None:
    """At its start."""
    with Service(left):
        wait_until(lambda: not left.txt(NAME), "the answer is withdrawn")


@pytest.mark.soak
def test_a_wish_takes_over_from_a_person(box: Box) -> None:
    """As `issue` does; a `run` leaves the steps by hand alone, and at the staging directory nothing is ordered then."""
    name = box.enrol(NAME)
    box.ok("challenges", name)
    before = box.contents()
    assert "1 would go on" in box.ok("issue", "--dry-run", name).out
    box.write(acme={"staging": box.document["acme"]["directory"]})
    told = box.ok("run", "--staging").out
    assert "by hand until" in told
    assert "nothing was ordered at" in told
    assert box.contents() == before
    box.ok("issue", name)
