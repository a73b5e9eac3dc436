"""`qushui profiles`: the library as a technician uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.profiles import Library
from drivers.registry import DRIVERS

SHIPPED = list(Library(drivers=DRIVERS).names())


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A configuration file's place, with a profile of the site's own beside it."""
    (tmp_path / "profiles").mkdir()
    return tmp_path / "agent.yaml"


def own(site: Path, reply: str = "01 03 04 00 01 E2 40 E2 A3") -> None:
    text = f"""\
profile: own
title: {{zh: 自有表, en: own meter}}
source: own manual
protocol: modbus
items: [{{quantity: volume_forward, table: holding, register: 0, type: u32, scale: 0.01}}]
tests:
  - {{request: "01 03 00 00 00 02 C4 0B", reply: "{reply}", expect: {{volume_forward: "1234.56"}}, origin: constructed}}
"""
    (site.parent / "profiles" / "own.yaml").write_text(text, encoding="utf-8")


def run(site: Path, *words: str) -> int:
    return main(["profiles", *words, "-c", str(site), "--lang", "en"])


def test_it_lists_what_is_shipped_and_what_the_site_adds(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own(site)
    assert run(site, "list") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == sorted([*SHIPPED, "own"])
    assert run(site, "--json") == 0
    listed = {each["profile"]: each for each in json.loads(capsys.readouterr().out)}
    assert listed["tuf2000"]["quantities"][:2] == ["flow_rate", "velocity"]
    assert listed["own"]["title"] == {"zh": "自有表", "en": "own meter"}


def test_the_chinese_list_speaks_chinese(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profiles", "-c", str(site), "--lang", "zh"]) == 0
    assert "西门子 MAG 5000 / MAG 6000 电磁流量计" in capsys.readouterr().out


def test_it_shows_a_profile_with_its_source_and_what_to_compare_on_site(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(site, "show", "l-mag") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "LDC-200 / L-mag RTU configuration article" in out
    assert "compare on site What the flow unit code means differs between boards" in out
    assert "flow_rate m3/h -100000 … 100000 2" in out


def test_it_replays_the_frames_of_all_profiles(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own(site)
    assert run(site, "test") == 0
    out = capsys.readouterr().out
    assert "pass  volume_forward 1234.56 m3" in out
    tests = 1 + sum(len(Library(drivers=DRIVERS).load(name).tests) for name in SHIPPED)
    assert f"{len(SHIPPED) + 1} profiles, {tests} tests, 0 failed." in out
    assert run(site, "test", "--json") == 0
    assert all(each["passed"] for each in json.loads(capsys.readouterr().out))


def test_a_profile_that_decodes_to_something_else_fails(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own(site, reply="01 03 04 00 01 E2 41 23 63")
    assert run(site, "test", "own") == 1
    assert "FAIL  volume_forward: expected 1234.56, got 1234.57" in capsys.readouterr().out
    own(site, reply="01 03 04 00 01 E2 41 00 00")
    assert run(site, "test", "own") == 1
    assert "a frame is not sound" in capsys.readouterr().out


def test_wrong_names_and_wrong_profiles_are_wrong_input(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(site, "show", "tuf200") == 2
    assert "there is no profile tuf200" in capsys.readouterr().err
    assert run(site, "show") == 2
    assert "Name a profile" in capsys.readouterr().err
    own(site)
    file = site.parent / "profiles" / "own.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("u32", "u33"), encoding="utf-8")
    assert run(site, "test", "own") == 2
    assert f"{file}:5:71: items[0].type: u33 is none of the choices" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["new"], ["new", "a", "b"], ["new", "Not A Name"]])
def test_a_new_profile_needs_one_name(site: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(site, *words) == 2
    assert capsys.readouterr().out == ""


def test_a_new_profile_is_valid_as_it_comes(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(site, "new", "acme-lxe50") == 0
    out, err = capsys.readouterr()
    assert "qushui profiles test acme-lxe50" in err
    (site.parent / "profiles" / "acme-lxe50.yaml").write_text(out, encoding="utf-8")
    assert run(site, "test", "acme-lxe50") == 0
