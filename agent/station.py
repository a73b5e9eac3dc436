"""The station as a command sees it: its configuration, its store, its daemon."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from agent.control import call, socket_path

DEFAULT_CONFIG = Path("/etc/qushui/agent.yaml")
DEFAULT_STORE = Path("/var/lib/qushui/qushui.db")


def store_path(config: Path) -> Path:
    """Where the station keeps its readings, also when the rest of the configuration is wrong or cannot be read.

    A daemon goes on with the last configuration that passed, so the verbs that ask it must not need a good file.
    """
    try:
        document = yaml.load(config.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return DEFAULT_STORE
    match document:
        case {"store": {"path": str(path)}}:
            return Path(path)
        case _:
            return DEFAULT_STORE


def ask_daemon(config: Path, verb: str, arguments: Mapping[str, object], *, timeout_s: float = 10.0) -> Any:
    """What the running daemon of this configuration answers. Raises as `agent.control.call` does."""
    return call(socket_path(store_path(config)), verb, arguments, timeout_s)
