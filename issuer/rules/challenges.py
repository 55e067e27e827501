"""Which challenge of each authorization is answered, and with what. Pure."""

import re
from collections.abc import Callable, Sequence

from common.dataclasses import dataclass
from common.errors import Retry
from issuer.model.acme import CaAuthorization, CaChallenge, Challenge
from issuer.model.errors import AcmeProblem

_DEAD = ("invalid", "deactivated", "expired", "revoked")  # RFC 8555 §7.1.6


@dataclass(frozen=True, slots=True)
class Answer:
    """How a name is answered for: by the challenge *type*. *content* makes the answer to its challenge, and raises
    AcmeProblem for a malformed one; *place* finds the (owner, zone) of the answer."""

    type: str
    content: Callable[[CaChallenge], str]
    place: Callable[[], tuple[str, str]]


def pending(authorizations: Sequence[CaAuthorization]) -> list[CaAuthorization]:
    """The *authorizations* that want an answer; valid ones need none. Raises AcmeProblem: Retry.LATER for one that
    the CA has ended, SOON for an unknown status, because something other than the CA may have answered."""
    odd = [authorization for authorization in authorizations if authorization.status not in ("pending", "valid")]
    dead = [authorization for authorization in odd if authorization.status in _DEAD]
    if dead:
        why = "; ".join(map(failure, dead))
        raise AcmeProblem("the CA has ended the authorization", why=why, retry=Retry.LATER, url=page(dead))
    if odd:
        raise AcmeProblem("the CA's answer is no authorization", why=f"its status is {odd[0].status or 'missing'}")
    return [authorization for authorization in authorizations if authorization.status == "pending"]


def answers(
    authorizations: Sequence[CaAuthorization], names: Sequence[str], answer: Callable[[str], Answer]
) -> list[Challenge]:
    """The answers to publish for each pending authorization, each as *answer* says for its name. Raises AcmeProblem.
    Only for *names*, which are the order's: nothing is published for a name that the CA made up."""
    entries = []
    for authorization in pending(authorizations):
        way = answer(_ordered(authorization, names))
        challenge = _offered(authorization, way.type)
        owner, zone = way.place()
        entries.append(
            Challenge(
                type=way.type,
                identifier=authorization.identifier,
                authorization_url=authorization.url,
                url=challenge.url,
                owner=owner,
                zone=zone,
                value=way.content(challenge),
            )
        )
    return entries


def _ordered(authorization: CaAuthorization, names: Sequence[str]) -> str:
    """The one of *names* that *authorization* is for, also where the CA does not mark a wildcard. Raises
    AcmeProblem."""
    for name in (authorization.name, f"*.{authorization.identifier}", authorization.identifier):
        if name in names:
            return name
    why = f"it asks about {authorization.identifier or 'no name'}"
    raise AcmeProblem("the CA wants proof for a name that was not ordered", why=why, retry=Retry.LATER)


def failure(authorization: CaAuthorization) -> str:
    """One line about a failed authorization, with the CA's own words where it gave any."""
    errors = [challenge.error for challenge in authorization.challenges if challenge.error]
    return f"{authorization.identifier}: {errors[0].detail if errors else authorization.status}"


def page(authorizations: Sequence[CaAuthorization]) -> str:
    """The page for people that the CA names for a failed challenge; "" without one."""
    errors = [challenge.error for each in authorizations for challenge in each.challenges]
    return next((error.url for error in errors if error and error.url), "")


def token_of(challenge: CaChallenge, identifier: str) -> str:
    """The token of a challenge for *identifier*: base64url, at least 128 bits (RFC 8555 §8.3, §8.4), so safe as part of
    a file name. Raises AcmeProblem with Retry.LATER."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{22,512}", challenge.token):
        raise AcmeProblem(f"the CA's token for {identifier} is malformed", retry=Retry.LATER)
    return challenge.token


def _offered(authorization: CaAuthorization, kind: str) -> CaChallenge:
    for challenge in authorization.challenges:
        if challenge.type == kind:
            return challenge
    offered = ", ".join(challenge.type for challenge in authorization.challenges) or "nothing"
    what = f"the CA does not offer {kind} for {authorization.identifier}"
    raise AcmeProblem(what, why=f"it offers {offered}", retry=Retry.NEVER)
