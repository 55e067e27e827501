"""What a limit of a CA holds up, by the messages that CAs send."""

import pytest

from issuer.ca import words
from issuer.model.errors import AcmeProblem
from issuer.model.limits import ACCOUNT
from issuer.rules.scope import hold_scope

NAME = "the certificate"
SEE = ": see https://letsencrypt.org/docs/rate-limits/"
AGAIN = ", retry after 2026-01-02 03:04:05 UTC"


def limited(why: str, status: int = 429, *, kind: str = "rateLimited", resource: str = "newOrder") -> AcmeProblem:
    return AcmeProblem("refused", why=why, kind=kind, status=status, resource=resource)


@pytest.mark.parametrize(
    "why",
    [
        # Boulder
        f"too many new orders (300) from this account in the last 3h0m0s{AGAIN}{SEE}#new-orders-per-account",
        f"too many new orders recently{SEE}",
        f"too many currently pending authorizations{SEE}",
        f"too many new registrations (10) from this IP address in the last 3h0m0s{AGAIN}{SEE}",
        'too many new registrations (500) from this /48 subnet of IPv6 addresses in the last 3h0m0s, retry after "…"',
        "Service busy; retry later.",
        "Your IP, 192.0.2.1, is temporarily blocked",
        "Rate limit for '/acme/new-order' reached",
        'Rate limit for "/directory" reached',
        # others
        "Too many requests",
        "Too many requests for www.shop.example",
        "The number of requests from this account is too high",
        "Quota exceeded for quota metric 'New orders' of project 17",
        "too many concurrent orders",
        "ACME account has reached its limit of orders",
        "the server is overloaded",
        "too many certificates for this account in the last 24 hours",
        "scheduled maintenance",
        # nothing said: a gateway counts requests
        "",
        "rateLimited",
        '"www.example.com"',
    ],
)
def test_a_limit_on_everything(why: str) -> None:
    """The whole account waits."""
    assert hold_scope(limited(why), NAME) == ACCOUNT


@pytest.mark.parametrize(
    "why",
    [
        # Boulder
        f'too many certificates (50) already issued for "example.com" in the last 168h0m0s{AGAIN}{SEE}',
        f"Error creating new order :: too many certificates already issued for: requests.example{SEE}",
        f'too many certificates (50) already issued for "selfservice.example" in the last 168h0m0s{AGAIN}{SEE}',
        f'too many certificates (50) already issued for "requests.example" in the last 168h0m0s{AGAIN}{SEE}',
        f"too many certificates (50) already issued for service.example in the last 168h0m0s{AGAIN}{SEE}",
        f"too many certificates (50) already issued for this-account.example{AGAIN}{SEE}",
        f"too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s{AGAIN}{SEE}",
        f"too many certificates (5) already issued for this exact set of domains in the last 168 hours{SEE}",
        "too many certificates already issued for exact set of domains: orders.example,api.orders.example",
        f'too many failed authorizations (5) for "service.example" in the last 1h0m0s{AGAIN}{SEE}#new-orders',
        f"too many failed authorizations recently{SEE}",
        "Your account is temporarily prevented from requesting certificates for shop.example and possibly others."
        " Please visit: https://portal.letsencrypt.org/sfe/v1/unpause?jwt=orders.of.this.account",
        # others
        "too many failed validations for service.example",
        "certificate limit for the registered domain reached",
        "duplicate certificate limit exceeded",
        "the identifier “server.example” was validated too often",
        "too many certificates for the name `load.example`",
        "slow down with www.account.example.",
        "write to requests@service.example about that certificate",
    ],
)
def test_a_limit_on_one_name(why: str) -> None:
    """The names and addresses that a CA quotes are no evidence, whatever words they are made of."""
    assert hold_scope(limited(why), NAME) == NAME


@pytest.mark.parametrize("why", ["", 'too many certificates issued for "example.com"', "come back later"])
@pytest.mark.parametrize(
    ("status", "resource"), [(503, ""), (503, "newOrder"), (429, "newAccount"), (429, "newNonce"), (429, "keyChange")]
)
def test_the_status_and_what_was_asked_tell_more_than_words(why: str, status: int, resource: str) -> None:
    """A busy server, and a limit on what knows no name."""
    assert hold_scope(limited(why, status, resource=resource), NAME) == ACCOUNT


def test_the_identifiers_of_the_document_tell_more_than_words() -> None:
    """RFC 8555 §6.7.1: a subproblem says which identifier it is about."""
    inner = {"detail": "too many requests", "identifier": {"type": "dns", "value": "A.example"}}
    found = words.problem({"type": "urn:ietf:params:acme:error:rateLimited", "subproblems": [inner, 3, {}]})
    assert found.identifiers == ("a.example",)
    problem = AcmeProblem("no", why=found.detail, kind="rateLimited", status=429, identifiers=found.identifiers)
    assert hold_scope(problem, NAME) == NAME
    problem.identifiers = ()
    assert hold_scope(problem, NAME) == ACCOUNT


def test_an_answer_without_a_problem_document() -> None:
    """A gateway before the CA counts requests, whatever its page says."""
    assert hold_scope(limited("HTTP 429 and no problem document of ACME", kind=""), NAME) == ACCOUNT
