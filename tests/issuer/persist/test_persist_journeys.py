"""dns-persist-01 from enrolment to a stored certificate: a real name server with a hand-written zone, and a CA that
reads it by the draft."""

import signal
import time
from collections.abc import Callable
from ipaddress import ip_address

import pytest
from cryptography import x509

from tests.issuer.crash.killer import killed_run
from tests.issuer.persist.conftest import NAME, Shop
from tests.issuer.signing_requests import csr
from tests.servers.lab import Lab

WILD = f"*.{NAME}"


def names(shop: Shop, name: str = NAME) -> set[str]:
    (pem,) = shop.box.row(name, "crt")
    found = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return set(found.value.get_values_for_type(x509.DNSName))


@pytest.mark.sampled
@pytest.mark.parametrize("draft", ["00", "01", "02"])
def test_from_enrolment_to_a_stored_certificate(shop: Shop, draft: str) -> None:
    """`zone --persist`, paste, `populate --by`, `run`: no name server that we can write, no key; the record stays."""
    shop.ca.draft = draft
    value = shop.value(NAME, WILD)
    assert value.endswith("; policy=wildcard")
    shop.publish(value)
    shop.populate(NAME, WILD)
    shop.box.ok("check", NAME)
    assert f"by dns-persist-01 in _validation-persist.{NAME}:" in shop.box.ok("run", "--dry-run").out
    shop.box.ok("run")
    assert names(shop) == {NAME, WILD}
    assert sorted(shop.ca.looked) == sorted([NAME, WILD])
    assert shop.bind.txt(f"_validation-persist.{NAME}") == {value}
    assert shop.box.database.query("SELECT * FROM challenges") == []


@pytest.mark.soak
def test_over_every_database(shop_on_either: Shop) -> None:
    """The journal has room for the type's name."""
    shop_on_either.publish(shop_on_either.value())
    shop_on_either.populate()
    shop_on_either.box.ok("run")
    assert names(shop_on_either) == {NAME}


@pytest.mark.soak
def test_one_name_by_its_record_and_another_by_its_zone(shop: Shop) -> None:
    """The ways stand side by side in one order; what we published is gone afterwards, and the record is not."""
    value = shop.value()
    shop.publish(value)
    shop.populate(NAME, "www.example.test", by=f"{NAME}=dns-persist-01")
    assert shop.box.row(NAME, "validations") == (f"{NAME} dns-persist-01",)
    shop.box.fails("run", says=["dns.server", "the address of the name server that takes the updates"])
    key = str(shop.bind.tsig_key("acme"))
    shop.box.write(dns={"server": shop.bind.address, "port": shop.bind.port, "tsig_key_file": key})
    shop.box.add_zone("www.example.test")
    shop.bind.reconfigure()
    shop.box.ok("run", "--retry")
    assert names(shop) == {NAME, "www.example.test"}
    assert shop.ca.looked == [NAME]
    assert shop.bind.txt(f"_validation-persist.{NAME}") == {value}
    assert shop.box.txt("www.example.test") == set()
    assert shop.box.database.query("SELECT * FROM challenges") == []


@pytest.mark.soak
def test_a_row_goes_over_to_its_record(shop: Shop) -> None:
    """`populate --replace` with the same CSR and another way, and back for one name."""
    shop.box.populate(NAME, WILD)
    shop.publish(shop.value(NAME, WILD))
    request = csr([NAME, WILD])
    shop.box.ok("populate", "--replace", NAME, "--csr", "-", "--by", "dns-persist-01", stdin=request)
    assert shop.box.row(NAME, "validations") == ("* dns-persist-01",)
    shop.box.ok("run")
    assert names(shop) == {NAME, WILD}
    shop.box.ok("populate", "--replace", NAME, "--csr", "-", "--by", f"{WILD}=dns-01", stdin=request)
    assert shop.box.row(NAME, "validations") == (f"* dns-persist-01\n{WILD} dns-01",)
    assert f"dns-persist-01; {WILD} by dns-01" in shop.box.ok("status", NAME).out


def refused(shop: Shop, *says: str) -> None:
    """`run` and `check` both say it, the CA is never told to look, and nothing is left."""
    shop.populate(NAME, WILD)
    before = shop.bind.txt(f"_validation-persist.{NAME}")
    outcome = shop.box.fails("run", says=[*says, "the CA was not asked to look"])
    assert "publish" in outcome.err
    assert shop.ca.looked == []
    assert shop.bind.txt(f"_validation-persist.{NAME}") == before
    assert shop.box.database.query("SELECT * FROM challenges") == []
    checked = shop.box.run("check", NAME)
    assert checked.code == 1
    for phrase in says:
        assert phrase in checked.out


