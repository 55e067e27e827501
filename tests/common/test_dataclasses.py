"""Our dataclasses beside the standard library's: the same class made by both does the same."""

import copy
import dataclasses as standard
from collections.abc import Callable, Mapping
from functools import cached_property
from types import ModuleType
from typing import Any, Generic, TypeVar

import pytest

from common import dataclasses as light

T = TypeVar("T")


def made(library: Any) -> dict[str, Any]:
    """One class of each kind that certfleet has."""

    @library.dataclass(frozen=True, slots=True)
    class Point:
        """A point."""

        x: int
        y: int = 7
        note: str = library.field(default="", compare=False)
        secret: str = library.field(default="s", repr=False)
        seen: list[int] = library.field(default_factory=list, metadata={"what": "places"})

        @property
        def sum(self) -> int:
            return self.x + self.y

    @library.dataclass(frozen=True, slots=True)
    class Checked(Point):
        z: int = 0

        def __post_init__(self) -> None:
            if self.z < 0:
                raise ValueError("below zero")

    @library.dataclass(frozen=True, slots=True)
    class Once(Checked):
        x: int = 5

    @library.dataclass(frozen=True, slots=True, kw_only=True)
    class Named(Generic[T]):
        a: T
        b: Mapping[str, Any] = library.field(default_factory=dict)

    @library.dataclass(slots=True)
    class Mutable:
        a: int
        b: tuple[Any, ...] = ()

    @library.dataclass(frozen=True, slots=True, order=True)
    class Ordered:
        a: int
        b: str

    @library.dataclass(frozen=True)
    class Cached:
        a: int
        b: int = 2

        @cached_property
        def sum(self) -> int:
            return self.a + self.b

        def __repr__(self) -> str:
            return "own"

    @library.dataclass
    class Bare:
        a: int = 1

    @library.dataclass(frozen=True, slots=True)
    class Empty:
        pass

    return {name: one for name, one in locals().items() if name != "library"}


OF = {library: made(library) for library in (standard, light)}
Do = Callable[[Any, dict[str, Any]], Any]
SAME: dict[str, Do] = {
    "construct": lambda _, of: of["Point"](1, note="n"),
    "properties": lambda _, of: of["Point"](1).sum,
    "defaults": lambda _, of: [of["Bare"].a, of["Bare"]().a, of["Cached"].b, of["Once"]().x, of["Once"](1, 2).y],
    "no shared list": lambda _, of: of["Point"](1).seen is of["Point"](1).seen,
    "inherited order": lambda _, of: of["Checked"](1, 2, "n", "s", [3], 4),
    "check": lambda _, of: of["Checked"](1, z=-1),
    "inherited check": lambda _, of: of["Once"](z=-1),
    "too many": lambda _, of: of["Mutable"](1, (), 3),
    "missing": lambda _, of: of["Point"](y=1),
    "missing and unknown": lambda _, of: of["Point"](q=1),
    "unknown": lambda _, of: of["Point"](1, q=1),
    "twice": lambda _, of: of["Point"](1, x=1),
    "only named": lambda _, of: of["Named"](1),
    "named": lambda _, of: of["Named"](a=1),
    "assign": lambda _, of: setattr(of["Point"](1), "x", 2),
    "assign without slots": lambda _, of: setattr(of["Cached"](1), "a", 2),
    "delete": lambda _, of: delattr(of["Cached"](1), "a"),
    "assign what may change": lambda _, of: setattr(of["Mutable"](1), "a", 2),
    "no such slot": lambda _, of: setattr(of["Mutable"](1), "q", 2),
    "cached": lambda _, of: of["Cached"](1).sum,
    "own repr": lambda _, of: of["Cached"](1),
    "equal": lambda _, of: [
        of["Ordered"](1, "b") == of["Ordered"](1, "b"),
        of["Ordered"](1, "b") == of["Ordered"](1, "c"),
        of["Ordered"](1, "b") == (1, "b"),
        of["Point"](1, note="n") == of["Point"](1, note="m"),
        of["Point"](1) == of["Checked"](1),
        of["Empty"]() == of["Empty"](),
        of["Bare"](1) != of["Bare"](2),
    ],
    "hashed": lambda _, of: len({of["Ordered"](1, "b"), of["Ordered"](1, "b"), of["Ordered"](1, "c")}),
    "hashed empty": lambda _, of: len({of["Empty"](), of["Empty"]()}),
    "hashed with a list": lambda _, of: hash(of["Point"](1)),
    "hashed, though it may change": lambda _, of: hash(of["Mutable"](1)),
    "sorted": lambda _, of: sorted([of["Ordered"](2, "a"), of["Ordered"](1, "b"), of["Ordered"](1, "a")]),
    "ordered": lambda _, of: of["Ordered"](1, "a") <= of["Ordered"](2, "") > of["Ordered"](1, "z"),
    "ordered with another": lambda _, of: of["Ordered"](1, "a") < (1, "b"),
    "not ordered": lambda _, of: of["Bare"](1) < of["Bare"](2),
    "slots": lambda _, of: [hasattr(of[name](1), "__dict__") for name in ("Point", "Once", "Bare")],
    "names": lambda _, of: [of["Point"].__qualname__.rpartition(".")[2], of["Point"].__doc__, of["Point"].__module__],
    "match": lambda _, of: [of[name].__match_args__ for name in ("Point", "Once", "Named", "Empty")],
    "shallow copy": lambda _, of: copy.copy(of["Bare"](3)),
}  # fmt: skip


