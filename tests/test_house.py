"""The house's own rules that no linter knows: sizes, empty package files, nothing of the place where it was written."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = ("agent", "drivers", "simulators")
MODULE_LINES = 400
FUNCTION_LINES = 40


def tracked(*patterns: str) -> list[Path]:
    """The files of the repository, as git or, in an unpacked archive, the disk has them."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0:
        names = {name for name in listed.stdout.split("\0") if name}
        return sorted(ROOT / name for name in names if (ROOT / name).is_file())
    return sorted(path for pattern in patterns or ("**/*",) for path in ROOT.glob(pattern) if path.is_file())


def modules(*directories: str) -> list[Path]:
    return [path for path in tracked("*.py") if path.relative_to(ROOT).parts[0] in directories]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", modules(*PRODUCT, "tests", "bench"), ids=named)
def test_a_module_fits_in_a_head(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < MODULE_LINES


@pytest.mark.parametrize("path", modules(*PRODUCT), ids=named)
def test_a_function_fits_in_an_eye(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1
            assert lines < FUNCTION_LINES, node.name


def test_every_package_file_is_empty() -> None:
    assert [named(path) for path in tracked("*__init__.py") if path.read_bytes().strip()] == []


def test_nothing_is_left_for_later() -> None:
    later = re.compile(r"\b(TO" + "DO|FIX" + "ME|XX" + "X)\\b")
    assert [
        named(path) for path in tracked("*.py", "*.md", "*.yaml") if later.search(path.read_text(encoding="utf-8"))
    ] == []


def test_nothing_names_the_place_where_it_was_written() -> None:
    """No path of a developer's machine, no package index: both belong to whoever installs it."""
    words = (
        "/wo-rk/",
        "/ro-ot/",
        r"/ho-me/\w",
        "/opt/p-ypi",
        "/opt/wh-eels",
        r"p-ypi\.",
        "python-hosted",
        "index--url",
    )
    places = re.compile("|".join(word.replace("-", "", 1) for word in words))  # spelt so that this file has none
    found = []
    for path in tracked():
        text = path.read_bytes()
        if b"\0" not in text and places.search(text.decode("utf-8", "replace")):
            found.append(named(path))
    assert found == []


def test_no_test_is_skipped() -> None:
    """A machine without mosquitto or strace is told what to install; it does not pass by leaving things out."""
    skips = re.compile(r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)\b")
    found = [named(path) for path in tracked("tests/*.py") if skips.search(path.read_text(encoding="utf-8"))]
    assert [name for name in found if name != "tests/test_house.py"] == []


def test_every_lint_ignore_states_its_reason() -> None:
    """Imports inside functions and calls into untyped libraries explain themselves."""
    bare = re.compile(r"# noqa: (?!PLC0415$)[A-Z0-9, ]+$|# type: ignore(?!\[no-untyped-call\])\S*$")
    found = [
        f"{named(path)}:{number}"
        for path in modules(*PRODUCT)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if bare.search(line.rstrip())
    ]
    assert found == []


def test_the_product_has_no_switches_for_tests() -> None:
    switches = re.compile(r"PYTEST_|\bunittest\b|environ.*TEST", re.IGNORECASE)
    found = [named(path) for path in modules("agent", "drivers") if switches.search(path.read_text(encoding="utf-8"))]
    assert found == []
