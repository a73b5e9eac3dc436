"""`qushui run`: the daemon."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from agent.loading import DEFAULT_CONFIG, Loading
from agent.messages import Messages, problem_lines

HELP_KEY = "cli.verb.run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="cli.config_option")
    parser.add_argument("--debug", action="store_true", help="cli.debug_option")


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """Runs until SIGTERM or Ctrl-C; 2 when there is no configuration to start with, 1 when the store does not open."""
    loading = Loading(arguments.config)  # in a process of its own, while this one imports the rest
    from agent.daemon import StartError, run_daemon  # noqa: PLC0415 - help needs none of it

    try:
        return run_daemon(arguments.config, loading, log_level="debug" if arguments.debug else "info")
    except StartError as refused:
        print("\n".join(problem_lines(out, refused.problems)), end="\n" * bool(refused.problems), file=sys.stderr)
        print(out.text(f"start.{refused.code}", **refused.arguments), file=sys.stderr)
        return 2 if refused.problems else 1
