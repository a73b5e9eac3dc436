"""What is wrong with a file a person wrote: all of it at once, each at its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_NEAR = 0.7  # likeness as difflib counts it
_NEAR_ENOUGH = 0.6  # where the first letters agree: `bas` is `bus`, but `intakes` is not `lines`


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake. `line` and `column` count from 1; `path` is dotted (`meters.main-flow.poll`), "" for the whole file.

    `code` names the sentence in locale/ and `arguments` fill it; the argument `near` holds what was probably meant.
    """

    file: str
    line: int
    column: int
    path: str
    code: str
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """`FILE:LINE:COL`, as editors and terminals make it a link."""
        return f"{self.file}:{self.line}:{self.column}"

    def told(self) -> dict[str, object]:
        """The mistake for machines: code and arguments, no sentence. `Problem(**told)` is the mistake again."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "path": self.path,
            "code": self.code,
            "arguments": dict(self.arguments),
        }


class FormErrors(Exception):
    """Everything that is wrong with a file and the files it names, in the order of the files.

    It passes from one process to another: its only argument is what it was made of.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(
            sorted(set_of(problems), key=lambda problem: (problem.file, problem.line, problem.column))
        )
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "; ".join(f"{problem.place}: {problem.path}: {problem.code}" for problem in self.problems)


def set_of(problems: Sequence[Problem]) -> list[Problem]:
    """The problems without repetitions."""
    seen: dict[tuple[object, ...], Problem] = {}
    for problem in problems:
        key = (problem.place, problem.path, problem.code, *sorted(problem.arguments.items()))
        seen.setdefault(key, problem)
    return list(seen.values())


def near(word: str, known: Sequence[str]) -> dict[str, str]:
    """The argument `near` with the known word that was probably meant; empty when none is close."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for the mistyped

    first = word[:1].lower()
    sharing = [each for each in known if each.startswith(first)]
    found = get_close_matches(word.lower(), known, n=1, cutoff=_NEAR)
    found = found or get_close_matches(word.lower(), sharing, n=1, cutoff=_NEAR_ENOUGH)
    return {"near": found[0]} if found else {}
