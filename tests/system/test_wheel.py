"""The package as an operator gets it: a wheel in an empty environment, away from the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from agent.cli.main import VERBS
from agent.messages import LANGUAGES

ROOT = Path(__file__).parents[2]


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(word) for word in words], cwd=cwd, env=environ, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", directory, ROOT, cwd=directory)
    assert built.returncode == 0, built.stderr
    (file,) = directory.glob("qushui-*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The `bin` of an environment that has the wheel and what it depends on."""
    directory = wheel.parent / "environment"
    venv.create(directory, with_pip=True)
    done = run(directory / "bin" / "python", "-m", "pip", "install", "-q", "--no-compile", wheel, cwd=wheel.parent)
    assert done.returncode == 0, done.stderr
    return directory / "bin"


def test_the_wheel_carries_each_file_once_and_all_its_data(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert len(names) == len(set(names))
    for lang in LANGUAGES:
        assert f"agent/locale/{lang}.yaml" in names
        assert [verb for verb in VERBS if f"agent/docs/verbs/{verb}.{lang}.md" not in names] == []
    profiles = {f"agent/data/profiles/{path.name}" for path in (ROOT / "config" / "profiles").glob("*.yaml")}
    assert profiles <= set(names)
    assert {"agent/data/agent.example.yaml", "agent/schema/0001-rounds.sql"} <= set(names)
    assert [name for name in names if name.startswith(("tests/", "bench/"))] == []


def test_it_lists_and_tests_the_same_profiles_as_the_checkout(installed: Path, tmp_path: Path) -> None:
    nowhere = ("-c", tmp_path / "agent.yaml")
    for verb in ("list", "test"):
        away = run(installed / "qushui", "profiles", verb, "--json", *nowhere, cwd=tmp_path)
        here = run(sys.executable, "-m", "agent.cli", "profiles", verb, "--json", *nowhere, cwd=ROOT)
        assert away.returncode == here.returncode == 0, away.stderr
        assert json.loads(away.stdout) == json.loads(here.stdout)


def test_it_explains_itself_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    for words in (("help",), ("help", "read"), ("help", "METER-NO-REPLY"), ("help", "poll"), ("--version",)):
        said = run(installed / "qushui", *words, cwd=tmp_path)
        assert said.returncode == 0, said.stderr
        assert said.stdout.strip()


def test_its_example_configuration_passes(installed: Path, tmp_path: Path) -> None:
    checked = run(installed / "qushui", "check", ROOT / "config" / "agent.example.yaml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr


def test_it_has_both_commands(installed: Path, tmp_path: Path) -> None:
    assert run(installed / "qushui-sim", "--help", cwd=tmp_path).returncode == 0