def outcome(do: Do, functions: ModuleType, classes: dict[str, Any]) -> str:
    """The outcome, or the kind of error."""
    try:
        return repr(do(functions, classes))
    except (TypeError, ValueError, AttributeError) as error:
        kinds = [kind for kind in (TypeError, ValueError, AttributeError) if isinstance(error, kind)]
        return str(kinds)


@pytest.mark.parametrize("what", SAME)
def test_they_do_the_same(what: str) -> None:
    """Arguments, defaults, errors, comparison, order, slots."""
    assert outcome(SAME[what], light, OF[light]) == outcome(SAME[what], standard, OF[standard])


def nested(classes: dict[str, Any]) -> Any:
    return classes["Named"](a=[classes["Empty"](), (classes["Bare"](),)], b={"c": classes["Bare"](2)})


FUNCTIONS: dict[str, Do] = {
    "replace": lambda library, of: library.replace(of["Once"](1, 2), y=3, z=4),
    "replace by what is refused": lambda library, of: library.replace(of["Once"](1), z=-4),
    "replace what is not there": lambda library, of: library.replace(of["Once"](1), q=4),
    "replace of another": lambda library, _: library.replace(1),
    "asdict": lambda library, of: library.asdict(nested(of)),
    "astuple": lambda library, of: library.astuple(nested(of)),
    "asdict of another": lambda library, _: library.asdict({}),
    "fields": lambda library, of: [
        (one.name, one.type, one.default is library.MISSING or one.default, one.metadata.get("what"))
        for name in ("Once", "Named", "Empty") for one in library.fields(of[name])
    ],
    "fields of an object": lambda library, of: [one.name for one in library.fields(of["Mutable"](1))],
    "fields of another": lambda library, _: library.fields(1),
}  # fmt: skip


@pytest.mark.parametrize("what", FUNCTIONS)
def test_their_functions_do_the_same(what: str) -> None:
    """Ours with our classes and with the standard library's, which the issuer has; and its own with ours."""
    expected = outcome(FUNCTIONS[what], standard, OF[standard])
    assert outcome(FUNCTIONS[what], light, OF[light]) == expected
    assert outcome(FUNCTIONS[what], standard, OF[light]) == expected
    assert (
        what == "fields" or outcome(FUNCTIONS[what], light, OF[standard]) == expected
    )  # each has a MISSING of its own
    assert standard.is_dataclass(OF[light]["Empty"])


def test_a_default_that_all_would_share() -> None:
    """A list as a default is refused when the class is made."""
    for library in (standard, light):
        with pytest.raises(ValueError, match="use default_factory"):

            @library.dataclass(frozen=True)
            class _Shared:
                a: list[int] = []  # noqa: RUF012
