"""The states of one install, and which may follow which. Pure; whatever affects transitions stands in this file.

The journal carries the state, saved *before* the step that it names touches the world: so a journal that is
found at the start of a run names the furthest step that may have begun.
"""

from enum import Enum


class InstallState(Enum):
    """How far an install has come."""

    BACKED_UP = "backed-up"  # copies of the live files lie in the state folder; no live file has been touched
    SWAPPING = "swapping"  # some live files may be new, some old
    ACTIVATING = "activating"  # all live files are new; the service may or may not have seen them
    PROVING = "proving"  # the service was told; its sockets are being looked at
    COMMITTED = "committed"  # the new files stay
    ROLLING_BACK = "rolling-back"  # the old files are being put back


_NEXT = {
    InstallState.BACKED_UP: {InstallState.SWAPPING},
    InstallState.SWAPPING: {InstallState.ACTIVATING, InstallState.ROLLING_BACK},
    InstallState.ACTIVATING: {InstallState.PROVING, InstallState.ROLLING_BACK},
    InstallState.PROVING: {InstallState.COMMITTED, InstallState.ROLLING_BACK},
    InstallState.COMMITTED: set(),
    InstallState.ROLLING_BACK: {InstallState.ROLLING_BACK},  # a roll back that did not end is tried again
}


def check_transition(now: InstallState, then: InstallState) -> None:
    """RuntimeError if *then* may not follow *now*: that would be a bug of ours, never an operator's mistake."""
    if then not in _NEXT[now]:
        raise RuntimeError(f"an install cannot go from {now.value} to {then.value}")
