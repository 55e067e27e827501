"""A result as the state folder keeps it between runs, and how long a refused certificate waits."""

from collections.abc import Mapping
from typing import Any, TypeVar

from agent.model.offer import Mark, Offer, Staged
from agent.model.result import LONGEST_BACK_OFF, Installed, Outcome, Refusal, Result, Stated
from agent.model.waiting import Alarm, GoneBack, Pause, Postponed
from common.dataclasses import asdict
from common.strict_json import checked

T = TypeVar("T")
_BACK_OFF = (3600, 6 * 3600, LONGEST_BACK_OFF)  # seconds until it is tried again: once, twice, every further time
_MOST_REMEMBERED = 50  # leaves: of several years


def back_off(previous: Refusal | None, sha256: str, now: float) -> tuple[int, int]:
    """Number of this attempt at the certificate with *sha256*, and the moment of the next one in epoch seconds: later
    each time."""
    attempts = previous.attempts + 1 if previous is not None and previous.sha256 == sha256 else 1
    return attempts, int(now) + _BACK_OFF[min(attempts, len(_BACK_OFF)) - 1]


def remembered(before: Result, sha256: str) -> tuple[str, ...]:
    """The leaves that were installed here, with the one that is now."""
    was = (before.installed.sha256,) if before.installed is not None else ()
    return tuple(dict.fromkeys((sha256, *was, *before.past)))[:_MOST_REMEMBERED]


def to_document(result: Result) -> dict[str, Any]:
    """Texts, numbers and dictionaries, for JSON."""
    refusal = result.refusal
    return {
        "name": result.name,
        "outcome": result.outcome.value,
        "detail": result.detail,
        "hint": result.hint,
        "changed_at": result.since,
        "installed": asdict(result.installed) if result.installed else None,
        "refusal": {**asdict(refusal), "outcome": refusal.outcome.value} if refusal else None,
        "stated": asdict(result.stated) if result.stated else None,
        "past": list(result.past),
        "gone_back": asdict(result.gone_back) if result.gone_back else None,
        "pause": asdict(result.pause) if result.pause else None,
        "postponed": asdict(result.postponed) if result.postponed else None,
        "staged": _staged_document(result.staged) if result.staged else None,
        "disabled": result.disabled,
        "took_down": list(result.took_down),
        "alarm": asdict(result.alarm) if result.alarm else None,
        "unsent": result.unsent,
    }


def from_document(document: Mapping[str, Any]) -> Result:
    """The result in *document*; KeyError, TypeError or ValueError if it is none."""
    installed, refusal, stated = document["installed"], document["refusal"], document.get("stated")
    staged = document.get("staged")
    return Result(
        name=str(document["name"]),
        outcome=Outcome(document["outcome"]),
        detail=str(document["detail"]),
        hint=str(document.get("hint", "")),
        installed=_installed(installed) if installed else None,
        refusal=_refusal(refusal) if refusal else None,
        stated=Stated(int(stated["sequence"]), str(stated["sha256"]), str(stated["issuer_key"])) if stated else None,
        past=tuple(map(str, document.get("past", ()))),
        gone_back=_made(GoneBack, document.get("gone_back")),
        pause=_made(Pause, document.get("pause")),
        postponed=_made(Postponed, document.get("postponed")),
        staged=_staged(staged) if staged else None,
        alarm=_made(Alarm, document.get("alarm")),
        disabled=document.get("disabled") is True,
        took_down=tuple(map(str, document.get("took_down", ()))),
        since=int(document["changed_at"]),
        unsent=int(document["unsent"]),
    )


def _installed(document: Mapping[str, Any]) -> Installed:
    mark, chain = checked(Mark(**document["mark"])), tuple(document.get("chain", ()))
    return checked(Installed(**{**document, "mark": mark, "chain": chain}))


def pause_of(document: Mapping[str, Any]) -> Pause:
    """The pause in *document*; TypeError if it is none."""
    return checked(Pause(**document))


def _made(cls: type[T], document: Mapping[str, Any] | None) -> T | None:
    return checked(cls(**document)) if document else None


def _staged_document(staged: Staged) -> dict[str, Any]:
    """An octet is a character: Latin-1 has all, and an offer that comes back changed would be another one."""
    offer = {
        name: one.decode("latin-1") if isinstance(one, bytes) else one for name, one in asdict(staged.offer).items()
    }
    return {"mark": asdict(staged.mark), "offer": offer}


def _staged(document: Mapping[str, Any]) -> Staged:
    offer, mark = document["offer"], checked(Mark(**document["mark"]))
    leaf, chain = (offer[name].encode("latin-1") for name in ("leaf_pem", "chain_pem"))
    return Staged(mark, checked(Offer(**{**offer, "leaf_pem": leaf, "chain_pem": chain})))


def _refusal(document: Mapping[str, Any]) -> Refusal:
    mark = checked(Mark(**document["mark"]))
    return checked(Refusal(**{**document, "outcome": Outcome(document["outcome"]), "mark": mark}))
