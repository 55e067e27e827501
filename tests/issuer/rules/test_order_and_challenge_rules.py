"""The table of order states, and what is published for an authorization."""

import dataclasses
import itertools

import pytest

from common.errors import Retry
from issuer.model.acme import CaAuthorization, CaChallenge, Problem
from issuer.model.errors import AcmeProblem
from issuer.model.orders import ENDED, TRANSITIONS, OrderState, check_move
from issuer.rules.challenges import Answer, answers, failure, pending, token_of

TOKEN = "T" * 43
NAMES = ["www.example.test", "*.example.test"]
LISTED = {(old, new) for old, following in TRANSITIONS.items() for new in following}


@pytest.mark.parametrize(
    ("old", "new"), list(itertools.product(OrderState, OrderState)), ids=lambda state: state.value.lower()
)
def test_every_move(old: OrderState, new: OrderState) -> None:
    """A listed move is allowed; every other one is a RuntimeError that names both states."""
    if (old, new) in LISTED:
        check_move(old, new)
        return
    with pytest.raises(RuntimeError, match=f"from {old.value} to {new.value}"):
        check_move(old, new)


def test_the_table_is_the_design() -> None:
    """The path of the design is listed, every state under way may fail, and the ended ones are STORED and FAILED."""
    path = ["PLANNED", "ORDERED", "PUBLISHED", "VISIBLE", "VALIDATED", "FINALIZING", "STORED"]
    assert {(OrderState(old), OrderState(new)) for old, new in itertools.pairwise(path)} < LISTED
    assert {OrderState.STORED, OrderState.FAILED} == ENDED
    assert all((state, OrderState.FAILED) in LISTED for state in set(OrderState) - ENDED)
    assert set(TRANSITIONS) == set(OrderState)


def challenge(kind: str = "dns-01", token: str = TOKEN, error: Problem | None = None) -> CaChallenge:
    return CaChallenge(kind, f"https://ca.test/{kind}", token, "pending", error)


def authorization(status: str = "pending", *challenges: CaChallenge, name: str = "www.example.test") -> CaAuthorization:
    return CaAuthorization("https://ca.test/authz/1", name, status, challenges or (challenge("http-01"), challenge()))


def answer(name: str) -> Answer:
    """By dns-01, with the token itself as the answer."""
    identifier = name.removeprefix("*.")
    return Answer(
        "dns-01", lambda challenge: token_of(challenge, identifier), lambda: (f"_acme-challenge.{identifier}", name)
    )


def test_an_answer_is_what_the_journal_needs() -> None:
    """Type, URLs, owner, zone and value of the challenge of the wanted type."""
    [entry] = answers([authorization()], NAMES, answer)
    assert (entry.type, entry.url, entry.owner) == (
        "dns-01",
        "https://ca.test/dns-01",
        "_acme-challenge.www.example.test",
    )
    assert (entry.zone, entry.value, entry.id) == ("www.example.test", TOKEN, 0)


def test_what_is_valid_already_wants_no_answer() -> None:
    """Authorizations that the CA reuses are left out; of wildcard and apex each gets its own value."""
    some = [authorization("valid"), authorization(), authorization("pending", challenge(token="U" * 43))]
    assert len(pending(some)) == 2
    assert [entry.value for entry in answers(some, NAMES, answer)] == [TOKEN, "U" * 43]


@pytest.mark.parametrize("status", ["invalid", "expired", "revoked", "deactivated"])
def test_a_dead_authorization_ends_the_order(status: str) -> None:
    """The CA's own words, or the status."""
    with pytest.raises(AcmeProblem, match="the CA has ended the authorization") as caught:
        pending([authorization(), authorization(status)])
    assert caught.value.retry is Retry.LATER
    assert (
        failure(authorization(status, challenge(error=Problem("dns", "no TXT found"))))
        == "www.example.test: no TXT found"
    )


@pytest.mark.parametrize("status", ["", "new-in-2030"])
def test_what_is_no_authorization_ends_nothing(status: str) -> None:
    """JSON of somebody else, or a status that no RFC names: the CA has not said no."""
    with pytest.raises(AcmeProblem, match="no authorization: its status is") as caught:
        pending([authorization(), authorization(status)])
    assert caught.value.retry is Retry.SOON


@pytest.mark.parametrize("token", ["", "short", "../../etc/passwd" + "x" * 30, "a b" * 20, "x" * 513, TOKEN + "\n"])
def test_a_token_that_is_not_base64url(token: str) -> None:
    """A malformed token is never published, nor made part of a file name."""
    with pytest.raises(AcmeProblem, match=r"token for www.example.test is malformed"):
        answers([authorization("pending", challenge(token=token))], NAMES, answer)


def test_a_challenge_that_is_not_offered() -> None:
    """The refusal names what is offered, and trying again is hopeless."""
    with pytest.raises(AcmeProblem, match=r"does not offer dns-01 for www.example.test: it offers http-01") as caught:
        answers([authorization("pending", challenge("http-01"))], NAMES, answer)
    assert caught.value.retry is Retry.NEVER


def test_each_name_is_answered_in_its_own_way() -> None:
    """A wildcard and its base are two authorizations for one identifier; the mark tells them apart (RFC 8555 §7.1.4).
    Where a CA leaves it out, the order decides."""
    asked: list[str] = []

    def noted(name: str) -> Answer:
        asked.append(name)
        return answer(name)

    base = authorization(name="example.test")
    wild = dataclasses.replace(base, wildcard=True)
    answers([wild, base], ["example.test", "*.example.test"], noted)
    answers([base], ["*.example.test"], noted)
    assert asked == ["*.example.test", "example.test", "*.example.test"]


@pytest.mark.parametrize("name", ["victim.example.test", "a..b", "a" * 300 + ".example.test", "*.www.example.test", ""])
def test_a_name_that_was_not_ordered(name: str) -> None:
    """The CA says for which names it wants proof; of those only the order's own get any, and a wildcard its base."""
    with pytest.raises(AcmeProblem, match="a name that was not ordered"):
        answers([authorization(name=name)], NAMES, answer)
    assert answers([authorization(name="example.test")], NAMES, answer)
