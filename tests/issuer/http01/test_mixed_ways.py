"""One certificate whose names are validated in different ways: a wildcard by its zone, a site by a file."""

import pytest

from tests.issuer.box import Box
from tests.issuer.http01.conftest import NAME
from tests.issuer.http01.site import ZONE, Site
from tests.issuer.signing_requests import csr

WILD = f"*.{ZONE}"


def populate(site: Site, *ways: str, names: tuple[str, ...] = (ZONE, WILD)) -> None:
    """A row by a webroot, with *ways* for some names; the zone of the wildcard is served."""
    site.box.add_zone(WILD)
    site.lab.bind.reconfigure()
    options = [word for way in ways for word in ("--by", way)]
    said = site.box.ok("populate", ZONE, "--csr", "-", "--webroot", str(site.root), *options, stdin=csr(names)).out
    assert "when its web server serves that webroot and its sub-zone is in place" in said
    site.box.ok("enable", ZONE)


@pytest.mark.usefixtures("nginx")
def test_a_wildcard_by_dns_and_its_site_by_a_file(site: Site) -> None:
    """A real CA looks at both in one order; nothing is left in the zone, the webroot or the journal."""
    populate(site, f"{WILD}=dns-01")
    site.box.ok("check", ZONE)
    site.box.ok("run")
    assert site.names(ZONE) == {ZONE, WILD}
    assert site.ca_log().count("Pulled a task") == 2  # each name was validated, by its own type
    assert site.clean()
    assert site.box.txt(ZONE) == set()


@pytest.mark.usefixtures("nginx")
def test_status_tells_each_way(site: Site) -> None:
    """In words and for programs; `remove` names the zone that stays, and only that."""
    populate(site, f"{WILD}=dns-01")
    assert f"http-01 through {site.root}; {WILD} by dns-01" in site.box.ok("status", ZONE).out
    [fact] = site.box.ok("status", ZONE, "--json").report()["certificates"]
    assert (fact["validated_by"], fact["validated_otherwise"]) == ("http-01", {WILD: "dns-01"})
    assert f"in DNS stay _acme-challenge.{ZONE} and" in site.box.ok("remove", ZONE, "--yes").out


@pytest.mark.usefixtures("nginx")
def test_by_hand_each_answer_is_told_in_its_own_form(site: Site) -> None:
    """`challenges` prints a TXT record for the wildcard, and a URL with its content for the site."""
    populate(site, f"{WILD}=dns-01")
    told = site.box.ok("challenges", ZONE).out
    assert f'_acme-challenge.{ZONE}. 60 IN TXT "' in told
    assert f"http://{ZONE}/.well-known/acme-challenge/" in told


@pytest.mark.usefixtures("nginx")
def test_all_that_the_ca_offers(site: Site) -> None:
    """Each name with each type, known to us or not."""
    populate(site, f"{WILD}=dns-01")
    told = site.box.ok("challenges", ZONE).out
    answers = site.box.ok("challenges", ZONE, "--json").report()
    offered = [one for answer in answers for one in answer["offered"]]
    kinds = {(one["name"], one["type"]) for one in offered}
    assert kinds == {(WILD, "dns-01"), *((ZONE, kind) for kind in ("dns-01", "http-01", "tls-alpn-01"))}
    for one in offered:
        assert one["status"] == "pending"
        assert one["token"] in told
        assert one["url"] in told
    [unknown] = [one for one in offered if one["type"] == "tls-alpn-01"]
    assert unknown["publish"].startswith(f"{unknown['token']}.")
    [chosen] = [answer for answer in answers if answer["type"] == "http-01"]
    [by_file] = [one for one in offered if one["type"] == "http-01"]
    assert chosen["value"] in by_file["publish"]


@pytest.mark.usefixtures("misled")
def test_an_error_is_that_of_the_way_that_failed(site: Site) -> None:
    """The file is not served, the record is: the complaint is about the web server alone, and nothing is left."""
    populate(site, f"{WILD}=dns-01")
    outcome = site.box.fails("run", says=["the web server does not serve the challenge"])
    assert WILD not in outcome.err
    assert site.clean()
    assert site.box.txt(ZONE) == set()


@pytest.mark.usefixtures("nginx")
def test_the_row_outlives_its_certificate(site: Site) -> None:
    """The ways belong to what was enrolled: a second certificate is validated by them too."""
    populate(site, f"{WILD}=dns-01")
    site.box.ok("run")
    site.box.ok("reissue", ZONE)
    assert site.box.row(ZONE, "validations") == (f"{WILD} dns-01",)
    assert site.names(ZONE) == {ZONE, WILD}


