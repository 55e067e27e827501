"""probe: shows which certificate a live socket serves, beside what the agent's source has for it."""

import argparse
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

from agent.journey.ports import Source
from agent.settings.config import load_settings
from agent.source.open import open_source
from common.names import covers
from common.probe.show import show
from common.probe.verdict import Stored, stored_for, stored_of


def probe(arguments: argparse.Namespace) -> int:
    """Look at every TARGET. Exit code and errors are those of :func:`common.probe.show.show`."""
    return show(arguments, partial(_stored, arguments.config))


def _stored(config: Path, hosts: Mapping[str, frozenset[str]]) -> dict[str, list[Stored]]:
    """The source's certificates for each of *hosts*, among those that agent.toml names. Raises CertfleetError."""
    settings, certificates = load_settings(config)
    names = [one.name for one in certificates]
    likely = [name for name in names if any(covers(name, host) for host in hosts)]
    with closing(open_source(settings.source, config)) as source:
        return stored_for(hosts, _offered(source, likely), lambda: _offered(source, names))


def _offered(source: Source, names: Iterable[str]) -> Iterator[Stored]:
    for name in names:
        offer = source.fetch(name)
        if offer is not None:
            yield from stored_of(name, offer.leaf_pem)
