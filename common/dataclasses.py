"""The standard library's dataclasses, made in a twentieth of the time.

That library writes the source text of six methods for each class and compiles it, and it imports `inspect`: together
half of what a run of the agent without news would cost. Here all classes share methods that go over the fields; to
make an object takes twice as long. So the agent and what it shares use this module, and the issuer, which makes many
objects, the standard library's.

Type checkers see the standard library's. A class made here behaves as one made there does, also in its functions; the
options are those that certfleet uses. ``tests/common/test_dataclasses.py`` compares both.
"""

import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import MISSING, Field, asdict, astuple, dataclass, field, fields, is_dataclass, replace
else:
    MISSING = object()

__all__ = ["MISSING", "Field", "asdict", "astuple", "dataclass", "field", "fields", "is_dataclass", "replace"]
_Fields = Mapping[str, "_Field"]  # by name, in the order of the arguments


class _Field:
    """As ``dataclasses.Field``."""

    __slots__ = ("compare", "default", "default_factory", "kw_only", "metadata", "name", "repr", "type")

    def __init__(
        self,
        *,
        default: Any = MISSING,
        default_factory: Any = MISSING,
        repr: bool = True,
        compare: bool = True,
        metadata: Mapping[str, Any] | None = None,
    ):
        self.default, self.default_factory = default, default_factory
        self.repr, self.compare, self.metadata = repr, compare, metadata or {}
        self.name, self.type, self.kw_only = "", None, False


class _FieldsOfTheLibrary:
    """The fields as the standard library's own functions want them, made when one of those asks."""

    def __get__(self, instance: object, cls: type) -> Mapping[str, Any]:
        import dataclasses  # noqa: PLC0415 - what this module is there to do without

        made = []
        for one in _fields_of(cls).values():
            options: Any = {"repr": one.repr, "compare": one.compare, "metadata": one.metadata}
            if one.default is not MISSING:
                options["default"] = one.default
            if one.default_factory is not MISSING:
                options["default_factory"] = one.default_factory
            made.append((one.name, one.type, dataclasses.field(**options)))
        found: Mapping[str, Any] = vars(dataclasses.make_dataclass("_", made, kw_only=True))["__dataclass_fields__"]
        type.__setattr__(cls, "__dataclass_fields__", found)
        return found


def _dataclass(cls: type | None = None, /, **options: bool) -> Any:
    return (lambda decorated: _made(decorated, **options)) if cls is None else _made(cls, **options)


def _made(cls: type, *, frozen: bool = False, slots: bool = False, order: bool = False, kw_only: bool = False) -> type:
    """*cls* once more, with the methods that it lacks."""
    space = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
    known: dict[str, _Field] = {}
    for base in reversed(cls.__mro__):
        known |= vars(base).get("__fields__", {})
    for name, kind in space.get("__annotations__", {}).items():
        given = space.pop(name, MISSING)  # a slot and a default cannot have one name
        one = given if isinstance(given, _Field) else _Field(default=given)
        if type(one.default).__hash__ is None:
            raise ValueError(f"{cls.__qualname__}.{name}: a default that all share; use default_factory")
        one.name, one.type, one.kw_only = name, kind, kw_only
        known[name] = one
        if not slots and one.default is not MISSING:
            space[name] = one.default
    if slots:
        inherited = {name for base in cls.__mro__[1:] for name in vars(base).get("__slots__", ())}
        space["__slots__"] = tuple(name for name in known if name not in inherited)
    methods = _METHODS | (_FROZEN if frozen else {}) | (_ORDER if order else {})
    if hasattr(cls, "__post_init__"):
        methods["__init__"] = _init_and_check
    made: type = type(cls)(cls.__name__, cls.__bases__, methods | space | _looked_at(known))
    made.__qualname__ = cls.__qualname__
    return made


