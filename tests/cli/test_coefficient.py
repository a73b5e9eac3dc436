"""`qushui coefficient`: the technicians' page followed to the letter; what is refused, and what stays in the books."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import xml.etree.ElementTree as ET
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.cli.main import main
from agent.client import site_of
from agent.config import load
from agent.declaring import Declaring
from agent.store.book_reader import BookReader
from agent.uplinks.registry import settings_models
from drivers.registry import DRIVERS
from tests.system.processes import Daemon

DOCS = Path(__file__).parents[2] / "docs" / "technicians"
Capture = pytest.CaptureFixture[str]

AGENT = """station: {{id: pumphouse-12, timezone: Asia/Shanghai}}
store: {{path: {state}/qushui.db, free_disk: 1MB}}
clock: {{trust: host}}
lines:
  rs485-1: {{port: {state}/nowhere, baud: 9600}}
meters:
  pump-kwh: {{line: rs485-1, profile: dlt645-2007-single, address: "000000000012", poll: 60s}}
intakes:
  well-3:
    code: "430281W0007"
    water: {{electricity: pump-kwh, coefficient: W7, rated_kw: 15, running_kw: 14.7}}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that the page works in, with a configuration."""
    (tmp_path / "state").mkdir()
    (tmp_path / "agent.yaml").write_text(AGENT.format(state=tmp_path / "state"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def page_of(lang: str) -> tuple[str, list[list[str]]]:
    """The table and the commands of the technicians' page."""
    text = (DOCS / f"calibrate.{lang}.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^```csv\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    shells = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    commands = [shlex.split(line)[1:] for shell in shells for line in shell.splitlines()]
    return table, commands


def say(capsys: Capture, *words: str, lang: str = "en") -> tuple[int, str, str]:
    capsys.readouterr()
    status = main([*words, "--lang", lang])
    said = capsys.readouterr()
    return status, said.out, said.err


def rows(path: Path) -> list[Any]:
    with closing(BookReader(path / "state" / "qushui.db")) as book:
        return book.ledger()


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_page_leads_from_the_pump_house_to_a_coefficient_in_force(here: Path, capsys: Capture, lang: str) -> None:
    table, commands = page_of(lang)
    (here / "runs.csv").write_text(table, encoding="gb18030" if lang == "zh" else "utf-8")
    assert [words[:2] for words in commands] == [
        ["coefficient", "fit"], ["coefficient", "activate"], ["coefficient", "show"],
    ]  # fmt: skip
    for words in commands:
        status, out, err = say(capsys, *words, lang=lang)
        assert status == 0, err
    assert "W7@1" in out
    assert "well-3" in out
    (row,) = rows(here)
    assert (row.kind, row.subject) == ("coefficient", "W7")
    assert row.who in {"李工", "Li"}
    assert row.body["params"] == {"tc": "2.19946"}
    report = (here / "W7.html").read_bytes()
    assert row.body["report"] == row.body["evidence"]["sha256"] == hashlib.sha256(report).hexdigest()


def fitted(here: Path, capsys: Capture, *more: str, table: str | None = None) -> tuple[int, str, str]:
    text, commands = page_of("en")
    (here / "runs.csv").write_text(text if table is None else table, encoding="utf-8")
    return say(capsys, *commands[0], *more)


def test_the_report_has_a_plot_that_a_browser_can_draw(here: Path, capsys: Capture) -> None:
    assert fitted(here, capsys)[0] == 0
    html = (here / "W7.html").read_text(encoding="utf-8")
    (svg,) = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    drawing = ET.fromstring(svg)
    names = [each.tag.rpartition("}")[2] for each in drawing.iter()]
    assert names.count("circle") == 5
    assert names.count("polyline") == 1
    assert "http://" not in html.replace("http://www.w3.org/2000/svg", "")


def test_a_refused_calibration_has_reasons_and_no_record(here: Path, capsys: Capture) -> None:
    text, _ = page_of("en")
    status, out, err = fitted(here, capsys, table=text.replace("48.30", "45.30").replace("49.10", "52.10"))
    assert status == 1
    assert "not accepted" in out
    assert "CV" in out
    assert not (here / "W7.yaml").exists()
    assert (here / "W7.html").exists()
    assert "No record" in err


def test_every_mistake_of_the_table_is_named_with_its_place(here: Path, capsys: Capture) -> None:
    text, _ = page_of("en")
    status, out, err = fitted(here, capsys, table=text.replace("48.30", "4x").replace("22.20", ""))
    assert status == 2
    assert out == ""
    assert "runs.csv:3:43: volume (m3): 4x is no number" in err, "by the heading that the table has"
    assert "runs.csv:5:1: energy (kWh): nothing is written here" in err


def test_json_holds_everything_and_its_exit_status_is_the_same(here: Path, capsys: Capture) -> None:
    status, out, _ = fitted(here, capsys, "--json")
    told = json.loads(out)
    assert status == 0
    assert told["accepted"] is True
    assert told["groups"][0]["n"] == 5
    assert told["record"]["id"] == "W7"
    assert yaml.safe_load((here / "W7.yaml").read_text(encoding="utf-8")) == told["record"]


def test_an_intake_gives_multiplier_step_well_and_name(here: Path, capsys: Capture) -> None:
    text = (here / "agent.yaml").read_text(encoding="utf-8").replace("running_kw: 14.7", "ct: 100/5, head_m: [32, 45]")
    (here / "agent.yaml").write_text(text, encoding="utf-8")
    runs = "".join(f"{n},45,{100 + 3 * n},{103 + 3 * n},{132 + n % 2}\n" for n in range(5))
    (here / "runs.csv").write_text(f"run,minutes,energy_from,energy_to,volume_m3\n{runs}", encoding="utf-8")
    words = ("coefficient", "fit", "runs.csv", "-c", "agent.yaml", "--certificate", "LL-31",
             "--certificate-until", "2099-01-01", "--from", "2026-05-01", "--out", "W7.yaml")  # fmt: skip
    assert say(capsys, *words)[0] == 2  # nobody said which well
    status, out, err = say(capsys, *words, "--intake", "well-3")
    assert status == 0, err + out
    record = yaml.safe_load((here / "W7.yaml").read_text(encoding="utf-8"))
    assert (record["id"], record["well_code"]) == ("W7", "430281W0007")
    assert record["params"]["tc"].startswith("2.20")  # 3 units of the register are 60 kWh
    assert "0.20 kWh" in (here / "W7.html").read_text(encoding="utf-8")
    status, _, err = say(capsys, "coefficient", "fit", "runs.csv", "-c", "agent.yaml", "--intake", "well-9")
    assert (status, "well-3" in err) == (2, True)


def test_nothing_is_overwritten(here: Path, capsys: Capture) -> None:
    assert fitted(here, capsys)[0] == 0
    status, _, err = fitted(here, capsys)
    assert status == 2
    assert "exists already" in err


def activate(capsys: Capture, *more: str, day: str = "2026-05-14") -> tuple[int, str, str]:
    return say(capsys, "coefficient", "activate", "W7.yaml", "--from", day, "--who", "Li", "-c", "agent.yaml", *more)


def test_versions_follow_each_other_and_the_later_one_takes_over(here: Path, capsys: Capture) -> None:
    fitted(here, capsys)
    assert activate(capsys)[0] == 0
    assert activate(capsys, "--reason", "again", day="2026-08-01")[0] == 0
    status, out, _ = say(capsys, "coefficient", "show", "W7", "-c", "agent.yaml", "--json")
    assert status == 0
    first, second = json.loads(out)["coefficients"]["W7"]
    assert (first["name"], first["replaced_on"], first["tier"]) == ("W7@1", "2026-08-01", "C")
    assert (second["name"], second["replaced_on"], second["used_by"]) == ("W7@2", None, ["well-3"])
    assert second["record"]["evidence"]["reason"] == "again"
    midnight = 1_778_688_000_000  # 2026-05-14T00:00+08:00
    assert rows(here)[0].at_ms == midnight


def test_a_frozen_quarter_is_not_changed(here: Path, capsys: Capture) -> None:
    fitted(here, capsys)
    config = load(here / "agent.yaml", drivers=DRIVERS, uplink_settings=settings_models())
    Declaring(site_of(here / "agent.yaml"), config).declare("frozen", "2026Q2", None, {"version": 1}, "Li")
    for day in ("2026-05-14", "2026-06-30", "2025-01-01"):
        status, _, err = activate(capsys, day=day)
        assert status == 1
        assert "2026Q2" in err
        assert "2026-07-01" in err
    assert activate(capsys, day="2026-07-01")[0] == 0


def test_a_coefficient_that_no_pump_has_is_not_activated(here: Path, capsys: Capture) -> None:
    fitted(here, capsys)
    status, _, err = activate(capsys, "--heads", "3-5")
    assert status == 1
    assert "No pump has" in err
    with pytest.raises(FileNotFoundError):
        rows(here)


def test_the_heads_of_the_intake_are_the_gate_too(here: Path, capsys: Capture) -> None:
    fitted(here, capsys)
    config = here / "agent.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("rated_kw: 15", "rated_kw: 15, head_m: [3, 5]"), encoding="utf-8")
    status, _, err = activate(capsys)
    assert status == 1
    assert "No pump has" in err
    config.write_text(text.replace("rated_kw: 15", "rated_kw: 15, head_m: [32, 45]"), encoding="utf-8")
    status, _, err = activate(capsys)
    assert (status, err) == (0, "")


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("tc: '2.19946'", "tc: two", "params.tc"),
        ("u_rel: '0.0104'", "u_rel: -1", "u_rel"),
        ("version: 1", "version: 1\ncolour: blue", "colour"),
        ("model: fixed", "model: magic", "model"),
        ("id: W7", "id: [", ""),
    ],
)
def test_a_record_that_is_none_is_refused_at_its_place(
    here: Path, capsys: Capture, old: str, new: str, place: str
) -> None:
    fitted(here, capsys)
    text = (here / "W7.yaml").read_text(encoding="utf-8")
    assert old in text
    (here / "W7.yaml").write_text(text.replace(old, new), encoding="utf-8")
    status, _, err = activate(capsys)
    assert status == 2
    assert re.match(rf"W7.yaml:\d+:\d+: {re.escape(place)}", err), err


