"""`qushui-sim`: the far end of every wire, for trying, testing and measuring without hardware."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

_PARTS = (
    "simulators.meters.cli",
    "simulators.stations.cli",
    "simulators.platforms.cli",
    "simulators.plant_cli",
    "simulators.conformance_cli",
)
"""Modules that each add a subcommand: `add_arguments(subparsers)` sets `run`, which gives the exit status."""


_INTERRUPTED = 130  # as a shell reports SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line: exit status 0 done, 1 the field says no, 2 the input is wrong."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(
                errors="replace"
            )  # a terminal without Chinese shows "?" and goes on; so does a console that gets other bytes
    parser = argparse.ArgumentParser(prog="qushui-sim", description="simulated meters, platforms, pump house / 模拟器")
    subparsers = parser.add_subparsers(dest="part", required=True)
    for part in _PARTS:
        importlib.import_module(part).add_arguments(subparsers)
    arguments = parser.parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # `… --show FILE | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
        return 0
    return status
