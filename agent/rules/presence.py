"""How a service is present on a host, from what lies in the places where that shows. Pure: whoever asks looks there."""

from collections.abc import Iterator, Mapping, Sequence

from agent.model.presence import Kind, Presence

_RUNNING = "/run/systemd/system"  # sd_booted(3)
# The folders of units in systemd.unit(5), with those that its generators fill for old init scripts.
_UNITS = (
    *("/etc/systemd/system", "/run/systemd/system", "/run/systemd/transient", "/usr/local/lib/systemd/system"),
    *("/usr/lib/systemd/system", "/lib/systemd/system"),
    *("/run/systemd/generator.early", "/run/systemd/generator", "/run/systemd/generator.late"),
)
_SCRIPTS = ("/etc/init.d", "/usr/local/etc/rc.d", "/etc/rc.d")  # of Linux and the BSDs
_FILES: frozenset[Kind] = frozenset({"file", "program"})  # whoever may run them
_SERVICE = "service"  # the program that runs such a script; hosts of BusyBox alone have none


def places(units: Sequence[str], programs: Sequence[str]) -> tuple[str, ...]:
    """What `presence_in` wants to know of: paths, and programs to be found by their names."""
    files = (file for unit in units for kind in ("service", "socket") for file in _unit_files(unit, kind))
    scripts = (file for unit in units for file in _script_files(unit))
    return tuple(dict.fromkeys((_RUNNING, _SERVICE, *programs, *files, *scripts)))


def presence_in(units: Sequence[str], programs: Sequence[str], there: Mapping[str, Kind]) -> Presence:
    """The presence of a service on a host that has *there*."""
    unit = _first(unit for unit in units if there[_RUNNING] == "folder" and _is_unit(unit, "service", there))
    scripts = (unit for unit in units if any(there[file] in _FILES for file in _script_files(unit)))
    return Presence(
        unit=unit,
        script=_first(scripts) if there[_SERVICE] == "program" else "",
        program=_first(program for program in programs if there[program] == "program"),
        has_socket=bool(unit) and _is_unit(unit, "socket", there),
    )


def _is_unit(unit: str, kind: str, there: Mapping[str, Kind]) -> bool:
    """Is there such a unit? One that is masked, by a link to /dev/null or a file without content, cannot be started."""
    kinds = {there[file] for file in _unit_files(unit, kind)}
    return not kinds.isdisjoint(_FILES) and "other" not in kinds


def _unit_files(unit: str, kind: str) -> Iterator[str]:
    template, at, _ = unit.partition("@")
    names = (f"{unit}.{kind}", f"{template}@.{kind}") if at else (f"{unit}.{kind}",)
    return (f"{folder}/{name}" for folder in _UNITS for name in names)


def _script_files(unit: str) -> Iterator[str]:
    return (f"{folder}/{unit}" for folder in _SCRIPTS)


def _first(names: Iterator[str]) -> str:
    return next(names, "")
