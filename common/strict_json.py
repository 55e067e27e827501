"""JSON (RFC 8259) from files and cells that others may have written. Pure.

Python's own parser takes more than JSON: Infinity and NaN, and 1e400, which becomes one. They go through every check of
a type, and fail where they become a moment or a number of attempts.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar, get_origin

from common.dataclasses import fields

T = TypeVar("T")
_LONGEST_NUMBER = 20  # characters of a 64-bit one, with its sign


def parse_json(content: bytes | str) -> Any:
    """The value in *content*. Raises ValueError with a sentence."""
    try:
        return json.loads(content, parse_constant=_refuse, parse_float=_finite, parse_int=_whole)
    except RecursionError as error:
        raise ValueError("its brackets are nested too deep") from error


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse("a number without end")


def _whole(text: str) -> int:
    return int(text) if len(text) <= _LONGEST_NUMBER else _refuse(f"a number of {len(text)} digits")


def checked(found: T) -> T:
    """*found* itself, a dataclass made from a document; TypeError where a text, a whole number or a mapping is none."""
    for field in fields(found):  # type: ignore[arg-type]
        kind = get_origin(field.type) or field.type
        if kind in (str, int, Mapping) and not isinstance(getattr(found, field.name), kind):
            raise TypeError(f"{field.name} has a value of another kind")
    return found
