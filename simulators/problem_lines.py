"""What is wrong with a simulator's file, in words."""

from __future__ import annotations

from collections.abc import Iterator

from agent.form.problems import FormErrors
from agent.messages import Messages


def problem_lines(messages: Messages, errors: FormErrors) -> Iterator[str]:
    """A line for each problem: `FILE:LINE:COL: path: what it is`, and what was probably meant."""
    for problem in errors.problems:
        sentence = messages.text(f"form.{problem.code}", **problem.arguments)
        if "near" in problem.arguments:
            sentence += " " + messages.text("cli.did_you_mean", value=problem.arguments["near"])
        path = f" {problem.path}:" if problem.path else ""
        yield f"{problem.place}:{path} {sentence}"
