"""Files that people write: nothing is guessed, everything wrong is said at once and at its place."""

from __future__ import annotations

import ast
import pickle
import re
import string
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

from agent.form import judge, nodes
from agent.form.fields import (
    DurationMs,
    Section,
    SizeBytes,
    Switch,
    Text,
    Whole,
    duration_ms,
    duration_text,
    size_bytes,
)
from agent.form.judge import judged
from agent.form.nodes import Bare, read_bytes, read_file, read_text, scalar, shown
from agent.form.problems import FormErrors, Problem
from agent.messages import LANGUAGES, Messages, problem_lines

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("agent", "drivers", "simulators")


def refused(text: str) -> list[tuple[int, int, str]]:
    """Line, column and code of everything that is wrong with a file, before any model sees it."""
    try:
        problems = read_text(text, "f.yaml").problems
    except FormErrors as errors:
        problems = list(errors.problems)
    told(problems)
    return [(each.line, each.column, each.code) for each in problems]


def told(problems: list[Problem]) -> list[str]:
    """What people read; no argument of a sentence may be missing."""
    lines = [line for lang in ("zh", "en") for line in problem_lines(Messages(lang), problems)]
    assert not [line for line in lines if re.search(r"\{[a-z]+\}", line)]
    return lines


@pytest.fixture(params=["CBaseLoader", "BaseLoader"])
def either_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """libyaml, and pure Python: 32-bit boards have no libyaml."""
    monkeypatch.setattr(nodes, "_LOADER", getattr(yaml, request.param, yaml.BaseLoader))
    return request.param


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-3", -3),
        ("0x1010", 4112),
        ("0.10", Decimal("0.10")),
        ("1e3", Decimal("1e3")),
        ("12345678901234567890", Decimal(12345678901234567890)),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("tuf2000", "tuf2000"),
        ("15s", "15s"),
        ("Asia/Shanghai", "Asia/Shanghai"),
        ("192.168.1.50", "192.168.1.50"),
    ],
)
def test_a_plain_scalar_is_what_it_says(text: str, value: object) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    ["000012", "012", "0o17", "0b101", "1_000", "+5", "12:30:00", "12:30", "yes", "No", "ON", "off", "True", "FALSE",
     "2026-11-21", "2027-12-31", ".5", "5.", ".inf", "-.inf", ".nan", "=", "NULL", "Null"],
)  # fmt: skip
def test_what_programs_read_differently_is_never_guessed(text: str) -> None:
    assert scalar(text) == Bare(text)


def test_decimals_keep_their_digits() -> None:
    root = read_text("a: 0.1000\nb: 123456789012345678901234567890.5", "f").root.entries()
    assert str(root["a"].value) == "0.1000"
    assert str(root["b"].value) == "123456789012345678901234567890.5"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (1, 1, "file-empty")),
        ("# only a comment\n", (1, 1, "file-empty")),
        ("---\n...\n", (1, 1, "file-empty")),
        ("- a\n- b\n", (1, 1, "file-no-mapping")),
        ("just text", (1, 1, "file-no-mapping")),
        ("a:\n\t- b", (2, 1, "yaml-tab")),
        ("a:\n  b: 1\n\tc: 2", (3, 1, "yaml-tab")),
        ("a: b: c", (1, 5, "yaml-colon")),
        ("a: 1\n b: 2", (2, 3, "yaml-colon")),
        ("a：1\nb: 2\n", (1, 2, "yaml-full-width")),
        ("x:\n  a：\n    b: 1\n", (2, 4, "yaml-full-width")),
        ("x: {a: 1，b: 2}", (1, 9, "yaml-full-width")),
        ("x: {a: ［1], b: 2", (1, 8, "yaml-full-width")),
        ("x: {a: '，', b: 2", (1, 4, "yaml-unclosed")),
        ("n: 东、西：两处\na: b: c", (2, 5, "yaml-colon")),
        ("x:\n\u3000a: 1\n  b: 2\n", (2, 1, "yaml-wide-space")),
        ("x:\n \u00a0a: 1\n  b: 2\n", (2, 2, "yaml-wide-space")),
        ("a: @x", (1, 4, "yaml-reserved")),
        ("a: `x", (1, 4, "yaml-reserved")),
        ("a: {b: 1\nc: 2\n", (1, 4, "yaml-unclosed")),
        ("a: [1, 2\n", (1, 4, "yaml-unclosed")),
        ('a: "x\n', (1, 4, "yaml-unclosed")),
        ("a: 1\n---\nb: 2\n", (2, 1, "yaml-many")),
        ("a: &x 1\nb: *x\n", (2, 4, "yaml-alias")),
        ("a: !!python/object:os.system x", (1, 4, "yaml-tag")),
        ("a: !include other.yaml", (1, 4, "yaml-tag")),
        ("a: {<<: {b: 1}}", (1, 5, "yaml-merge")),
        ("[a, b]: 1", (1, 1, "yaml-key")),
        ("? {a: 1}\n: 2", (1, 3, "yaml-key")),
        ("a: 1\nb: 2\na: 3", (3, 1, "duplicate-key")),
        ("a: {b: 1, b: 2}", (1, 11, "duplicate-key")),
        ("a: x\x07y", (1, 5, "file-control")),
        ("a: 1\nb: \x00", (2, 4, "file-control")),
    ],
)
def test_what_is_no_plain_yaml_is_named_at_its_place(
    either_parser: str, text: str, expected: tuple[int, int, str]
) -> None:
    assert refused(text) == [expected]