@pytest.mark.parametrize(
    ("way", "says"),
    [
        (f"shop.{ZONE}=dns-01", ["does not say how one of the CSR's names is validated", f"{NAME}, {ZONE}"]),
        (ZONE, [f"{ZONE!r} is no way to validate a name", "dns-persist-01"]),
        (f"{ZONE}=", ["does not say how"]),
        (f"{ZONE}=html", ["'html' is no way to validate a name", "a webroot like /var/www/html"]),
        (f"{ZONE}=./html", ["must be an absolute path"]),
    ],
)
def test_what_is_no_way(lone_box: Box, way: str, says: list[str]) -> None:
    """A name that the CSR has not, a missing way, a webroot that is none: exit code 2, and nothing is enrolled."""
    before = lone_box.contents()
    lone_box.refused("populate", NAME, "--csr", "-", "--by", way, code=2, says=says, stdin=csr([NAME, ZONE]))
    assert lone_box.contents() == before


def test_a_wildcard_by_a_file_is_refused(lone_box: Box) -> None:
    """The hint says what to add."""
    words = ["populate", ZONE, "--csr", "-", "--webroot", "/var/www"]
    lone_box.refused(*words, code=2, says=["wildcard", f"--by '{WILD}=dns-01'"], stdin=csr([ZONE, WILD]))
    lone_box.refused(*words, "--by", f"{WILD}=/var/www", code=2, says=["wildcard"], stdin=csr([ZONE, WILD]))


def test_another_way_for_the_same_csr_is_told(lone_box: Box) -> None:
    """`populate --replace` with the CSR of the row changes the ways alone."""
    lone_box.ok("populate", ZONE, "--csr", "-", stdin=csr([ZONE, WILD]))
    words = ("populate", "--replace", ZONE, "--csr", "-", "--by", f"{ZONE}=/var/www")
    assert f"{ZONE} is validated by /var/www from now on" in lone_box.ok(*words, stdin=csr([ZONE, WILD])).out
    assert "from now on" not in lone_box.ok(*words, stdin=csr([ZONE, WILD])).out


def test_the_ways_of_a_csr_that_waits_do_so_with_it(lone_box: Box) -> None:
    """The present certificate is renewed by its own ones. A correction of the change keeps the ways that it had; the
    CSR that is in force drops them with it."""
    lone_box.ok("populate", ZONE, "--csr", "-", stdin=csr([ZONE]))
    lone_box.put_aged(ZONE, days=90, left=60)
    lone_box.ok("adopt", ZONE, "--yes")
    words = ("populate", "--replace", ZONE, "--csr", "-")
    said = lone_box.ok(*words, "--by", "/var/www", "--by", f"{WILD}=dns-persist-01", stdin=csr([ZONE, WILD])).out
    first, second = (
        f"{ZONE} is validated by /var/www for this CSR; until its certificate is stored, the present one is renewed by"
        " dns-01\n",
        f"{WILD} is validated by dns-persist-01 for this CSR\n",
    )
    assert first in said
    assert second in said
    assert lone_box.row(ZONE, "validations") == (None,)
    said = lone_box.ok("populate", "--append", ZONE, "--csr", "-", stdin=csr([ZONE, WILD, f"a.{ZONE}"])).out
    assert first in said
    assert second in said
    told = [line.split(None, 2)[2] for line in lone_box.run("status", ZONE).out.splitlines() if "validated by" in line]
    assert told == ["dns-01", f"http-01 through /var/www; {WILD} by dns-persist-01"]
    [fact] = lone_box.run("status", ZONE, "--json").report()["certificates"]
    assert (fact["validated_by"], fact["validated_otherwise"]) == ("dns-01", {})
    assert (fact["change"]["webroot"], fact["change"]["validated_otherwise"]) == ("/var/www", {WILD: "dns-persist-01"})
    assert "is dropped" in lone_box.ok(*words, stdin=csr([ZONE])).out
    assert lone_box.row(ZONE, "validations", "change_validations") == (None, None)


def test_a_way_for_the_present_certificate_is_told_with_the_way_back(lone_box: Box) -> None:
    """With the CSR that is in force a way counts for the next renewal."""
    lone_box.ok("populate", ZONE, "--csr", "-", stdin=csr([ZONE]))
    lone_box.put_aged(ZONE, days=90, left=60)
    lone_box.ok("adopt", ZONE, "--yes")
    said = lone_box.ok("populate", "--replace", ZONE, "--csr", "-", "--by", "/var/www", stdin=csr([ZONE])).out
    assert f"{ZONE} is validated by /var/www from now on: `certfleet-issuer check {ZONE}` tries it" in said
    assert f"--by {ZONE}=dns-01 goes back" in said
    assert "every row is sealed" in lone_box.ok("adopt", "--all", "--yes").out


def test_the_way_of_a_name_that_has_gone_is_not_told(lone_box: Box) -> None:
    """`status` speaks of the names that are enrolled."""
    lone_box.ok("populate", ZONE, "--csr", "-", "--by", f"{WILD}=dns-01", stdin=csr([ZONE, WILD]))
    assert f"{WILD} by dns-01" in lone_box.ok("status", ZONE).out
    lone_box.ok("populate", "--replace", ZONE, "--csr", "-", stdin=csr([ZONE]))
    assert f"{WILD} by" not in lone_box.ok("status", ZONE).out
