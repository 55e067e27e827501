"""Certificates that concern one service are installed together, so that it is told once. Pure."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from agent.model.certificate import Certificate, Service

T = TypeVar("T")


def groups(items: Iterable[T], certificate: Callable[[T], Certificate], alone: Callable[[T], bool]) -> list[list[T]]:
    """The *items* in groups, in their order: two share a group if a chain of shared services leads from one to the
    other. One that has to go *alone*, and one that no command concerns, is a group of its own."""
    found: list[tuple[set[Service], list[T]]] = []
    for item in items:
        services = set() if alone(item) else {one for one in certificate(item).services if one.is_told}
        joined = [group for group in found if group[0] & services]
        for group in joined:
            found.remove(group)
        members = [one for group in joined for one in group[1]]
        found.append((services.union(*(group[0] for group in joined)), [*members, item]))
    return [members for _, members in found]
