"""The services of a certificate: what presets say, what agent.toml overrules, as the commands that this host needs."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from agent.model.certificate import ASK, Certificate, Command, Service, TargetFile, Use
from agent.model.presence import Finder, Presence
from agent.rules.activation import (
    activating,
    asking,
    asking_for_its_end,
    asking_who_stopped,
    awaiting,
    listening,
    reading,
    restarting,
    starting,
    unit_told,
)
from agent.settings.certificate import CertificateSettings
from agent.settings.preset import Preset
from common.dataclasses import replace
from common.probe.target import ProbeTarget, parse_target

_OVERRULED = ("check", "activate", "verify", "starts_stopped", "settle", "logs")  # what agent.toml may say otherwise
# Parts of a service
_PARTS = ("check", "activate", "verify", "start", "restart", "is_up", "jobs", "was_stopped", "journal", "logs")
_NO_PRESET = Preset(note="agent.toml has the commands")
_PLACE = re.compile(r"\{(name|key|certificate|chain|fullchain|program)\}")


def uses(
    own: CertificateSettings, presets: Mapping[str, Preset], files: Sequence[TargetFile], find: Finder
) -> tuple[Use, ...]:
    """A use for each preset; a single one where agent.toml names none, or has commands for several. Where its commands
    tell one unit by systemctl, that unit is the service: the preset's may be another, which somebody has stopped."""
    own_unit = unit_told(own.activate)
    told = find((own_unit,), ()) if own_unit else Presence()

    def present(preset: Preset) -> Presence:
        found = find(preset.units, preset.programs)
        return replace(told, program=found.program) if told.unit else found

    words = places(own.name, own.key, files)
    services = [service_of(name, preset, present(preset), words, own) for name, preset in presets.items()]
    here = own.name if own.host is not None else "127.0.0.1"
    default = {name: preset_probes(own.name, preset, here) for name, preset in presets.items()}
    commands = (own.check, own.activate if not isinstance(own.activate, str) else None, own.verify, own.start)
    if not presets:
        alone = service_of("", _NO_PRESET, told if told.unit else Presence(), words, own)
        services = [replace(alone, is_up=(), has_ended=())]  # a oneshot unit is told although it never runs
    if not presets or (len(presets) > 1 and any(one is not None for one in commands)):
        probes = own.probe if own.probe is not None else tuple(chain.from_iterable(default.values()))
        return (Use(_merged(services), tuple(dict.fromkeys(probes))),)
    return tuple(Use(service, _own_probes(own.probe, default, service.name)) for service in services)


def service_of(
    name: str, preset: Preset, presence: Presence, words: Mapping[str, str], own: CertificateSettings | None = None
) -> Service:
    """The service of a *preset*, by its *presence* on the host. Words of agent.toml go before the preset's. *words*:
    those for the places in commands; *own*: the entry of agent.toml."""
    filled = partial(_filled, words={**words, "program": presence.program or next(iter(preset.programs), "")})
    given = {part: value for part in _OVERRULED if (value := getattr(own, part, None)) is not None}
    is_elsewhere = isinstance(given.get("activate"), tuple)  # as in a container: the process here may be of another one
    preset = replace(preset, **given)
    action, start = preset.activate, filled(preset.start)
    own_start = None if own is None or own.start is None else filled(own.start)  # it goes before systemd's own
    return Service(
        name,
        check=filled(preset.check),
        activate=filled(action)
        if isinstance(action, tuple)
        else activating(action, presence, preset.units, filled(preset.own)),
        verify=filled(preset.verify),
        start=starting(presence, start) if own_start is None else own_start,
        restart=restarting(presence, start) if own_start is None else own_start,
        starts_stopped=preset.starts_stopped,
        asks=action == ASK,
        is_up=asking(presence),
        jobs=awaiting(presence),
        was_stopped=() if is_elsewhere else asking_who_stopped(presence),  # its own commands may stop it themselves
        has_ended=asking_for_its_end(action, presence, preset.processes),
        journal=listening(presence),
        logs=filled([preset.logs])[0],
        settle=preset.settle,
        reader=preset.key_readable_by,
        may_read=() if is_elsewhere else reading(preset.key_readable_by, preset.processes),
    )