def _looked_at(known: _Fields) -> dict[str, Any]:
    """The attributes by which the methods know these fields of a class."""
    compared = [name for name, one in known.items() if one.compare]
    factories = {name: one.default_factory for name, one in known.items() if one.default_factory is not MISSING}
    return {
        "__fields__": known,
        "__defaults__": {name: one.default for name, one in known.items() if one.default is not MISSING},
        "__factories__": factories,
        "__compared__": operator.attrgetter(*compared) if compared else type,
        "__match_args__": tuple(name for name, one in known.items() if not one.kw_only),
        "__dataclass_fields__": _FieldsOfTheLibrary(),
    }


def _fields_of(one: Any) -> _Fields:
    """Those of a class or of an object of one, ours or the standard library's. TypeError where it is neither."""
    try:
        found: _Fields = one.__fields__ if hasattr(one, "__fields__") else one.__dataclass_fields__
    except AttributeError as error:
        raise TypeError(f"{one!r} is no dataclass") from error
    return found


def _is_dataclass(one: Any) -> bool:
    """Is it a class or an object of one? Of ours at first: the other look makes what the standard library wants."""
    return hasattr(one, "__fields__") or hasattr(one, "__dataclass_fields__")


def _init(self: Any, /, *given: Any, **named: Any) -> None:
    cls, keep = type(self), object.__setattr__  # frozen or not
    if given:
        told = len(given) + len(named)
        named.update(zip(cls.__match_args__, given, strict=False))
        if len(named) < told:
            raise TypeError(f"{cls.__qualname__}() got too many arguments, or one of them twice")
    values = cls.__defaults__ | named
    for name, make in cls.__factories__.items():
        if name not in named:
            values[name] = make()
    if values.keys() != cls.__fields__.keys():
        odd = ", ".join(sorted(values.keys() ^ cls.__fields__.keys()))
        raise TypeError(f"{cls.__qualname__}() lacks, or does not know: {odd}")
    for name, value in values.items():
        keep(self, name, value)


def _init_and_check(self: Any, /, *given: Any, **named: Any) -> None:
    _init(self, *given, **named)
    self.__post_init__()


def _repr(self: Any) -> str:
    shown = [f"{name}={getattr(self, name)!r}" for name, one in self.__fields__.items() if one.repr]
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _hash(self: Any) -> int:
    return hash(self.__compared__(self))


def _by(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A method that compares objects of one class."""

    def method(self: Any, other: Any) -> Any:
        if type(other) is not type(self):
            return NotImplemented
        return compare(self.__compared__(self), self.__compared__(other))

    return method


def _refuse(self: Any, name: str, _value: Any = None) -> None:
    raise AttributeError(f"cannot change {name!r} of {type(self).__qualname__}")


_METHODS: dict[str, Any] = {"__init__": _init, "__repr__": _repr, "__eq__": _by(operator.eq)}
_FROZEN: dict[str, Any] = {"__setattr__": _refuse, "__delattr__": _refuse, "__hash__": _hash}
_ORDER: dict[str, Any] = {f"__{name}__": _by(getattr(operator, name)) for name in ("lt", "le", "gt", "ge")}


def _replace(one: Any, /, **changes: Any) -> Any:
    return type(one)(**{name: getattr(one, name) for name in _fields_of(one)} | changes)


def _plain(value: Any, form: Callable[[Any], Any]) -> Any:
    """*value* with each dataclass in it as *form* has it."""
    if _is_dataclass(type(value)):
        return form(value)
    if isinstance(value, list | tuple):
        return type(value)(_plain(one, form) for one in value)
    if isinstance(value, dict):
        return type(value)((_plain(key, form), _plain(one, form)) for key, one in value.items())
    return value


def _asdict(one: Any) -> dict[str, Any]:
    return {name: _plain(getattr(one, name), _asdict) for name in _fields_of(one)}


def _astuple(one: Any) -> tuple[Any, ...]:
    return tuple(_plain(getattr(one, name), _astuple) for name in _fields_of(one))


if not TYPE_CHECKING:
    dataclass, field, Field, replace, asdict, astuple = _dataclass, _Field, _Field, _replace, _asdict, _astuple
    is_dataclass = _is_dataclass

    def fields(one: Any) -> tuple[_Field, ...]:
        """Those of a class or of an object, in the order of the arguments."""
        return tuple(_fields_of(one).values())
