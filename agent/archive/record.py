"""An archive as it is kept and handed on: plain data, its hash, its versions. Pure; needs no YAML and no models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.settings import Config

Plain = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """The archive of one intake: the file's name as the configuration has it, its text, and what it says.

    `data` holds texts, whole numbers, switches, lists and mappings; numbers with a fraction are texts, digit for digit.
    """

    file: str
    text: str = field(repr=False)
    data: Plain


def canonical(data: Plain) -> str:
    """The JSON text over which an archive is hashed: keys sorted, no blanks."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def sha256_of(data: Plain) -> str:
    """The hash of an archive's content, in hex; the same for every file that says the same."""
    return hashlib.sha256(canonical(data).encode()).hexdigest()


def next_version(previous: Plain | None, now: Plain) -> dict[str, Any] | None:
    """The ledger's body for the archive `now`, after the body `previous` (None: there was none); None: unchanged."""
    if previous is None:
        return {"version": 1, "archive": dict(now)}
    if canonical(previous["archive"]) == canonical(now):
        return None
    return {"version": previous["version"] + 1, "archive": dict(now)}


def archive_entries(config: Config, previous: Mapping[str, Plain]) -> list[tuple[str, dict[str, Any]]]:
    """What the ledger lacks after a configuration was taken up: (intake, body) of each archive that is new or changed.

    `previous` holds the newest body in the ledger by intake.
    """
    found = ((name, next_version(previous.get(name), each.data)) for name, each in config.archives.items())
    return [(name, body) for name, body in found if body is not None]