def test_a_repeated_key_keeps_the_rest_of_the_file_readable() -> None:
    document = read_text("a: {x: 1}\na: {x: 2}\nb: [*y, 3]\nc: 4", "f")
    assert [(each.line, each.code) for each in document.problems] == [(2, "duplicate-key"), (3, "yaml-alias")]
    assert document.root.entries()["a"].data() == {"x": 1}
    assert document.root.entries()["c"].value == 4


def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    def code(path: Path) -> tuple[int, int, str]:
        with pytest.raises(FormErrors) as caught:
            read_file(path, str(path))
        (problem,) = caught.value.problems
        return problem.line, problem.column, problem.code

    assert code(tmp_path / "none.yaml") == (1, 1, "file-missing")
    assert code(tmp_path) == (1, 1, "file-unreadable")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("a: 1\nname: 三号".encode() + b"\xe9\n")
    assert code(latin) == (2, 9, "file-not-utf8")
    gbk = tmp_path / "gbk.yaml"
    gbk.write_bytes("name: 三号泵房\n".encode("gbk"))
    assert code(gbk) == (1, 7, "file-not-utf8")
    big = tmp_path / "big.yaml"
    big.write_bytes(b"#" * (nodes.SIZE_LIMIT + 1))
    assert code(big) == (1, 1, "file-too-big")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm() -> None:
    document = read_bytes("\ufeffa: 1\r\nb:\r\n  c: 2\r\n".encode(), "f")
    assert document.root.data() == {"a": 1, "b": {"c": 2}}
    assert document.root.at(("b", "c"))[0].line == 3


def test_hostile_yaml_costs_little(either_parser: str) -> None:
    assert refused("a: " + "[" * 200_000)[0][2] == "yaml-deep"
    assert refused("".join(f"{' ' * depth}a:\n" for depth in range(500)))[0][2] == "yaml-deep"
    names = string.ascii_lowercase
    bomb = "a: &a [x, x]\n" + "".join(f"{new}: &{new} [*{old}, *{old}]\n" for old, new in pairwise(names))
    assert {code for _, _, code in refused(bomb)} == {"yaml-alias"}
    assert {code for _, _, code in refused("a: &a [*a]")} == {"yaml-alias"}


FRAGMENTS = [
    "a",
    ": ",
    "- ",
    "\n",
    "  ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "'",
    '"',
    "*",
    "&",
    "!",
    "|",
    ">",
    "#",
    "%",
    "\t",
    "?",
    "<<",
]


@given(st.text(max_size=200) | st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join))
def test_no_text_ends_in_anything_but_a_document_or_its_problems(text: str) -> None:
    try:
        document = read_text(text, "f")
    except FormErrors as errors:
        places = [(each.line, each.column) for each in errors.problems]
    else:
        document.root.data()
        places = [(document.root.line, document.root.column)]
    assert places
    assert min(min(place) for place in places) >= 1


