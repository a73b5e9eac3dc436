"""The result of a run on the terminal and in files."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from agent.messages import LANGUAGES, Messages
from agent.page import labelled
from simulators.conformance.page import as_html
from simulators.conformance.report import Run, as_json, as_junit, clause_text, evidence_text, reason_text, title_text
from simulators.conformance.verdict import Verdict

DONE = 0
FIELD_SAYS_NO = 1
INPUT_IS_WRONG = 2
_WIDTH = 80
_SHOWN = 3  # exchanges on the terminal; the files have more


class InputError(Exception):
    """What was typed is wrong: the key of the sentence and its arguments."""

    def __init__(self, key: str, **arguments: object) -> None:
        super().__init__(key)
        self.key = key
        self.arguments = arguments


def add_reports(parser: Any) -> None:
    """Adds the options that say what becomes of the result."""
    parser.add_argument("--strict", action="store_true", help="what differs fails too / “有差异”也算不合格")
    parser.add_argument("--html", type=Path, metavar="FILE", help="report to print and sign / 可打印签字的报告")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="JUnit XML")
    parser.add_argument("--json", action="store_true", help="result as JSON on stdout / 以 JSON 输出结果")
    parser.add_argument("--lang", choices=LANGUAGES)


def check_files(arguments: argparse.Namespace) -> None:
    """Whether the files can be written. Raises InputError."""
    for file in (arguments.html, arguments.junit):
        if file is None:
            continue
        place = file if file.exists() else file.parent
        if file.is_dir() or not file.parent.is_dir() or not os.access(place, os.W_OK):
            raise InputError("cannot-write", file=file)


def say(messages: Messages, key: str, **arguments: object) -> None:
    """A sentence of progress, on stderr."""
    print(messages.text(f"conformance.{key}", **arguments), file=sys.stderr, flush=True)


def reported(arguments: argparse.Namespace, done: Run, messages: Messages) -> int:
    """Prints the result and writes the files. A file that cannot be written is wrong input, said after the result."""
    if arguments.json:
        print(json.dumps(as_json(done), ensure_ascii=False))
    else:
        print(*_lines(done, messages), sep="\n")
    for file, written in ((arguments.html, as_html), (arguments.junit, as_junit)):
        if file is None:
            continue
        try:
            file.write_text(written(done, messages), encoding="utf-8")
        except OSError as error:
            say(messages, "wrong.cannot-write", file=f"{file}: {error.strerror}")
            return INPUT_IS_WRONG
    return DONE if done.passed else FIELD_SAYS_NO


def _lines(done: Run, messages: Messages) -> list[str]:
    """The result for a terminal: what passed in a line each; the rest with reason, clause and bytes."""
    lines = []
    for outcome in done.outcomes:
        verdict = outcome.finding.verdict
        lines += labelled(
            messages.text(f"conformance.verdict.{verdict.value}"),
            f"{title_text(messages, outcome)} ({outcome.case.id})",
            indent=0, column=12, width=_WIDTH,
        )  # fmt: skip
        if verdict is Verdict.PASSED:
            continue
        texts = [reason_text(messages, outcome), clause_text(messages, outcome.clause, done.profile)]
        if verdict is not Verdict.UNDECIDED:
            texts += [evidence_text(messages, heard) for heard in outcome.finding.evidence[:_SHOWN]]
        for text in texts:
            lines += labelled("", text, indent=12, column=12, width=_WIDTH)
    result = messages.text(f"conformance.result.{'passed' if done.passed else 'failed'}")
    return [*lines, f"{result}  {messages.text('conformance.counts', **done.counts)}"]