def test_a_record_written_by_hand_with_plain_numbers_is_taken(here: Path, capsys: Capture) -> None:
    (here / "W7.yaml").write_text(
        "id: W7\nversion: 1\nwell_code: WELL-7\ndelivery_mode: open_outlet\nmodel: affine_level\n"
        "params: {a: 0.081, b: 0.0103}\nbasis: {runs: 5, depth_range_m: [28, 40]}\nu_rel: 0.03\n"
        "valid_from: 2026-04-01\nvalid_to: 2027-04-01\n",
        encoding="utf-8",
    )
    assert activate(capsys)[0] == 0
    (row,) = rows(here)
    assert row.body["params"] == {"a": "0.081", "b": "0.0103"}


def test_what_is_in_force_already_is_not_entered_again(here: Path, capsys: Capture) -> None:
    fitted(here, capsys)
    assert activate(capsys)[0] == 0
    status, _, err = activate(capsys, "--reason", "pressed twice")
    assert status == 1
    assert "W7@1" in err
    assert len(rows(here)) == 1
    assert activate(capsys, day="2026-05-15")[0] == 0


def test_a_file_that_is_no_record_at_all_says_which_one_is_meant(here: Path, capsys: Capture) -> None:
    (here / "W7.yaml").write_text("run,energy\n1,2\n", encoding="utf-8")
    status, _, err = activate(capsys)
    assert status == 2
    assert err.startswith("W7.yaml:1:1: ")
    assert "coefficient fit" in err
    assert len(err) < 200


