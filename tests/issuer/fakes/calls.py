"""Every call that one process makes to the world around it: written down, and disturbed where a test says so.

It works on anything, fake or real, and knows nothing of what it watches.
"""

import functools
import inspect
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Killed(BaseException):
    """The process is gone: no error of the product, and nothing that it may catch."""


@dataclass(frozen=True, slots=True)
class Call:
    """The *nth* call of one method: "orders.save" and 2."""

    method: str
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.method}-{self.nth}"


class Calls:
    """*made*: every call so far. A dead process makes none any more, also where a `finally` would like to."""

    def __init__(self) -> None:
        self.made: list[Call] = []
        self._counts: Counter[str] = Counter()
        self._before: dict[Call, Callable[[], object]] = {}
        self._after: dict[Call, Callable[[], object]] = {}
        self._dead = False

    def watch(self, label: str, thing: T) -> T:
        """*thing*, whose methods and properties are calls from now on, named "label.method"."""
        return cast("T", _Watched(label, thing, self))

    def before(self, call: Call, act: Callable[[], object]) -> None:
        """Do something instead of a call if *act* raises, else just before it."""
        self._before[call] = act

    def after(self, call: Call, act: Callable[[], object]) -> None:
        """The call has its effect; then *act* may raise, and the caller never learns the result."""
        self._after[call] = act

    def kill(self) -> None:
        """The process ends here, as by SIGKILL. Raises Killed, now and at each further call."""
        self._dead = True
        raise Killed

    def make(self, method: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call *function* as the next call of *method*."""
        if self._dead:
            raise Killed
        self._counts[method] += 1
        call = Call(method, self._counts[method])
        self.made.append(call)
        self._before.get(call, _nothing)()
        result = function(*arguments, **named)
        self._after.get(call, _nothing)()
        return _Block(method, result, self) if isinstance(result, AbstractContextManager) else result


def raising(error: BaseException) -> Callable[[], object]:
    """What :meth:`Calls.before` and :meth:`Calls.after` take, for an error."""

    def act() -> None:
        raise error

    return act


def _nothing() -> None:
    """Where no test disturbs."""


@functools.cache
def _is_property(kind: type[Any], name: str) -> bool:
    return isinstance(inspect.getattr_static(kind, name, None), property)


class _Watched:
    def __init__(self, label: str, thing: object, calls: Calls):
        self._label, self._thing, self._calls = label, thing, calls
        self._kind: Any = type(thing)

    def __getattr__(self, name: str) -> Any:
        method = f"{self._label}.{name}"
        if _is_property(self._kind, name):
            return self._calls.make(method, functools.partial(getattr, self._thing, name))
        found = getattr(self._thing, name)
        return functools.partial(self._calls.make, method, found) if callable(found) else found


class _Block:
    """A context manager whose beginning and end are calls of their own."""

    def __init__(self, method: str, block: AbstractContextManager[Any], calls: Calls):
        self._method, self._block, self._calls = method, block, calls

    def __enter__(self) -> Any:
        return self._calls.make(f"{self._method}.enter", self._block.__enter__)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._calls.make(f"{self._method}.exit", self._block.__exit__, kind, error, trace)