_UNITS_MS = {"ms": 1, "s": 1000, "m": 60 * 1000, "h": 3600 * 1000, "d": 24 * 3600 * 1000}


@given(st.integers(min_value=0, max_value=999_999_999), st.sampled_from(sorted(_UNITS_MS)))
def test_a_duration_is_its_number_times_its_unit(number: int, unit: str) -> None:
    assert duration_ms(f"{number}{unit}") == number * _UNITS_MS[unit]


@given(st.integers(min_value=0, max_value=10**9))
def test_a_duration_reads_back_as_it_is_written(amount_ms: int) -> None:
    assert duration_ms(duration_text(amount_ms)) == amount_ms


@pytest.mark.parametrize(
    "text", ["", "60", "s", "1.5.2s", "-1s", "1 s", "1S", "1M", "1min", "0.0001s", "1h30m", "١s", "1e3s"]
)
def test_what_is_no_duration_is_none(text: str) -> None:
    assert duration_ms(text) is None


@given(st.integers(min_value=0, max_value=10**6), st.sampled_from(["kB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"]))
def test_a_size_counts_thousands_and_binary_units_apart(number: int, unit: str) -> None:
    base = 1024 if "i" in unit else 1000
    power = "kKMGT".index(unit[0])
    assert size_bytes(f"{number}{unit}") == number * base ** max(1, power)


@pytest.mark.parametrize("text", ["", "4", "4G", "4gb", "4 GB", "-1GB", "GB", "0.0001kB"])
def test_what_is_no_size_is_none(text: str) -> None:
    assert size_bytes(text) is None


@pytest.mark.parametrize(("kind", "good", "bad"), [
    (DurationMs("10ms", "8h"), ["10ms", "8h", "0.5h"], ["9ms", "8.1h", "481m", 60, None, True, Bare("010")]),
    (SizeBytes("1MB", "1GB"), ["1MB", "1000MB"], ["999kB", "1.1GB", "2GiB", 4, None]),
])  # fmt: skip
def test_limits_belong_to_the_allowed_values(kind: DurationMs | SizeBytes, good: list[str], bad: list[object]) -> None:
    adapter = TypeAdapter(Annotated[int, kind])
    for value in good:
        assert isinstance(adapter.validate_python(value), int)
    for value in bad:
        with pytest.raises(ValidationError):
            adapter.validate_python(value)


class Inner(Section):
    whole: Whole = Field(default=1, ge=1, le=9)
    switch: Switch = False
    text: Text | None = None


class Outer(Section):
    name: Text
    inner: Inner = Inner()
    named: dict[str, Inner] = Field(default_factory=dict)
    listed: list[Inner] = Field(default_factory=list)


def complaints(text: str) -> list[tuple[int, int, str, str]]:
    document = read_text(text, "f")
    judged(document, (), Outer)
    told(document.problems)
    return sorted((each.line, each.column, each.path, each.code) for each in document.problems)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("inner: {}", (1, 1, "name", "missing")),
        ("name: 12", (1, 7, "name", "quote")),
        ("name: 0012", (1, 7, "name", "bare")),
        ("name: true", (1, 7, "name", "quote")),
        ("name: {a: 1}", (1, 7, "name", "text")),
        ("name:", (1, 6, "name", "nothing")),
        ('name: ""', (1, 7, "name", "too-short")),
        ("name: a\ninner: 3", (2, 8, "inner", "mapping")),
        ("name: a\ninner:", (2, 7, "inner", "nothing")),
        ("name: a\ninner: {whole: 1.5}", (2, 16, "inner.whole", "whole")),
        ('name: a\ninner: {whole: "1"}', (2, 16, "inner.whole", "whole")),
        ("name: a\ninner: {whole: true}", (2, 16, "inner.whole", "whole")),
        ("name: a\ninner: {whole: 07}", (2, 16, "inner.whole", "whole")),
        ("name: a\ninner: {whole: 0}", (2, 16, "inner.whole", "too-small")),
        ("name: a\ninner: {whole: 10}", (2, 16, "inner.whole", "too-large")),
        ("name: a\ninner: {switch: yes}", (2, 17, "inner.switch", "switch")),
        ("name: a\ninner: {switch: 1}", (2, 17, "inner.switch", "switch")),
        ('name: a\ninner: {switch: "true"}', (2, 17, "inner.switch", "switch")),
        ("name: a\ninner: {text: ~}", (2, 15, "inner.text", "nothing")),
        ("name: a\nnamed: {x: {wole: 1}}", (2, 13, "named.x.wole", "unknown-key")),
        ("name: a\nlisted: {}", (2, 9, "listed", "list")),
        ("name: a\nlisted:\n  - whole: 3\n  - whole: x", (4, 12, "listed[1].whole", "whole")),
    ],
)
def test_every_kind_of_mistake_has_its_code_and_place(text: str, expected: tuple[int, int, str, str]) -> None:
    assert complaints(text) == [expected]