def test_energy_that_is_no_register_is_not_multiplied_and_that_is_said(here: Path, capsys: Capture) -> None:
    rows_ = "".join(f"{n},45,30,{66 + n % 2}\n" for n in range(5))
    (here / "runs.csv").write_text(f"run,minutes,energy_kwh,volume_m3\n{rows_}", encoding="utf-8")
    status, out, err = say(capsys, "coefficient", "fit", "runs.csv", "--multiplier", "20", "--json")
    assert "not multiplied by 20" in err
    assert json.loads(out)["record"] is None
    assert say(capsys, "coefficient", "fit", "runs.csv", "--json")[:2] == (status, out)


def test_an_end_before_the_beginning_is_said_before_anything_is_computed(here: Path, capsys: Capture) -> None:
    status, out, err = say(capsys, "coefficient", "fit", "none.csv", "--from", "2026-05-01", "--to", "2026-05-01")
    assert (status, out) == (2, "")
    assert "--to 2026-05-01" in err


def test_another_well_needs_another_name(here: Path, capsys: Capture) -> None:
    fitted(here, capsys)
    assert activate(capsys)[0] == 0
    text = (here / "W7.yaml").read_text(encoding="utf-8")
    (here / "W7.yaml").write_text(text.replace("430281W0007", "430281W0008"), encoding="utf-8")
    status, _, err = activate(capsys, day="2026-08-01")
    assert status == 1
    assert "430281W0008" in err


def test_show_before_anything_was_activated(here: Path, capsys: Capture) -> None:
    assert say(capsys, "coefficient", "show", "-c", "agent.yaml")[0] == 1
    config = load(here / "agent.yaml", drivers=DRIVERS, uplink_settings=settings_models())
    Declaring(site_of(here / "agent.yaml"), config).declare("archive", "well-3", None, {}, "Li")
    status, out, _ = say(capsys, "coefficient", "show", "-c", "agent.yaml")
    assert (status, out) == (0, "No coefficient was activated yet.\n")
    assert say(capsys, "coefficient", "show", "W8", "-c", "agent.yaml")[0] == 2


def test_a_running_agent_takes_it_up_and_nobody_else_opens_its_store(here: Path, capsys: Capture) -> None:
    fitted(here, capsys)
    daemon = Daemon(here, here / "agent.yaml", here / "state" / "qushui.db")
    try:
        daemon.ready()
        status, out, err = activate(capsys)
        assert status == 0, err
        assert "W7@1" in out
        assert [row.kind for row in rows(here) if row.kind == "coefficient"] == ["coefficient"]
    finally:
        assert daemon.stop() == 0