def test_no_record(shop: Shop) -> None:
    """Nothing was ordered for it, and the error names the command that prints the record."""
    shop.populate()
    says = ["there is no TXT record", f"zone --persist {NAME}", f"_validation-persist.{NAME}"]
    shop.box.fails("run", says=says)
    assert shop.box.orders() == []
    assert [line for line in shop.ca.proxy.paths("order") if line.payload] == []
    assert "there is no TXT record" in shop.box.run("check", NAME).out


@pytest.mark.soak
def test_the_record_of_another_ca(shop: Shop) -> None:
    shop.publish(shop.value(NAME, WILD).replace("authority.example", "other.example"))
    refused(shop, "no record is for authority.example", "other.example; accounturi=")


@pytest.mark.soak
def test_another_account(shop: Shop) -> None:
    value = shop.value(NAME, WILD)
    account = value.partition("accounturi=")[2].partition(";")[0]
    shop.publish(value.replace(account, f"{account}0"))
    refused(shop, f"is for another account than {account}")


def test_no_wildcard(shop: Shop) -> None:
    """Of a certificate for both, the name itself would pass; nothing is ordered."""
    shop.publish(shop.value(NAME))
    refused(shop, "lacks policy=wildcard")
    assert shop.box.orders() == []


def test_the_end_has_passed(shop: Shop) -> None:
    shop.publish(f"{shop.value(NAME, WILD)}; persistUntil=1700000000")
    refused(shop, "has counted no more since 2023-11-14", "persistUntil")
    assert shop.box.orders() == []


def test_malformed(shop: Shop) -> None:
    value = shop.value(NAME, WILD)
    shop.publish(f"{value}; policy=wildcard")
    refused(shop, "is malformed (policy=wildcard)")
    assert shop.box.orders() == []


@pytest.mark.soak
def test_one_good_record_is_enough(shop: Shop) -> None:
    """Beside those of other CAs, accounts and times, in capitals, with what only a later draft knows."""
    value = shop.value(NAME, WILD)
    shop.publish(
        "other.example; accounturi=https://other.example/1",
        f"{value}; persistUntil=1",
        "no record at all",
        value.replace("authority.example", "Authority.Example.").replace("=wildcard", "=WILDCARD") + "; later=x",
    )
    shop.populate(NAME, WILD)
    shop.box.ok("check", NAME)
    shop.box.ok("run")
    assert names(shop) == {NAME, WILD}


@pytest.mark.parametrize(("days", "level"), [(29, "warn"), (31, "ok")])
def test_check_warns_before_the_end(shop: Shop, days: int, level: str) -> None:
    shop.publish(f"{shop.value()}; persistUntil={int(time.time()) + days * 86400}")
    shop.populate()
    lines = shop.box.ok("check", NAME).out.splitlines()
    [line] = [line for line in lines if "_validation-persist" in line]
    assert line.startswith(level)
    assert ("the record counts until" in line) is (level == "warn")


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("place", "when"),
    [
        ("issuer.store.journal:Journal.add", "after"),
        ("issuer.dns.records:Records.unseen", "after"),
        ("issuer.ca.client:AcmeCa.answer", "after"),
        ("issuer.dns.records:Records.withdraw", "before"),
    ],
)
def test_killed_in_between(shop: Shop, place: str, when: str) -> None:
    """The next run finishes it; the record is a person's and stays."""
    value = shop.value()
    shop.publish(value)
    shop.populate()
    assert killed_run(shop.box, place, when, 1) == -signal.SIGKILL
    assert shop.bind.txt(f"_validation-persist.{NAME}") == {value}
    shop.box.ok("run")
    assert names(shop) == {NAME}
    assert shop.bind.txt(f"_validation-persist.{NAME}") == {value}
    assert shop.box.database.query("SELECT * FROM challenges") == []


def test_by_hand(shop: Shop) -> None:
    """`challenges` needs no record yet, and prints it; `solve` looks at it before the CA does."""
    shop.populate(NAME, WILD)
    told = shop.box.ok("challenges", NAME).out
    value = shop.value(NAME, WILD)
    assert f'_validation-persist.{NAME}. 3600 IN TXT "{value}"' in told
    outcome = shop.box.run("solve", NAME)
    assert outcome.code == 1
    assert "there is no TXT record" in outcome.out
    assert shop.ca.looked == []
    shop.publish(value)
    shop.box.ok("solve", NAME)
    assert "stored" in shop.box.ok("request", NAME).out


def test_caa_is_asked_by_its_name(shop: Shop) -> None:
    """RFC 8657: what CAA allows for dns-01 only is forbidden to it."""
    owner = f"_validation-persist.{NAME}."
    shop.zone(f'{owner} TXT "{shop.value()}"', '@ CAA 0 issue "authority.example; validationmethods=dns-01"')
    shop.populate()
    assert "does not allow validation by dns-persist-01" in shop.box.run("check", NAME).out