def test_an_unknown_key_names_the_keys_there_are_and_the_one_probably_meant() -> None:
    document = read_text("name: a\nnamed: {x: {wole: 1}}", "f")
    judged(document, (), Outer)
    assert dict(document.problems[0].arguments) == {"key": "wole", "allowed": "switch text whole", "near": "whole"}


def codes_in_the_sources() -> set[str]:
    """Every code that our own code can put into a problem: literals handed to whatever makes one."""
    makers = {"complain", "complain_key", "complain_reference", "refusal", "text_of", "_problem", "_one", "_complain"}
    found = set(judge._CODES.values()) | {"bare", "nothing", "quote", "other"}
    texts = [path.read_text(encoding="utf-8") for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    for text in texts:
        for node in ast.walk(ast.parse(text)) if "agent.form" in text or "SpecError" in text else ():
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            values = [each.value for each in node.args if isinstance(each, ast.Constant)]
            literals = [each for each in values if isinstance(each, str)]
            if name in makers and literals:
                found.add(literals[-1] if name in {"_problem", "_one"} else literals[0])
            if name == "SpecError":
                found |= {each for each in literals if each.startswith("spec.")}
            found |= {
                keyword.value.value
                for keyword in node.keywords
                if name == "Problem" and keyword.arg == "code" and isinstance(keyword.value, ast.Constant)
            }
    return {code for code in found if re.fullmatch(r"[a-z]+([.-][a-z0-9]+)*", code)}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_code_has_a_sentence(lang: str) -> None:
    messages = Messages(lang)
    assert {"yaml-tab", "duplicate-key", "missing", "port-taken", "spec.address"} <= codes_in_the_sources()
    assert {code for code in codes_in_the_sources() if not messages.has(f"form.{code}")} == set()


@pytest.mark.parametrize(
    ("text", "code"),
    [("a: {whole: 1,000}", "key-comma"), ("a: {whole:1}", "key-colon"), ("a: {whole：1}", "key-colon")],
)
def test_a_key_that_a_comma_or_a_colon_made_is_told_as_such(text: str, code: str) -> None:
    document = read_text(f"name: a\nnamed: {{{text}}}", "f")
    judged(document, (), Outer)
    assert code in {each.code for each in document.problems}


def test_a_list_is_shown_as_it_was_written_and_nothing_as_quotes() -> None:
    assert [shown([45, Decimal("3.5")]), shown([[1], 2]), shown("")] == ["[45, 3.5]", "[…]", '""']


def test_a_problem_is_told_with_its_place_so_that_a_terminal_links_it() -> None:
    document = read_text("name: a\nnamed: {x: {wole: 1}}", "site/agent.yaml")
    judged(document, (), Outer)
    assert list(problem_lines(Messages("en"), document.problems)) == [
        "site/agent.yaml:2:13: named.x.wole: there is no key wole; possible are switch text whole · did you mean whole?"
    ]


def test_what_is_wrong_with_a_file_passes_from_one_process_to_another(tmp_path: Path):
    path = tmp_path / "wrong.yaml"
    path.write_text("a: [\n", encoding="utf-8")
    with pytest.raises(FormErrors) as found:
        read_file(path, str(path))
    again = pickle.loads(pickle.dumps(found.value))
    assert again.problems == found.value.problems
    assert str(again) == str(found.value)
    assert str(path) in str(again)
