"""The accounts that CAs gave us, in a file of the state folder: which URL belongs to which CA and key."""

from pathlib import Path

import structlog

from issuer.ca.memory import recall, remember

log = structlog.get_logger()


class AccountMemory:
    """*file* holds a JSON object. Each URL stands in it under the CA's directory, and under *account*, the identity of
    directory and key: a key that was named on purpose is told by it from one that the CA no longer takes."""

    def __init__(self, file: Path, directory: str, account: str):
        self._file = file
        self._directory = directory
        self._account = account

    @property
    def url(self) -> str:
        """The URL of our key's account when it was last heard of; "" if it never was."""
        url = recall(self._file).get(self._account)
        return url if isinstance(url, str) else ""

    def remember(self, url: str) -> None:
        """Save *url*. An error is logged if the CA gave us another account before: CAA records may name that one, and
        the new one has rate limits of its own."""
        known = recall(self._file)
        before = known.get(self._directory)
        if before == url == known.get(self._account):
            return
        if before and before != url:
            hint = (
                "if you did not change account_key, find out who did; CAA records with accounturi must name the new "
                "account"
            )
            log.error("account.changed", directory=self._directory, before=before, now=url, hint=hint)
        remember(self._file, {**known, self._directory: url, self._account: url})
