"""JSON (RFC 8259) from files and cells that others may have written, and values of ours in it. Pure.

Python's own parser takes more than JSON: Infinity and NaN, and 1e400, which becomes one. They go through every check of
a type, and fail where they become a moment or a number of attempts.
"""

import json
import math
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache, partial
from pathlib import PurePath
from types import UnionType
from typing import Any, NoReturn, TypeVar, get_args, get_origin

from common.dataclasses import fields, is_dataclass

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


def made(kind: type[T], document: Any) -> T:
    """A *kind* of what `document_of` made of one, and JSON brought back; KeyError, TypeError or ValueError for anything
    else. A field that is not there has its default, and what is no field is passed over: an earlier or a later version
    may have written it."""
    wanted: Any = kind
    found: T = _reader(wanted)(document)
    return found


def document_of(value: Any) -> Any:
    """*value* as JSON has it: dataclasses as mappings of their fields, a byte as the character of that number."""
    if is_dataclass(value):
        return {field.name: document_of(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: document_of(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return list(map(document_of, value))
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, PurePath) else value


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """The function that makes a *kind*, which is looked at once for all values: a type as dataclasses' fields have."""
    origin, inside = get_origin(kind) or kind, get_args(kind)
    make: Callable[..., Any] = kind
    if origin is UnionType:  # with None
        read = _reader(inside[0])
        return lambda value: None if value is None else read(value)
    if origin is tuple:
        read = _reader(inside[0])
        return lambda value: tuple(map(read, _a(list, value)))
    if origin is Mapping:
        read = _reader(inside[1])
        return lambda value: {name: read(one) for name, one in _a(dict, value).items()}
    if is_dataclass(kind):
        kinds: dict[str, Any] = {field.name: field.type for field in fields(kind)}
        each = {name: _reader(one) for name, one in kinds.items()}
        return lambda value: make(**{name: each[name](one) for name, one in _a(dict, value).items() if name in each})
    if kind is bytes:
        return lambda value: _a(str, value).encode("latin-1")
    return make if issubclass(kind, Enum | PurePath) else partial(_a, kind)


def _a(kind: type[T], value: Any) -> T:
    """*value* itself. Raises TypeError unless it is of that kind."""
    if not isinstance(value, kind):
        raise TypeError(f"{value!r:.80} is no {kind.__name__}")
    return value