def test_status_and_remove_know_the_type(shop: Shop) -> None:
    """`remove` says what the record still allows."""
    shop.populate()
    [fact] = shop.box.ok("status", NAME, "--json").report()["certificates"]
    assert (fact["validated_by"], fact["validated_otherwise"]) == ("dns-persist-01", {})
    assert "dns-persist-01" in shop.box.ok("status", NAME).out
    assert f"in DNS stay _validation-persist.{NAME}" in shop.box.ok("remove", NAME, "--yes").out


def test_zone_prints_lines_to_paste(shop: Shop) -> None:
    """One for each name, for people and for programs; the line is taken by a name server as it is."""
    printed = shop.box.ok("zone", "--persist", NAME, WILD, "www.example.test").out
    records = shop.told(NAME, WILD, "www.example.test")
    assert [record["owner"] for record in records] == [
        f"_validation-persist.{NAME}",
        "_validation-persist.www.example.test",
    ]
    for record in records:
        assert record["line"] in printed.splitlines()
    shop.zone(
        *(record["line"].partition(". 3600")[0] + "." + record["line"].partition(". 3600 IN")[2] for record in records)
    )
    assert shop.bind.txt(f"_validation-persist.{NAME}") == {records[0]["value"]}


def test_a_ca_that_does_not_tell_its_names(shop: Shop, lab: Lab) -> None:
    """Another one's record is printed all the same; without any the command fails."""
    value = shop.value()
    shop.box.document["acme"]["fallback"] = [{"directory": lab.pebble.directory, "ca_bundle": str(lab.pebble.ca_file)}]
    shop.box.write()
    outcome = shop.box.ok("zone", "--persist", NAME, "--json")
    assert [record["value"] for record in outcome.report()] == [value]
    assert f"it cannot be told which record {lab.pebble.directory} wants: it has 0 issuer domain names" in outcome.err
    del shop.box.document["acme"]["fallback"]
    shop.box.trust(lab.pebble)
    shop.box.write()
    shop.box.refused("zone", "--persist", NAME, code=1, says=["it cannot be told which record", "challenges"])


def test_an_unknown_way_is_refused(shop: Shop) -> None:
    """At `populate`; in a row that an old script wrote, by a sentence and never by dns-01."""
    words = ["populate", NAME, "--csr", "-", "--by"]
    for way in ("dns-persist-02", f"{NAME}=http-01"):
        shop.box.refused(
            *words, way, code=2, says=["is no way to validate a name", "dns-persist-01"], stdin=csr([NAME])
        )
    shop.populate()
    shop.box.database.execute("UPDATE certs SET validations = '* dns-persist-02'")
    shop.box.ok("adopt", NAME, "--yes")
    shop.box.fails("run", says=["'dns-persist-02' is no way to validate a name"])
    assert "'dns-persist-02' is no way to validate a name" in shop.box.run("check", NAME).out
    assert "dns-persist-02" in shop.box.run("status", NAME).out
    assert "'dns-persist-02' is no way" in shop.box.run("challenges", NAME).err
    assert shop.box.orders() == []
    shop.box.ok("remove", NAME, "--yes")


ADDRESS, LONG = "192.0.2.1", f"{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 43}.example.test"


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("name", "request_of"),
    [
        (ADDRESS, lambda: csr([], other_names=[x509.IPAddress(ip_address(ADDRESS))])),
        (LONG, lambda: csr([LONG], common_name="")),
    ],
    ids=["address", "long"],
)
def test_names_that_can_have_no_record(shop: Shop, name: str, request_of: Callable[[], bytes]) -> None:
    """An address, and a name whose record would be too long: at `populate`, and in a row that an old script made."""
    words = ["populate", name, "--csr", "-", "--by"]
    shop.box.refused(*words, "dns-persist-01", code=2, says=["dns-persist-01", name], stdin=request_of())
    shop.box.ok(*words, f"{name}=/var/www", stdin=request_of())
    shop.box.ok("enable", name)
    shop.box.database.execute("UPDATE certs SET validations = '* dns-persist-01'")
    shop.box.ok("adopt", name, "--yes")
    shop.box.fails("run", says=["dns-persist-01", name])
    assert f"{name}: {name} " in shop.box.run("check", name).out
    assert shop.box.orders() == []
    assert shop.box.run("zone", "--persist", name).code == 2


def test_malformed_challenges(shop: Shop) -> None:
    """Drafts: 1 to 10 issuer domain names. The CA is asked no more today."""
    shop.publish(shop.value())
    shop.populate()
    shop.ca.issuers = [f"ca{number}.example" for number in range(11)]
    shop.box.fails("run", says=[f"the CA's challenge for {NAME} is malformed", "11 issuer domain names"])
