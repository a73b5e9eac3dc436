"""Chinese full-width punctuation in a file that is to be YAML: the commonest slip of a Chinese keyboard. Pure."""

from __future__ import annotations

import re

import yaml

from agent.form.problems import Problem

_HALF_WIDTH = {
    "：": ": ", "，": ", ", "｛": "{", "｝": "}", "［": "[", "］": "]", "“": '"', "”": '"',
}  # fmt: skip
_WIDE_INSIDE = re.compile(f"[{''.join(_HALF_WIDTH)}]")
_WIDE_OUTSIDE = re.compile("[ -]*(?:[\u3000\u00a0]|[^\\s:\"'{\\[#]*：)")  # indentation, or a key and its colon
_QUOTED_OR_COMMENT = re.compile(r""""[^"]*"|'[^']*'|(?:^| )#.*""")
_LINES_BACK = 3  # lines that the parser may have read on over


def wide_problem(file: str, text: str, error: yaml.YAMLError) -> Problem | None:
    """The full-width character behind the parser's complaint: inside the brackets that were open, else behind a key or
    in the indentation, at the complaint or in the lines before it, which the parser read on over; None without one.
    """
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return None
    lines = text.splitlines()
    last = min(error.problem_mark.line + 1, len(lines))
    opened = error.context_mark if "flow" in (error.context or "") else None
    numbers = range(opened.line + 1, last + 1) if opened else range(last, max(0, last - _LINES_BACK), -1)
    for number in numbers:
        plain = _QUOTED_OR_COMMENT.sub(lambda quoted: " " * len(quoted[0]), lines[number - 1])
        found = _WIDE_INSIDE.search(plain) if opened else _WIDE_OUTSIDE.match(plain)
        if found is not None:
            return _problem(file, number, found.end(), plain[found.end() - 1])
    return None


def _problem(file: str, line: int, column: int, value: str) -> Problem:
    code, arguments = "yaml-full-width", {"value": value, "expected": _HALF_WIDTH.get(value, " ")}
    if value.isspace():
        code, arguments = "yaml-wide-space", {}
    return Problem(file=file, line=line, column=column, path="", code=code, arguments=arguments)
