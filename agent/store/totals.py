"""Where the accounts of all intakes stand, in a file beside the database: what remains when that one is lost.

Strategy: written whole, each hour and at a clean stop, after the commit that holds the same states; synced, then
renamed over the one before. It names the highest number given, so that a new database goes on above it and no number
means two rounds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.store.database import side
from agent.whole import write_whole

_FORM = 1


class Totals:
    """The file; used by one thread at a time. `number`: the highest given when it was written, 0 without a file."""

    def __init__(self, path: Path) -> None:
        """`path` is the database's."""
        self.path = side(path, ".totals")
        self._intakes: dict[str, tuple[int, str]] = {}
        self.number = 0
        self._load()

    def of(self, intake: str) -> tuple[int, str] | None:
        """The last round an intake's account had taken in, and its state; None where the file does not know it."""
        return self._intakes.get(intake)

    def write(self, number: int, states: Mapping[str, tuple[int, str]]) -> None:
        """Renews these intakes; a kill, a power cut, a full disk leave the file before or this one. Raises OSError."""
        self._intakes.update(states)
        self.number = max(number, self.number)
        intakes = {name: {"number": at, "state": text} for name, (at, text) in sorted(self._intakes.items())}
        document = {"form": _FORM, "number": self.number, "intakes": intakes}
        write_whole(self.path, json.dumps(document, ensure_ascii=False))

    def _load(self) -> None:
        try:
            document: Any = json.loads(self.path.read_bytes())
            if document["form"] == _FORM:
                self._intakes = {
                    str(name): (int(each["number"]), str(each["state"])) for name, each in document["intakes"].items()
                }
                self.number = int(document["number"])
        except (OSError, ValueError, TypeError, LookupError, AttributeError):  # none, or one that a bad card has eaten
            return
