"""The verbs of a station that runs, and of one that does not: real daemon, simulated meters, no platform at first."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from agent import page
from agent.cli.main import main
from tests.system.processes import until
from tests.system.station import Site


class Said(NamedTuple):
    status: int
    out: str
    err: str


Say = Callable[..., Said]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two meters on one TCP endpoint: `main-flow` answers, `lost` is configured and not there. The broker is away."""
    with Site(tmp_path_factory.mktemp("verbs"), poll="500ms") as site:
        site.tcp("lan")
        site.meter("main-flow", "lan", "tuf2000", 1, values={"volume_forward": "1234.56", "flow_rate": "12.5"})
        site.meter("lost", "lan", "l-mag", 9)
        del site.far_meters["lost"]
        site.lines["lan"]["timeout"] = "200ms"
        site.write()
        site.start_meters()
        site.start_daemon().ready()
        site.grows(4)
        yield site


@pytest.fixture
def say(site: Site, capsys: pytest.CaptureFixture[str]) -> Say:
    def said(*words: str, lang: str = "en") -> Said:
        status = main([*words, "-c", str(site.config), "--lang", lang])
        return Said(status, *capsys.readouterr())

    return said


def test_read_shows_what_the_meter_shows(say: Say) -> None:
    said = say("read", "main-flow")
    assert said.status == 0
    assert "1234.56" in said.out
    assert "m3/h" in said.out
    assert "sent" in said.out
    assert said.err == ""


def test_read_in_chinese(say: Say) -> None:
    said = say("read", "main-flow", lang="zh")
    assert "正向累计水量" in said.out
    assert "发出" in said.out


def test_read_as_json_holds_codes_and_bytes(say: Say) -> None:
    (result,) = json.loads(say("read", "main-flow", "--json").out)
    assert result["values"]["volume_forward"] == "1234.56"
    assert result["meter"] == "main-flow"
    assert all(bytes.fromhex(exchange["sent_hex"]) for exchange in result["exchanges"])


def test_a_meter_that_fails_is_explained_and_costs_the_status(say: Say) -> None:
    said = say("read", "--all")
    assert said.status == 1
    assert "1234.56" in said.out
    assert "METER-NO-REPLY" in said.err
    assert "qushui read lost" in said.err


def test_an_unknown_meter_is_corrected(say: Say, site: Site) -> None:
    said = say("read", "main-flo")
    assert (said.status, said.out) == (2, "")
    assert f"Did you mean qushui read main-flow -c {site.config}?" in said.err


@pytest.mark.parametrize("words", [("read",), ("read", "--all", "main-flow")])
def test_read_wants_names_or_all(say: Say, words: tuple[str, ...]) -> None:
    assert say(*words).status == 2


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_status_tells_lines_meters_platforms_and_faults(say: Say, site: Site, lang: str) -> None:
    until(lambda: "METER-NO-REPLY" in say("status", lang=lang).out, 20, "the dead meter is noticed")
    said = say("status", lang=lang)
    assert said.status == 0
    for word in ("bench-1", "lan", "main-flow", "1234.56 m3", "lost", "cloud", str(site.database), "METER-NO-REPLY"):
        assert word in said.out, word
    wide = [line for line in said.out.splitlines() if page.width_of(line) > 80]
    assert [line for line in wide if str(site.directory) not in line] == []


def test_status_as_json_is_what_the_daemon_says(say: Say) -> None:
    told = json.loads(say("status", "--json").out)
    assert told["meters"]["main-flow"]["values"]["volume_forward"] == "1234.56"
    assert told["clock"]["source"] == "host"


def test_outbox_adds_up_while_the_platform_is_away(say: Say) -> None:
    told = json.loads(say("outbox", "--json").out)
    cloud = told["uplinks"]["cloud"]
    assert cloud["acknowledged"] == 0
    assert cloud["waiting"] == cloud["stored"] == told["store"]["rounds"] > 0
    assert cloud["state"] == "connecting"
    (gap,) = cloud["gaps"]
    assert gap["first"] == 1
    assert gap["from_ms"] <= gap["to_ms"]


def test_outbox_shows_the_gap_with_its_dates(say: Say) -> None:
    said = say("outbox")
    assert said.status == 0
    assert "cloud has not acknowledged:" in said.out
    assert "1–" in said.out


def test_a_queue_that_is_in_use_is_not_dropped(say: Say) -> None:
    said = say("outbox", "drop", "cloud")
    assert said.status == 1
    assert "still configured" in said.err


def test_a_row_that_is_not_parked_is_not_retried(say: Say) -> None:
    said = say("outbox", "retry", "cloud", "1")
    assert said.status in {0, 1}
    assert "0 rounds" in said.out or "no parked round" in said.err
    said = say("outbox", "retry", "nobody")
    assert said.status == 1
    assert "no queue of a platform nobody" in said.err


def test_outbox_retry_wants_a_platform(say: Say) -> None:
    assert say("outbox", "retry").status == 2


def test_the_clock_says_who_set_it(say: Say) -> None:
    said = say("clock")
    assert said.status == 0
    assert "set by host" in said.out
    assert json.loads(say("clock", "--json").out)["synced"] is True


@pytest.mark.parametrize("time", ["tomorrow", "", "1970-01-01 08:00:00", "2206-11-21 08:00:00"])
def test_a_time_that_is_none_is_wrong_input(say: Say, time: str) -> None:
    said = say("clock", "set", time)
    assert (said.status, said.out) == (2, "")


def test_plan_lists_the_requests_the_daemon_sends(say: Say, site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(site.config), "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    sent = {each["request_hex"] for each in planned["meters"]["lost"]["requests"]}
    assert sent
    assert planned["lines"]["lan"]["meters"] == 2
    assert 0 < planned["lines"]["lan"]["load"] < 1
    assert main(["plan", str(site.config), "--lang", "en"]) == 0
    assert "main-flow" in capsys.readouterr().out


def test_plan_of_a_wrong_file_names_the_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("station: {id: a}\nlines: {l: {port: /dev/ttyS0, bauds: 9600}}\n", encoding="utf-8")
    assert main(["plan", str(file), "--lang", "en"]) == 2
    assert f"{file}:2:" in capsys.readouterr().err


def test_after_the_stop_the_database_still_answers(say: Say, site: Site) -> None:
    """Runs last: it stops the daemon."""
    assert site.processes[-1].stop() == 0
    said = say("status")
    assert said.status == 1
    assert "systemctl start qushui" in said.err
    assert str(site.database) in said.out
    told = json.loads(say("outbox", "--json").out)
    assert told["uplinks"]["cloud"]["sent"] is None
    assert told["store"]["rounds"] == len(site.stored())
    assert say("clock", "set", "2026-11-21 08:00:00").status == 1
    assert say("outbox", "retry", "cloud").status == 1
    direct = say("read", "main-flow")
    assert direct.status == 0
    assert "1234.56" in direct.out


def test_without_anything_installed_it_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "agent.yaml"
    config.write_text(f"store: {{path: {tmp_path}/none.db}}\n", encoding="utf-8")
    for words in (["status"], ["outbox"]):
        assert main([*words, "-c", str(config), "--lang", "en"]) == 1
        assert "none.db" in capsys.readouterr().err
    assert main(["read", "x", "-c", str(config), "--lang", "en"]) == 2
    assert f"{config}:" in capsys.readouterr().err
    command = [sys.executable, "-m", "agent.cli", "run", "-c", str(config), "--lang", "en"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert f"{config}:" in ended.stderr
