"""Notices to people and their programs about a certificate after a run, and the means that carry them."""

from agent.model.certificate import Means
from agent.model.result import Result
from common.clock import utc_text
from common.dataclasses import dataclass
from common.text import storable

_LONGEST = 20_000  # characters of a sentence in the environment


@dataclass(frozen=True, slots=True)
class Notice:
    """The news that a certificate was *installed*, or is not well; and the *means* by which people are told."""

    result: Result
    installed: bool
    means: tuple[Means, ...]

    @property
    def sentence(self) -> str:
        """The news in one line."""
        result = self.result
        if self.installed and result.installed is not None:
            new = result.installed
            words = f"{result.name}: installed serial {new.serial} until {utc_text(new.not_after)}"
            return f"{words} ({result.outcome.value})"
        return f"{result.name}: {result.outcome.value}: {result.explanation}"

    def facts(self, host: str) -> dict[str, str]:
        """For the environment of a command, which takes no NUL and 128 KB a variable (execve(2)); nothing secret."""
        result, new = self.result, self.result.installed
        return {
            "CERTFLEET_EVENT": "installed" if self.installed else "failure",
            "CERTFLEET_HOST": host,
            "CERTFLEET_NAME": result.name,
            "CERTFLEET_STATE": result.outcome.value,
            "CERTFLEET_DETAIL": storable(result.explanation, _LONGEST),
            "CERTFLEET_HINT": storable(result.hint, _LONGEST),
            "CERTFLEET_SERIAL": new.serial if new is not None else "",
            "CERTFLEET_SHA256": new.sha256 if new is not None else "",
            "CERTFLEET_NOT_AFTER": utc_text(new.not_after) if new is not None else "",
            "CERTFLEET_FILES": "\n".join(new.files) if new is not None else "",
        }
