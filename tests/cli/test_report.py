"""`qushui report` on a database with a quarter in it: drafts, frozen versions that never change, months that add up."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from agent.cli import report as verb
from agent.cli.main import main
from agent.reports.report import report_from
from agent.rules.upload import Month, UploadRates
from agent.signing import fingerprint, is_signed_by, sign, signed_text
from tests.bookkept import Books, ms

AFTER = ms("2026-10-06T00:00")  # the five days for late data are over


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Books:
    return Books(tmp_path_factory.mktemp("books"))


@pytest.fixture
def books(kept: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Books:
    """The station's files, to change at will, at the time when the quarter may be frozen."""
    monkeypatch.setattr(verb, "time_of", lambda *_: AFTER)
    return kept.copied(tmp_path)


def qushui(books: Books, *words: str) -> int:
    return main(["report", *words, "-c", str(books.config), "--lang", "en"])


def told(books: Books, capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    capsys.readouterr()
    assert qushui(books, *words, "--json") == 0
    return json.loads(capsys.readouterr().out)


def freeze(books: Books, *words: str) -> int:
    return qushui(books, "quarter", "2026Q3", "--freeze", "--who", "Li Wei", *words)


def test_a_draft_tells_volumes_uncertainty_completeness_and_permit(books: Books, capsys) -> None:
    assert qushui(books, "quarter", "2026Q3") == 0
    lines = capsys.readouterr().out.replace("\u202f", " ").splitlines()
    assert "a draft" in lines[0]
    assert lines[3].split() == ["well-3", "36", "432", "2", "800", "0", "97.98", "75.24"]


def test_months_add_up_to_the_quarter_to_the_last_digit_and_share_its_boundaries(books: Books, capsys) -> None:
    quarter = report_from(told(books, capsys, "quarter", "2026Q3"))
    months = [report_from(told(books, capsys, "monthly", f"2026-0{month}")) for month in (7, 8, 9)]
    for place, intake in enumerate(quarter.intakes):
        parts = [each.intakes[place] for each in months]
        assert sum(part.volume_m3 or 0 for part in parts) == intake.volume_m3
        assert sum(part.energy_kwh or 0 for part in parts) == (intake.energy_kwh or 0)
        assert [part.begin for part in parts] + [intake.end] == [intake.begin, *(part.end for part in parts)]


def test_two_quarters_use_one_and_the_same_boundary(books: Books, capsys) -> None:
    before = report_from(told(books, capsys, "quarter", "2026Q2"))
    after = report_from(told(books, capsys, "quarter", "2026Q3"))
    assert [each.end for each in before.intakes] == [each.begin for each in after.intakes]


def test_a_day_is_told_by_its_hours(books: Books, capsys) -> None:
    day = report_from(told(books, capsys, "daily", "2026-09-30"))
    assert [len(each.rows) for each in day.intakes] == [24, 24]
    assert sum(row.volume_m3 or 0 for row in day.intakes[0].rows) == day.intakes[0].volume_m3 == Decimal(396)


def test_a_period_that_goes_on_ends_where_the_data_end(books: Books, capsys) -> None:
    quarter = report_from(told(books, capsys, "quarter", "2026Q4"))
    assert [each.end.at_ms for each in quarter.intakes if each.end] == [ms("2026-10-01T23:00")] * 2


def test_everything_that_a_figure_rests_on_is_named(books: Books, capsys) -> None:
    books.find("well-3", ms("2026-07-10T08:00"), None)
    photo = {"sha256": "cd" * 32, "bytes": 9, "type": "image/jpeg", "file": "swap.jpg"}
    books.declare(
        "replacement", "pump-kwh", ms("2026-08-03T10:00"), {"old_final": "5", "reason": "x", "photo": [photo]}
    )
    books.declare("config", "pumphouse-12", ms("2026-06-01T00:00"), {"sha256": "c0" * 32, "text": ""})
    books.declare("archive", "well-3", None, {"version": 3, "archive": {}})
    quarter = report_from(told(books, capsys, "quarter", "2026Q3"))
    well = quarter.intakes[0]
    assert well.begin is not None
    (register,) = well.registers
    assert (register.meter, register.multiplier, register.begin.before) == ("pump-kwh", 20, well.begin.before)
    assert register.end.after_value == 1855
    assert [each.id + "@" + str(each.version) for each in well.coefficients] == ["W7@4"]
    assert [each.rule for each in well.anomalies] == ["R3"]
    assert [(each.kind, each.who) for each in well.declarations] == [("replacement", "Li Wei")]
    assert (well.photos[0].sha256, well.archive_version, quarter.config_sha256) == ("cd" * 32, 3, "c0" * 32)
    assert quarter.seal is not None
    assert quarter.seal.last >= int(well.begin.before.split("-")[1])


def test_a_voucher_names_the_photos_of_registers_and_of_the_newest_nameplates(books: Books, tmp_path: Path) -> None:
    def photo(digits: str) -> dict[str, list[dict[str, object]]]:
        return {"photo": [{"sha256": digits * 32, "bytes": 9, "type": "image/jpeg", "file": f"photos/{digits}.jpg"}]}

    books.declare("nameplate", "pump-kwh", ms("2026-05-01T10:00"), photo("aa"))
    books.declare("nameplate", "pump-kwh", ms("2026-08-03T11:00"), photo("bb"))
    books.declare("nameplate", "pump-kwh", ms("2026-10-01T00:00"), photo("cc"))  # after the quarter
    books.declare("nameplate", "canal-flow", ms("2026-08-03T10:00"), photo("dd"))  # of the other intake
    books.declare(
        "reading", "pump-kwh", ms("2026-09-30T18:00"), {"quantity": "energy_import", "value": "1", **photo("ee")}
    )
    assert qushui(books, "quarter", "2026Q3", "--out", str(tmp_path)) == 0
    well, canal = (tmp_path / "pumphouse-12-2026Q3-draft.en.html").read_text("utf-8").split("</article>")[:2]
    shown = [[digits for digits in ("aa", "bb", "cc", "dd", "ee") if digits * 32 in sheet] for sheet in (well, canal)]
    assert shown == [["bb", "ee"], ["dd"]]
    assert "nameplate pump-kwh" in well


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_frozen_quarter_is_the_same_bytes_in_another_process_time_zone_and_hash_seed(
    books: Books, lang: str, tmp_path: Path
) -> None:
    assert freeze(books) == 0
    books.find("well-3", ms("2026-07-10T08:00"), None)  # later knowledge is for another version
    for place, (zone, seed) in enumerate([("UTC", "1"), ("America/New_York", "77")]):
        command = [sys.executable, "-m", "agent.cli", "report", "quarter", "2026Q3", "-c", str(books.config)]
        subprocess.run(
            [*command, "--lang", lang, "--out", str(tmp_path / str(place))],
            check=True, capture_output=True, env={**os.environ, "TZ": zone, "PYTHONHASHSEED": seed}, timeout=60,
        )  # fmt: skip
    first, second = ({each.name: each.read_bytes() for each in (tmp_path / name).iterdir()} for name in ("0", "1"))
    assert len(first) == 6
    assert first == second


def test_a_frozen_version_is_signed_by_the_gateways_key(books: Books, capsys) -> None:
    assert freeze(books) == 0
    (row,) = books.rows("SELECT body FROM ledger WHERE kind = 'frozen' AND subject = '2026Q3'")
    body = json.loads(row[0])
    report = report_from(body["report"])
    statement = {
        "form": 1, "station": "pumphouse-12", "quarter": "2026Q3", "version": 1, "sha256": report.sha256,
    }  # fmt: skip
    public = sign(books.path.with_name("qushui.db.key"), b"").public
    assert is_signed_by(public, signed_text(statement), bytes.fromhex(body["signature"]))
    assert body["sha256"] == report.sha256


def test_the_rounds_that_a_frozen_quarter_rests_on_are_kept(books: Books) -> None:
    assert freeze(books) == 0
    numbers = {n for first, last in books.rows("SELECT first, last FROM keep") for n in range(first, last + 1)}
    report = report_from(json.loads(books.rows("SELECT body FROM ledger WHERE kind = 'frozen'")[0][0])["report"])
    for intake in report.intakes:
        for edge in (intake.begin, intake.end):
            assert edge is not None
            assert {int(edge.before.split("-")[1]), int(edge.after.split("-")[1])} <= numbers


def test_a_correction_is_a_further_version_and_the_older_one_says_that_it_is_superseded(
    books: Books, capsys, tmp_path: Path
) -> None:
    assert freeze(books) == 0
    books.find("well-3", ms("2026-07-10T08:00"), None)
    assert freeze(books) == 2
    assert "--reason" in capsys.readouterr().err
    assert freeze(books, "--reason", "an anomaly was found") == 0
    assert report_from(told(books, capsys, "quarter", "2026Q3")).version == 2
    for version in ("1", "2"):
        assert qushui(books, "quarter", "2026Q3", "--version", version, "--out", str(tmp_path)) == 0
    page = (tmp_path / "pumphouse-12-2026Q3-v1.en.html").read_text(encoding="utf-8")
    assert "superseded" in page
    assert "an anomaly was found" in (tmp_path / "pumphouse-12-2026Q3-v2.en.html").read_text(encoding="utf-8")
    assert qushui(books, "quarter", "2026Q3", "--version", "3") == 2


def test_nothing_new_is_nothing_to_freeze(books: Books, capsys) -> None:
    assert freeze(books) == 0
    assert freeze(books, "--reason", "again") == 1
    assert len(books.rows("SELECT 1 FROM ledger WHERE kind = 'frozen'")) == 1


@pytest.mark.parametrize(
    ("now", "words", "status"),
    [
        ("2026-10-05T23:59", (), 1),
        ("2026-10-05T23:59", ("--now",), 2),
        ("2026-10-05T23:59", ("--now", "--reason", "inspection"), 0),
        ("2026-10-06T00:00", (), 0),
        ("2026-10-06T00:00", ("--intake", "well-3"), 2),
        ("2026-10-06T00:00", ("--accept-expired",), 2),
    ],
)
def test_a_quarter_is_frozen_in_its_time_and_as_a_whole(
    books: Books, monkeypatch: pytest.MonkeyPatch, now: str, words: tuple[str, ...], status: int
) -> None:
    monkeypatch.setattr(verb, "time_of", lambda *_: ms(now))
    assert freeze(books, *words) == status
    assert len(books.rows("SELECT 1 FROM ledger WHERE kind = 'frozen'")) == (status == 0)


def test_the_rate_of_arrival_is_that_of_the_platform_that_got_least(books: Books, capsys) -> None:
    rates = {
        uplink: {"well-3": UploadRates(months={"2026-09": Month(due=720, on_time=on_time, late=10)}).to_text()}
        for uplink, on_time in (("cloud", 710), ("province", 683))
    }
    books.path.with_name("qushui.db.uploads").write_text(json.dumps({"form": 2, "rates": rates}), encoding="utf-8")
    well, canal = report_from(told(books, capsys, "monthly", "2026-09")).intakes
    assert (well.on_time_pct, well.final_pct) == (Decimal("94.86"), Decimal("96.25"))  # 683 and 693 of 720, cut
    assert (canal.on_time_pct, canal.final_pct) == (None, None)


def test_a_month_is_never_frozen(books: Books) -> None:
    assert qushui(books, "monthly", "2026-09", "--freeze", "--who", "Li Wei") == 2


def test_a_table_for_the_platform_has_a_line_an_intake(books: Books, tmp_path: Path) -> None:
    assert qushui(books, "quarter", "2026Q3", "--out", str(tmp_path / "new"), "--format", "csv") == 0
    names = sorted(each.name for each in (tmp_path / "new").iterdir())
    assert [name.removeprefix("pumphouse-12-2026Q3-draft-") for name in names] == [
        "intakes.csv", "manifest.json", "rows.csv",
    ]  # fmt: skip
    with (tmp_path / "new" / names[0]).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["intake code"], row["voucher volume m³"]) for row in rows] == [
        ("4302810001", "36432"), ("4302810002", "11040"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "words", [("quarter", "2026Q5"), ("monthly", "2026Q3"), ("quarter", "2026Q3", "--intake", "x")]
)
def test_what_is_no_period_or_intake_is_wrong_input(books: Books, words: tuple[str, ...]) -> None:
    assert qushui(books, *words) == 2


def test_without_a_database_the_field_says_no(books: Books) -> None:
    books.path.unlink()
    assert qushui(books, "quarter", "2026Q3") == 1


def test_a_directory_that_cannot_be_written_is_named(books: Books, tmp_path: Path, capsys) -> None:
    (tmp_path / "file").write_text("")
    assert qushui(books, "quarter", "2026Q3", "--out", str(tmp_path / "file" / "x")) == 1
    assert "file" in capsys.readouterr().err


def test_the_acceptance_sheet_names_meters_that_do_not_answer(books: Books, tmp_path: Path) -> None:
    assert qushui(books, "acceptance", "--out", str(tmp_path), "--intake", "well-3") == 0
    page = (tmp_path / "pumphouse-12-acceptance.en.html").read_text(encoding="utf-8")
    assert "pump-kwh (bus)" in page
    assert "4302810001" in page
    assert "4302810002" not in page


def test_an_export_from_before_the_first_start_is_not_signed_and_whole(books: Books, tmp_path: Path, capsys) -> None:
    assert qushui(books, "export", "--out", str(tmp_path), "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["key"] == ""
    assert "not signed" in said.err
    assert not books.path.with_name("qushui.db.key").exists(), "an export makes no key"
    assert main(["verify", str(tmp_path / "qushui-export.zip"), "--lang", "en"]) == 0
    sign(books.path.with_name("qushui.db.key"), b"")  # one that the books do not know
    assert qushui(books, "export", "--out", str(tmp_path)) == 0
    assert main(["verify", str(tmp_path / "qushui-export.zip"), "--lang", "en"]) == 0


def test_an_export_can_be_verified_anywhere(books: Books, tmp_path: Path, capsys) -> None:
    public = sign(books.path.with_name("qushui.db.key"), b"").public  # made and declared at the first start
    books.declare("key", fingerprint(public), None, {"public": public.hex()})
    assert qushui(books, "export", "--out", str(tmp_path), "--since", "2026-09-30", "--json") == 0
    done = json.loads(capsys.readouterr().out)
    assert done["last"] == 9216
    assert main(["verify", done["file"], "--lang", "en"]) == 0
    assert qushui(books, "export", "--out", str(tmp_path), "--since", "yesterday") == 2
