"""A site at which things are entered, and the words that enter them."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cli.main import main
from tests.cli.desk import AGENT, Say


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    (tmp_path / "agent.yaml").write_text(AGENT.format(state=tmp_path / "state"), encoding="utf-8")
    return tmp_path


@pytest.fixture
def say(here: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    def spoken(*words: str, lang: str = "en") -> tuple[int, str, str]:
        capsys.readouterr()
        status = main([*words, "--who", "Li", "-c", str(here / "agent.yaml"), "--lang", lang])
        said = capsys.readouterr()
        return status, said.out, said.err

    return spoken