def _filled(commands: Iterable[Command], words: Mapping[str, str]) -> tuple[Command, ...]:
    """The commands with *words* in their places; a place without a word stays as it is."""
    return tuple(
        tuple(_PLACE.sub(lambda found: words.get(found[1]) or found[0], word) for word in one) for one in commands
    )


def _merged(services: Sequence[Service]) -> Service:
    """All of them as one, with what several have in common once."""
    parts = {part: _of_all(services, part) for part in _PARTS}
    return Service(
        " and ".join(service.name for service in services),
        starts_stopped=any(service.starts_stopped for service in services),
        asks=any(service.asks for service in services),
        settle=max(service.settle for service in services),
        **parts,
    )


def _of_all(services: Iterable[Service], part: str) -> Any:
    """The commands of that *part* of each service, each once."""
    return tuple(dict.fromkeys(chain.from_iterable(getattr(one, part) for one in services)))


def shared(certificates: Sequence[Certificate]) -> tuple[Certificate, ...]:
    """The *certificates*, with one and the same service where their entries mean one, so that it is told once for all.
    Entries may differ in its time to settle, its proofs and its logs: it gets the longest time, all proofs and all
    logs."""
    found: dict[Service, Service] = {}
    for service in chain.from_iterable(one.services for one in certificates):
        known = found.setdefault(_itself(service), service)
        verify, logs = (_of_all((known, service), part) for part in ("verify", "logs"))
        found[_itself(service)] = replace(known, settle=max(known.settle, service.settle), verify=verify, logs=logs)

    def with_shared(use: Use) -> Use:
        return replace(use, service=found[_itself(use.service)])

    return tuple(replace(one, uses=tuple(map(with_shared, one.uses))) for one in certificates)


def _itself(service: Service) -> Service:
    """The service without the facts in which entries for it may differ."""
    return replace(service, settle=0, verify=(), logs=())


def places(name: str, key: Path, files: Sequence[TargetFile]) -> dict[str, str]:
    """The word for each place in the commands of a preset: files of the certificate by what they hold."""
    found = {"name": name, "program": ""}
    for place, holds in _HOLDS.items():
        file = next((str(one.path) for one in files if one.keystore is None and holds(one.parts)), "")
        if file:
            found[place] = file
    return {"key": str(key)} | found


_HOLDS: dict[str, Callable[[tuple[str, ...]], bool]] = {
    "certificate": lambda parts: "certificate" in parts,
    "chain": lambda parts: parts == ("chain",),
    "fullchain": lambda parts: {"certificate", "chain"} <= set(parts),
    "key": lambda parts: "key" in parts,
}


def unfilled(own: CertificateSettings, presets: Iterable[Preset], words: Mapping[str, str]) -> Iterator[str]:
    """The places in commands of presets for which there is no file."""
    for preset in presets:
        activate = preset.own if isinstance(preset.activate, str) else preset.activate
        parts = ((own.check, preset.check), (own.activate, activate), (own.verify, preset.verify))
        used = [word for mine, theirs in parts if mine is None for command in theirs for word in command]
        yield from dict.fromkeys(found[0] for word in used for found in _PLACE.finditer(word) if found[1] not in words)


def preset_probes(name: str, preset: Preset, here: str) -> tuple[ProbeTarget, ...]:
    """The usual sockets of the service, for the certificate *name*; a wildcard name has none. *here*: the service's own
    machine."""
    return () if name.startswith("*.") else tuple(map(parse_target, preset.probe_texts(name, here)))


def _own_probes(
    own: tuple[ProbeTarget, ...] | None, default: Mapping[str, tuple[ProbeTarget, ...]], name: str
) -> tuple[ProbeTarget, ...]:
    """The sockets of the service *name*: of the operator's *own* ones those on its usual ports, and those on no
    service's; the usual ones where he names none."""
    if own is None:
        return default[name]
    ports = {service: {probe.port for probe in probes} for service, probes in default.items()}
    others = set().union(*(found for service, found in ports.items() if service != name)) - ports[name]
    return tuple(probe for probe in own if probe.port not in others)
