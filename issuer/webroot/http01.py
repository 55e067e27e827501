"""The challenge type http-01: a file in the webroot of each name (RFC 8555 §8.3). Imports nothing that connects."""

from collections.abc import Callable, Sequence
from shlex import quote

from common.errors import UsageError
from common.names import in_url
from issuer.model.acme import CaChallenge, Challenge
from issuer.model.enrolment import Validation
from issuer.rules.challenges import token_of
from issuer.webroot.location import parse_location, refuse_wildcard


class Http01:
    """The challenge type of rows with certbot = Y; see :class:`issuer.journey.solver.ChallengeType`."""

    name = "http-01"
    standing = False
    ready = "its web server serves that webroot"
    from_outside = "check the web site from outside: the CA fetches http://NAME/.well-known/acme-challenge/ on port 80"

    def chosen_by(self, validation: Validation) -> bool:
        return validation.certbot

    def require(self, validation: Validation, names: Sequence[str]) -> None:
        """Raises UsageError for a malformed webroot_path and for a wildcard. Does not look for the folder."""
        hint = "give --webroot like /var/www/html or sftp://user@host/var/www/html, or leave it out for dns-01"
        try:
            parse_location(validation.webroot_path)
            for name in names:
                hint = f"leave --webroot out for dns-01, or add --by {quote(f'{name}=dns-01')}"
                refuse_wildcard(name)
        except ValueError as error:
            raise UsageError(str(error), hint=hint, reference="webroot-path") from error

    def owner(self, name: str) -> str:
        """The web site's name."""
        return name

    def content(self, challenge: CaChallenge, name: str, key_authorization: Callable[[str], str]) -> str:
        """The key authorization, which is the content of the file."""
        return key_authorization(token_of(challenge, name))

    def is_answer(self, value: str, key_authorization: Callable[[str], str]) -> bool:
        return value == key_authorization(value.partition(".")[0])

    def instruction(self, entry: Challenge) -> str:
        """The URL of the file, and below it the content."""
        token = entry.value.partition(".")[0]
        return f"http://{in_url(entry.owner)}/.well-known/acme-challenge/{token}\n    {entry.value}"

    def leaves(self, names: Sequence[str]) -> str:
        return ""  # each file is removed after its order
