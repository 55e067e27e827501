"""certfleet-agent as a program that acts at one boundary of the journey, or ends itself there by SIGKILL."""

# Runs the real command with one function replaced. {act} is done before or after one of its calls.
_PROGRAM = """
import importlib, os, signal, subprocess, sys
from agent.cli import main
module, function, when = {module!r}, {function!r}, {when!r}
module, _, kind = module.partition(":")
place = importlib.import_module(module)
place = getattr(place, kind) if kind else place
real = getattr(place, function)
calls = 0
def act():
    {act}
def replaced(*arguments, **options):
    global calls
    calls += 1
    if when == "before" and calls == {call}:
        act()
    result = real(*arguments, **options)
    if when == "after" and calls == {call}:
        act()
    return result
setattr(place, function, replaced)
sys.exit(main())
"""
KILL = "os.kill(os.getpid(), signal.SIGKILL)"

Step = tuple[str, str, int, str]
"""Module (and class, behind a colon), function, which of its calls, "before" or "after" it."""


def acting(step: Step, act: str = KILL) -> str:
    """The program that does *act* at *step*."""
    module, function, call, when = step
    return _PROGRAM.format(module=module, function=function, call=call, when=when, act=act)
