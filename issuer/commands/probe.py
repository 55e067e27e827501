"""probe: shows which certificate a live socket serves."""

import argparse
import time

from common.probe.show import show


def probe(arguments: argparse.Namespace) -> int:
    """Look at every TARGET."""
    return show(arguments.target, time.time(), as_json=arguments.json)
