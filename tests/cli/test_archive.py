"""`qushui archive`: what is missing, the archive as a page, and the document that is handed on. Real database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from agent.cli.main import main
from agent.store.store import Store
from tests.agent.store.conftest import ROOMY
from tests.agent.test_photos import PNG
from tests.fakes import FakeClock, QuietLog

ROOT = Path(__file__).resolve().parents[2]
SITE = """\
station: {id: a}
store: {path: STORE}
clock: {trust: host}
lines: {bus: {port: /dev/none}}
meters:
  flow: {line: bus, profile: tuf2000, address: "1", poll: 60s}
  second: {line: bus, profile: tuf2000, address: "2", poll: 60s}
intakes:
  w: {code: "4302810001", name: 三号井, water: {meter: flow}, archive: w.yaml}
  bare: {code: "2", water: {meter: second}}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "agent.yaml"
    path.write_text(SITE.replace("STORE", str(tmp_path / "q.db")), encoding="utf-8")
    example = (ROOT / "config" / "archive.example.yaml").read_text(encoding="utf-8")
    kept = example.replace("valid_to: 2028-04-16", "valid_to: 2150-01-01")  # what `check` says depends on the day
    (tmp_path / "w.yaml").write_text(kept, encoding="utf-8")
    return path


def record(site: Path, *bodies: dict[str, object]) -> None:
    """Rows of the ledger, as the agent writes them when it takes up a configuration."""
    store = Store(site.parent / "q.db", clock=FakeClock(), log=QuietLog(), **ROOMY)
    store.open()
    for body in bodies:
        store.declare("archive", "w", None, body, "agent")
    store.commit(every=True)
    store.close()


def test_a_complete_archive_is_said_so_and_a_missing_one_too(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["archive", "check", "w", "-c", str(site), "--lang", "en"]) == 0
    assert capsys.readouterr().out == "w\n  complete\n"
    assert main(["archive", "-c", str(site), "--lang", "en"]) == 1
    assert "bare\n  no archive" in capsys.readouterr().out


def test_what_is_missing_is_named_for_people_and_machines(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site.parent / "w.yaml").write_text("point: {name: 井}\n", encoding="utf-8")
    assert main(["archive", "check", "w", "-c", str(site)]) == 1
    assert "point.address" in capsys.readouterr().out
    assert main(["archive", "check", "w", "-c", str(site), "--json"]) == 1
    (lacking, unknown) = json.loads(capsys.readouterr().out)["w"]
    assert (lacking["code"], unknown["code"]) == ("missing", "certificate-unknown")
    assert "point.address" in lacking["arguments"]["fields"].split()


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_page_shows_all_of_it_in_both_languages(site: Path, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["archive", "show", "-c", str(site), "--lang", lang]) == 0
    out, err = capsys.readouterr()
    for shown in ("三号井", "4302810001", "TUF-26-0417", "100/5", "98231", "W3@1", "m³/h", "mm", "kW"):
        assert shown in out
    assert "field." not in out + err


def test_an_export_is_the_same_for_the_same_content(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["archive", "export", "w", "-c", str(site)]) == 0
    first = yaml.safe_load(capsys.readouterr().out)
    assert (first["intake"], first["version"], first["versions"]) == ("w", None, [])
    assert main(["archive", "export", "w", "-c", str(site), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == first
    archive = site.parent / "w.yaml"
    archive.write_text("# another hand\n" + archive.read_text(encoding="utf-8"), encoding="utf-8")
    assert main(["archive", "export", "w", "-c", str(site), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sha256"] == first["sha256"]


def test_an_export_tells_its_version_and_what_came_before(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["archive", "show", "w", "-c", str(site), "--json"]) == 0
    now = json.loads(capsys.readouterr().out)["w"]
    record(site, {"version": 1, "archive": {"point": {"name": "old"}}})
    assert main(["archive", "export", "w", "-c", str(site), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["version"], [each["version"] for each in document["versions"]]) == (None, [1])
    assert main(["archive", "show", "w", "-c", str(site), "--lang", "en"]) == 0
    assert "changed since version 1" in capsys.readouterr().out
    record(site, {"version": 2, "archive": now})
    assert main(["archive", "export", "w", "-c", str(site), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["version"] == 2
    assert document["versions"][1]["sha256"] == document["sha256"]


def test_an_export_lists_the_nameplates_of_its_meters(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = site.parent / "plate.png"
    photo.write_bytes(PNG)
    assert main(["enter", "nameplate", "flow", "--photo", str(photo), "--who", "Li", "-c", str(site)]) == 0
    capsys.readouterr()
    assert main(["archive", "export", "w", "-c", str(site), "--json"]) == 0
    (plate,) = json.loads(capsys.readouterr().out)["nameplates"]
    assert (plate["meter"], plate["who"], len(plate["photo"][0]["sha256"])) == ("flow", "Li", 64)


def test_wrong_input_is_refused(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["archive", "check", "well", "-c", str(site), "--lang", "en"]) == 2
    assert "There is no intake well" in capsys.readouterr().err
    assert main(["archive", "export", "bare", "-c", str(site)]) == 1, "it has no archive"
    assert "bare" in capsys.readouterr().err
    (site.parent / "w.yaml").write_text("point: {nam: x}\n", encoding="utf-8")
    assert main(["archive", "check", "-c", str(site), "--lang", "en"]) == 2
    assert "did you mean name?" in capsys.readouterr().err
