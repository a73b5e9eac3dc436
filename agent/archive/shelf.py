"""Where the archives of one configuration file are, and what was wrong in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # stations without archives do without
    from agent.archive.record import Archive
    from agent.form.problems import Problem
    from agent.intakes.form import IntakeForm


class Shelf:
    """The archives of one configuration file, from beside it or from texts by intake; what is wrong in them."""

    def __init__(self, directory: Path, texts: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.texts = texts
        self.problems: list[Problem] = []
        self.archives: dict[str, Archive] = {}

    def take(self, intake: str, file: str, form: IntakeForm | None) -> IntakeForm | None:
        """The intake's form with what its archive adds, as `reading.take` says."""
        from agent.archive.reading import take  # noqa: PLC0415 - its models take a tenth of a second to load

        return take(self, intake, file, form)
