"""Which challenge of each authorization is answered, and with what. Pure."""

import re
from collections.abc import Callable, Sequence

from common.errors import Retry
from issuer.model.acme import CaAuthorization, CaChallenge, Challenge
from issuer.model.errors import AcmeProblem

_DEAD = ("invalid", "deactivated", "expired", "revoked")  # RFC 8555 §7.1.6

Place = Callable[[str], tuple[str, str]]
"""(owner, zone) of the answer for an identifier."""
Content = Callable[[CaChallenge, str], str]
"""The answer to a challenge for an identifier. Raises AcmeProblem for a challenge that is malformed."""


def pending(authorizations: Sequence[CaAuthorization]) -> list[CaAuthorization]:
    """Those of *authorizations* that want an answer; valid ones need none. Raises AcmeProblem: Retry.LATER for one that
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
    authorizations: Sequence[CaAuthorization],
    names: Sequence[str],
    kind: str,
    content: Content,
    place: Place,
) -> list[Challenge]:
    """The answers to publish for each pending authorization, by the challenge type *kind*. Raises AcmeProblem. Only for
    *names*, which are the order's: nothing is published for a name that the CA made up."""
    ours = {name.removeprefix("*.") for name in names}
    entries = []
    for authorization in pending(authorizations):
        if authorization.identifier not in ours:
            why = f"it asks about {authorization.identifier or 'no name'}"
            raise AcmeProblem("the CA wants proof for a name that was not ordered", why=why, retry=Retry.LATER)
        challenge = _offered(authorization, kind)
        owner, zone = place(authorization.identifier)
        entries.append(
            Challenge(
                type=kind,
                identifier=authorization.identifier,
                authorization_url=authorization.url,
                url=challenge.url,
                owner=owner,
                zone=zone,
                value=content(challenge, authorization.identifier),
            )
        )
    return entries


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
