"""Evaluates a file of electricity-to-water cases with the product's own functions.

    python -m tests.etw_cases FILE.json

One line per case; exit 0 when all lie within their tolerance, 1 when one does not, 2 when the file is broken.
"""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path

from agent.derive.exact import ZERO, exact
from tests.etw import conversion, electrical, models, quality, statistics
from tests.etw.inputs import KINDS, BadCase, Inputs, number

SECTIONS = (conversion, electrical, models, statistics, quality)  # of the format; importing them fills KINDS
ALWAYS_ALLOWED = Decimal("1e-9")
EXACT_KEYS = {"n_used", "rejected_indices", "level_reached", "n_for_new_rel_error"}  # of type int, whatever `tol` says


PARTS = {"id": str, "kind": str, "inputs": dict, "expected": dict}
NAMED = {str: "a text", dict: "an object"}


class BrokenFile(Exception):
    """The file is not a file of cases."""


@exact
def evaluate(case) -> dict:
    """All outputs of the case's kind. Raises: BadCase, OutOfDomain, which name what is wrong."""
    name = case.get("kind")
    if name not in KINDS:
        raise BadCase(f"kind: {name!r} is not a known kind")
    return KINDS[name](Inputs(case.get("inputs")))


def agrees(expected, got, tol, key=""):
    """Whether a result lies within the case's tolerance of what is expected."""
    match expected:
        case dict():
            return isinstance(got, dict) and all(k in got and agrees(v, got[k], tol, k) for k, v in expected.items())
        case list():
            if not isinstance(got, list) or len(got) != len(expected):
                return False
            if key == "flags" and all(isinstance(word, str) for word in expected):
                return sorted(expected) == sorted(got)
            return all(agrees(want, have, tol, key) for want, have in zip(expected, got, strict=True))
        case None | bool() | str():
            return got == expected and isinstance(got, bool) == isinstance(expected, bool)
        case _:
            return (
                isinstance(got, int | float | Decimal) and not isinstance(got, bool) and near(expected, got, tol, key)
            )


def near(expected, got, tol, key):
    expected, got = number(key, expected), number(key, got)
    if key in EXACT_KEYS or key == "flags":
        return got == expected
    allowed = max(tol.get("abs", ZERO), tol.get("rel", ZERO) * abs(expected)) + ALWAYS_ALLOWED
    return abs(got - expected) <= allowed


def shown(value) -> str:
    return json.dumps(value, ensure_ascii=False, default=lambda decimal: round(float(decimal), 9))


def judge(case) -> tuple[bool, str]:
    """Whether the case holds, and its line."""
    tol = {name: number(f"tol.{name}", value) for name, value in (case.get("tol") or {}).items()}
    try:
        got = evaluate(case)
        ok = agrees(case["expected"], got, tol)
        result = shown({name: got.get(name) for name in case["expected"]})
    except ArithmeticError as error:
        ok, result = False, f"refused: a number is out of range ({type(error).__name__})"
    except (BadCase, LookupError, TypeError, ValueError) as error:
        ok, result = False, f"refused: {error}"
    tolerance = shown(case["tol"]) if case.get("tol") else "exact"
    verdict, expected = "ok" if ok else "FAIL", shown(case["expected"])
    return ok, f"{verdict:<4} {case['id']} {case['kind']}: {result}, expected {expected}, {tolerance}"


def read(path: Path) -> list[dict]:
    """The cases of a file. Raises: BrokenFile."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), parse_float=Decimal, parse_constant=Decimal)
    except (OSError, ValueError, RecursionError) as error:
        raise BrokenFile(f"{path}: {error}") from error
    except ArithmeticError as error:
        raise BrokenFile(f"{path}: a number is out of range") from error
    cases = content.get("cases") if isinstance(content, dict) else None
    if not isinstance(cases, list):
        raise BrokenFile(f"{path}: no list of cases")
    for index, case in enumerate(cases):
        if not isinstance(case, dict):
            raise BrokenFile(f"{path}: case {index} is not an object")
        place = f"{path}: case {index} ({case.get('id', 'without id')})"
        for key, form in PARTS.items():
            if not isinstance(case.get(key), form):
                raise BrokenFile(f"{place}: {key} is missing or not {NAMED[form]}")
        _judge_numbers(place, case)
        _judge_tolerance(place, case.get("tol") or {})
    return cases


def _judge_numbers(place, value, key=""):
    """Refuses NaN and Infinity, which JSON does not know and Python's reader lets pass."""
    match value:
        case Decimal() if not value.is_finite():
            raise BrokenFile(f"{place}: {key}: {value} is not a number")
        case dict():
            for name, item in value.items():
                _judge_numbers(place, item, name)
        case list():
            for item in value:
                _judge_numbers(place, item, key)


def _judge_tolerance(place, tol):
    is_dict = isinstance(tol, dict) and set(tol) <= {"abs", "rel"}
    if not is_dict or any(isinstance(x, bool) or not isinstance(x, int | Decimal) or x < 0 for x in tol.values()):
        raise BrokenFile(f"{place}: tol is not abs, rel or both, 0 or more")


def main(arguments: list[str]) -> int:
    """The exit status."""
    if len(arguments) != 1:
        print("usage: python -m tests.etw_cases FILE.json", file=sys.stderr)
        return 2
    try:
        cases = read(Path(arguments[0]))
    except BrokenFile as error:
        print(error, file=sys.stderr)
        return 2
    sys.stdout.reconfigure(errors="backslashreplace")  # a name of the file may hold what the terminal cannot show
    verdicts = [judge(case) for case in cases]
    for _, line in verdicts:
        print(line)
    failed = sum(not ok for ok, _ in verdicts)
    print(f"{len(cases)} cases, {failed} failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
