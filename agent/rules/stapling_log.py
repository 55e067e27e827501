"""The symptoms of stapling in the end of an error log. Pure."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from agent.model.dialect import Dialect
from agent.model.stapling import Symptom

_DAY = 86400
_NUMBERS = re.compile(r"\.\d+")  # parts of a second


def symptoms(log: str, text: str, dialect: Dialect, now: float) -> list[Symptom]:
    """The symptoms in the last day's lines before *now* (epoch seconds) of *text*, the end of the file *log*. A line
    without a moment that can be read counts as one of today."""
    lines = [line for line in text.splitlines() if any(sign in line for sign, _ in dialect.symptoms)]
    recent = [line for line in lines if _moment(line, dialect.log_time, now) > now - _DAY]
    return list(_found(log, recent, dialect.symptoms))


def _found(log: str, lines: list[str], signs: Iterable[tuple[str, str]]) -> Iterator[Symptom]:
    for sign, meaning in signs:
        if hits := [line for line in lines if sign in line]:
            yield Symptom(sign, meaning, log, len(hits), hits[-1])


def _moment(line: str, form: str, now: float) -> float:
    """When a line was written; the time zone is that of this machine, as it is for the service."""
    text = _NUMBERS.sub("", line, count=1)
    words = len(form.split())
    try:
        return datetime.strptime(" ".join(text.split()[:words]), form).astimezone().timestamp()
    except ValueError:
        return now
