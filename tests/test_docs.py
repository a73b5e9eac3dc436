"""The documentation, held to what it says: complete, no dead links, and its examples work."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import types
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from agent.cli.main import VERBS, parser_of
from agent.client import DEFAULT_CONFIG
from agent.clock import SystemClock
from agent.config import load
from agent.faults import FaultCode
from agent.messages import LANGUAGES, Messages
from agent.model import Layout, Outcome, Receipt, StoredRound
from agent.profiles import Library
from agent.replay import replayed
from agent.uplinks.contract import Batch, LinkError, TooLargeError
from agent.uplinks.registry import settings_models
from drivers.contract import BadChecksum, NoValue, Reply, SpecError, WrongAddress
from drivers.registry import DRIVERS
from tests import wire

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "README.zh-CN.md", ROOT / "CHANGELOG.md"]


def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def run_module(monkeypatch: pytest.MonkeyPatch, name: str, source: str) -> types.ModuleType:
    module = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(source, f"<{name} of the page>", "exec"), module.__dict__)
    return module


def lint(name: str, source: str) -> str:
    """What ruff says of `source` as the file `name`; empty when nothing."""
    command = [sys.executable, "-m", "ruff", "check", "-q", "--stdin-filename", name, "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=False, cwd=ROOT).stdout


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_link_is_dead(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://", "#")):
            assert (page.parent / target.split("#")[0]).exists(), target


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_option_has_its_page(verb: str, lang: str) -> None:
    text = (DOCS / "verbs" / f"{verb}.{lang}.md").read_text(encoding="utf-8")
    assert f"qushui {verb}" in text
    assert ("退出状态" if lang == "zh" else "Exit status") in text
    parser = parser_of(verb, import_module(f"agent.cli.{verb}"), Messages(lang))
    options = {action.option_strings[0] for action in parser._actions if action.option_strings}
    assert {option for option in options - {"-h", "--lang"} if option not in text} == set()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_index_lists_every_page(lang: str) -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    pages = [page for page in DOCS.rglob(f"*.{lang}.md") if "decisions" not in page.parts]
    pages += (DOCS / "developers").glob("*.md")
    assert [named(page) for page in pages if f"({page.relative_to(DOCS)})" not in index] == []


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_fault_has_its_section(lang: str) -> None:
    text = (DOCS / f"faults.{lang}.md").read_text(encoding="utf-8")
    assert re.findall("^## (.+)$", text, re.MULTILINE) == list(FaultCode)


def test_every_event_is_explained_and_happens() -> None:
    event = re.compile(r'\.(?:debug|info|warning|error)\(\s*"([a-z]+\.[a-z_]+)"')
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "agent").rglob("*.py"))
    logged = {name for source in sources for name in event.findall(source)}
    page = (DOCS / "developers" / "events.md").read_text(encoding="utf-8")
    assert logged == set(re.findall(r"^\| `([a-z_.]+)`", page, re.MULTILINE))


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_configuration_of_the_readme_passes(name: str, tmp_path: Path) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    lines = re.search(r"^    station: .*?(?=^\S)", text, re.MULTILINE | re.DOTALL)
    assert lines is not None
    yaml = re.sub("^    ", "", lines[0], flags=re.MULTILINE)
    config = load(tmp_path / "agent.yaml", text=yaml, drivers=DRIVERS, uplink_settings=settings_models())
    assert list(config.meters) == ["main-flow"]
    assert str(DEFAULT_CONFIG) in text


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_commands_of_the_readme_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    verbs = set(re.findall(r"^    (?:sudo )?qushui ([a-z]+)", text, re.MULTILINE))
    assert verbs
    assert verbs <= set(VERBS)
    goals = set(re.findall(r"^    make ([a-z]+)", text, re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {"demo", "test"} <= goals
    assert [goal for goal in goals if not re.search(f"^{goal}:", makefile, re.MULTILINE)] == []
    copied = re.findall(r"cp (systemd/[\w.-]+)", text)
    assert copied
    assert [file for file in copied if not (ROOT / file).exists()] == []


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_readme_ends_where_a_contributor_begins(name: str) -> None:
    last = (ROOT / name).read_text(encoding="utf-8").split("\n## ")[-1]
    assert "add-a-protocol.md" in last
    assert "add-a-platform.md" in last


# --- add-a-protocol.md, step by step

PROTOCOL = DOCS / "developers" / "add-a-protocol.md"
REPLY = b"=01F12.5*48\r"


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    (source,) = blocks(PROTOCOL, "python")
    return run_module(monkeypatch, "drivers.acme", source)


def test_the_protocol_of_the_page_passes_the_linter() -> None:
    assert lint("drivers/acme.py", *blocks(PROTOCOL, "python")) == ""


def test_the_profile_of_the_page_replays_its_frame(acme: types.ModuleType) -> None:
    (text,) = blocks(PROTOCOL, "yaml")
    profile = Library(drivers={**DRIVERS, "acme": acme.AcmeDriver}, texts={"acme-flow": text}).load("acme-flow")
    outcomes = replayed(profile, acme.AcmeDriver())
    assert outcomes
    assert all(outcome.passed for outcome in outcomes)


def test_the_exchange_of_the_page_takes_no_wrong_value(acme: types.ModuleType) -> None:
    driver = acme.AcmeDriver()
    (ask,) = driver.plan("01", [[driver.item({"letter": "F"})]], {})
    expected = (Decimal("12.5"),)
    wire.check_whole(lambda: ask.begin(0), REPLY, expected)
    wire.check_byte_by_byte(lambda: ask.begin(0), REPLY, expected)
    wire.check_noise(lambda: ask.begin(0), REPLY, expected, found=True)
    wire.check_flips(lambda: ask.begin(0), REPLY, expected)
    exchange = ask.begin(0)
    exchange.receive(driver.answer(b"?02F\r", {"02": {"F": "7"}}))
    assert isinstance(exchange.end(), WrongAddress)
    exchange = ask.begin(0)
    exchange.receive(REPLY.replace(b"12.5", b"12.6"))
    assert isinstance(exchange.end(), BadChecksum)
    nothing = ask.begin(0).receive(driver.answer(b"?01F\r", {"01": {"F": "----"}}))
    assert isinstance(nothing, Reply)
    assert nothing.values == (NoValue.NOT_AVAILABLE,)


def test_the_driver_of_the_page_refuses_what_it_does_not_know(acme: types.ModuleType) -> None:
    driver = acme.AcmeDriver()
    with pytest.raises(SpecError):
        driver.item({"register": 3})
    with pytest.raises(SpecError):
        driver.plan("1", [[driver.item({"letter": "F"})]], {})


# --- add-a-platform.md, step by step

PLATFORM = DOCS / "developers" / "add-a-platform.md"
MODULES = ("options", "settings", "uplink")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> dict[str, types.ModuleType]:
    run_module(monkeypatch, "agent.uplinks.lines", "")
    sources = zip(MODULES, blocks(PLATFORM, "python"), strict=True)
    return {name: run_module(monkeypatch, f"agent.uplinks.lines.{name}", source) for name, source in sources}


@pytest.mark.parametrize("name", MODULES)
def test_the_platform_of_the_page_passes_the_linter(name: str) -> None:
    source = blocks(PLATFORM, "python")[MODULES.index(name)]
    assert lint(f"agent/uplinks/mqtt/{name}_.py", source) == ""  # a package that is there


def stored(number: int) -> StoredRound:
    layout = Layout(
        meter="m", profile="p", version="00000000", protocol="modbus", address="1", quantities=("flow_rate",), flags=(),
        period_ms=60_000, requests=(b"",),
    )  # fmt: skip
    return StoredRound(number, f"9f3c2a71-{number}", layout, 1_795_219_200_000, ("12.5",), None)


def pumped(uplink: Any, receipts: int) -> list[Receipt]:
    """What comes until there are so many receipts, for at most 5 s. Raises LinkError."""
    found: list[Receipt] = []
    for _ in range(500):
        found += uplink.pump()
        if len(found) >= receipts:
            break
        threading.Event().wait(0.01)
    return found


def test_the_platform_of_the_page_settles_by_the_platforms_word(
    lines: dict[str, types.ModuleType], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        text = (
            "station: {id: a}\nlines: {l: {port: /dev/ttyS0}}\n"
            'meters: {m: {line: l, profile: tuf2000, address: "1", poll: 60s}}\n'
            f"uplinks: {{far: {{type: lines, host: 127.0.0.1, port: {server.getsockname()[1]}}}}}\n"
        )
        models = {"lines": lines["settings"].LinesSettings}
        config = load(tmp_path / "agent.yaml", text=text, drivers=DRIVERS, uplink_settings=models)

        def serve() -> None:
            far, _ = server.accept()
            with far, far.makefile("rb") as said:
                said.readline()
                far.sendall(b"OK 1\nNO 2 quo")
                said.readline()
                far.sendall(b"ta\nNO 3 format\n")
                said.readline()

        serving = threading.Thread(target=serve)
        serving.start()
        uplink = lines["uplink"].LinesUplink(
            "far", settings=config.uplinks["far"], station=config.station, clock=SystemClock("host")
        )
        uplink.open(5)
        for tag in (1, 2):
            uplink.send(Batch([stored(tag)], [False]), tag)
        assert [(each.tag, each.outcome) for each in pumped(uplink, 3)] == [
            (1, Outcome.ACCEPTED), (2, Outcome.RETRY), (3, Outcome.REJECTED),
        ]  # fmt: skip
        assert uplink.unsent() == 0
        with pytest.raises(TooLargeError):
            uplink.send(Batch([stored(1)] * 2000, [True] * 2000), 4)
        uplink.send(Batch([stored(3)], [True]), 5)
        with pytest.raises(LinkError):
            pumped(uplink, 1)
        uplink.close()
        serving.join(5)
