"""From the bytes of a meter to the figure on a voucher and back: real store, real accounts, the command line."""

from __future__ import annotations

import json
import sqlite3
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.reports.report import report_from
from tests.bookkept import Books, ms


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Books:
    return Books(tmp_path_factory.mktemp("books"), first=date(2026, 6, 30), end=date(2026, 7, 3), is_accounted=True)


def told(books: Books, capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert main([*words, "-c", str(books.config), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_days_report_has_the_water_that_the_meters_counted(books: Books, capsys) -> None:
    day = report_from(told(books, capsys, "report", "daily", "2026-07-01"))
    well, canal = day.intakes
    assert (well.volume_m3, well.energy_kwh) == (396, 180)  # 12 h of 15 kW at 2.20 m³/kWh
    assert canal.volume_m3 == Decimal(120)  # 24 h of 5 m³/h
    assert [row.volume_m3 for row in well.rows[7:9]] == [33, 33]
    assert well.rows[5].volume_m3 == Decimal("2.951667")  # 3.85 m³ between 5:37 and 6:07: 23 of 30 minutes
    assert (well.completeness_pct, well.tc_low, well.tc_high) == (100, Decimal("2.2"), Decimal("2.2"))
    assert well.u_m3 is not None
    assert 0.03 * 396 * 2 < well.u_m3 < 0.06 * 396 * 2
    assert day.config_sha256


def test_days_add_up_and_share_their_midnights_whatever_lies_between(books: Books, capsys) -> None:
    days = [report_from(told(books, capsys, "report", "daily", f"2026-07-0{day}")) for day in (1, 2)]
    month = report_from(told(books, capsys, "report", "monthly", "2026-07"))
    assert [each.end for each in days[0].intakes] == [each.begin for each in days[1].intakes]
    for place, intake in enumerate(month.intakes):
        rows = [row for day in days for row in day.intakes[place].rows]
        assert sum(row.volume_m3 or 0 for row in rows) == intake.volume_m3


def test_an_intakes_hour_is_followed_to_the_bytes_of_both_readings(books: Books, capsys) -> None:
    hour = told(books, capsys, "explain", "well-3@2026-07-01T08:00")
    assert (hour["origin"], hour["values"]["volume_hour"]["value"]) == ("derived", "33.000000")
    ends = [each["decoded"][0]["value"] for each in hour["rests_on"]]
    assert [Decimal(end) for end in ends] == [Decimal("1010.2125"), Decimal("1010.5875")]
    assert [each["at_ms"] for each in hour["rests_on"]] == [ms("2026-07-01T07:37"), ms("2026-07-01T08:07")]


def test_an_interval_names_its_coefficient_and_its_registers(books: Books, capsys) -> None:
    interval = told(books, capsys, "explain", "well-3@2026-07-01T07:37")
    assert interval["proof"]["registers"]["pump-kwh"]["multiplier"] == "20"
    assert [each["name"] for each in interval["coefficients"]] == ["W7@4"]
    assert interval["coefficients"][0]["who"] == "Li Wei"
    assert len(interval["rests_on"]) == 2


def test_a_wrong_replacement_changes_the_figures_and_its_withdrawal_brings_them_back(
    books: Books, tmp_path: Path, capsys
) -> None:
    copy = books.copied(tmp_path)
    honest = told(copy, capsys, "report", "daily", "2026-07-01")["intakes"]
    who = ("--who", "Li", "--yes")
    told(copy, capsys, "enter", "replacement", "pump-kwh", "--quantity", "energy_import", "--at", "2026-07-01 08:10",
         "--old-final", "1020", "--new-initial", "1010", *who)  # fmt: skip
    copy.derive()
    wrong = told(copy, capsys, "report", "daily", "2026-07-01")["intakes"]
    assert Decimal(wrong[0]["volume_m3"]) > Decimal(honest[0]["volume_m3"])
    assert wrong[0]["counts"]["swaps"] == 1
    row = copy.rows("SELECT max(id) FROM ledger")[0][0]
    told(copy, capsys, "enter", "withdrawal", str(row), "--reason", "canal meter", *who)
    copy.derive()
    right = told(copy, capsys, "report", "daily", "2026-07-01")["intakes"]
    figures = ("volume_m3", "voucher_m3", "u_m3", "energy_kwh", "pumping_kwh", "counts", "registers", "rows")
    assert [[each[name] for name in figures] for each in right] == [[each[name] for name in figures] for each in honest]
    shown = [(each["kind"], each["facts"].get("withdrawn_by")) for each in right[0]["declarations"]]
    assert shown == [("replacement", str(row + 1)), ("withdrawal", None)]
    assert main(["verify", str(copy.path)]) == 0


@pytest.fixture(scope="module")
def revised(books: Books, tmp_path_factory: pytest.TempPathFactory) -> Books:
    """The same, with a swap on July 1st, 8:10, that was entered after everything had been told."""
    copy = books.copied(tmp_path_factory.mktemp("revised"))
    words = ("--old-final", "1020.2125", "--new-initial", "1010.2125", "--who", "Li", "--yes")  # 10 more, at CT 20
    assert main(["enter", "replacement", "pump-kwh", "--quantity", "energy_import", "--at", "2026-07-01 07:40", *words,
                 "-c", str(copy.config)]) == 0  # fmt: skip
    copy.derive()
    return copy


def test_an_hour_that_was_revised_leads_with_what_stands_and_says_why(books: Books, revised: Books, capsys) -> None:
    before = told(books, capsys, "explain", "well-3@2026-07-01T09:00")
    now = told(revised, capsys, "explain", "well-3@2026-07-01T09:00")
    volumes = [Decimal(each["values"]["volume_withdrawn"]["value"]) for each in (now, before)]
    assert volumes[0] - volumes[1] == 10 * 20 * Decimal("2.2")
    assert "REVISED" in now["values"]["volume_withdrawn"]["quality"]
    (cause,) = now["revised"]["because"]
    assert (cause["about"], cause["subject"], cause["who"]) == ("replacement", "pump-kwh", "Li")
    assert [Decimal(each) for each in now["revised"]["earlier_m3"]] == [volumes[1]]
    assert (now["rests_on"][-1]["kind"], now["rests_on"][-1]["id"]) == ("told", before["id"])


def test_a_reading_between_hours_is_derived_again_and_leads(books: Books, revised: Books, capsys) -> None:
    before = told(books, capsys, "explain", "well-3@2026-07-01T08:37")
    now = told(revised, capsys, "explain", "well-3@2026-07-01T08:37")
    volumes = [Decimal(each["values"]["volume_withdrawn"]["value"]) for each in (now, before)]
    assert now["kind"] == "again"
    assert volumes[0] - volumes[1] == 10 * 20 * Decimal("2.2")
    assert [each["about"] for each in now["revised"]["because"]] == ["replacement"]
    assert now["proof"]["registers"] == before["proof"]["registers"]  # of that interval, after the swap
    assert (now["rests_on"][-1]["kind"], now["rests_on"][-1]["id"]) == ("told", before["id"])
    old = told(revised, capsys, "explain", before["id"])
    assert (old["id"], old["values"]) == (before["id"], before["values"])
    assert told(revised, capsys, "explain", old["outdated"]["figure"]) == now


def test_what_a_late_declaration_did_not_touch_stands_as_it_was_told(books: Books, revised: Books, capsys) -> None:
    for figure in ("well-3@2026-07-01T07:00", "well-3@2026-07-01T06:37", "canal-1@2026-07-01T09:00"):
        assert told(revised, capsys, "explain", figure) == told(books, capsys, "explain", figure)


def test_a_reading_that_other_settings_would_tell_differently_is_not_made_up(
    revised: Books, tmp_path: Path, capsys
) -> None:
    copy = revised.copied(tmp_path)
    copy.config.write_text(copy.config.read_text("utf-8").replace("ct: 100/5", "ct: 200/5"), encoding="utf-8")
    now = told(copy, capsys, "explain", "well-3@2026-07-01T08:37")
    assert (now["kind"], now["values"]) == ("again", {})
    assert [each["kind"] for each in now["rests_on"]] == ["closing", "closing", "told"]


def test_a_boundary_beside_a_swap_rests_on_what_was_declared(revised: Books, tmp_path: Path, capsys) -> None:
    copy = revised.copied(tmp_path)
    words = ("--old-final", "1018", "--new-initial", "1018", "--who", "Li", "--yes")
    assert main(["enter", "replacement", "pump-kwh", "--quantity", "energy_import", "--at", "2026-07-01 23:50", *words,
                 "-c", str(copy.config)]) == 0  # fmt: skip
    copy.derive()
    capsys.readouterr()
    end = told(copy, capsys, "explain", "well-3:2026-07-01")["rests_on"][1]
    assert [each["kind"] for each in end["rests_on"]] == ["declaration", "round"]


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("figure", ["2026-07-01T09:00", "2026-07-01T08:37", ":2026-07-01"])
def test_a_revision_is_told_in_words_of_the_language(revised: Books, capsys, figure: str, lang: str) -> None:
    words = f"well-3{figure if figure[0] == ':' else '@' + figure}"
    assert main(["explain", words, "-c", str(revised.config), "--lang", lang]) == 0
    out = capsys.readouterr().out
    assert "explain." not in out
    assert ("修订原因" if lang == "zh" else "revised because of") in out.replace("\n", "")


def test_a_closing_that_its_sealed_reading_does_not_tell_is_found(books: Books, tmp_path: Path, capsys) -> None:
    copy = books.copied(tmp_path)
    assert main(["verify", str(copy.path), "--json"]) == 0
    capsys.readouterr()
    with sqlite3.connect(copy.path) as connection:
        query = "SELECT at_ms, body FROM closing WHERE intake = 'well-3' ORDER BY at_ms LIMIT 1 OFFSET 30"
        at_ms, text = connection.execute(query).fetchone()
        body = json.loads(text)
        honest, body["settled"]["volume"] = body["settled"]["volume"], "1"
        connection.execute(
            "INSERT INTO closing SELECT intake, at_ms, revision + 1, number, ?, state FROM closing"
            " WHERE intake = 'well-3' AND at_ms = ?", (json.dumps(body), at_ms),
        )  # fmt: skip
    connection.close()
    assert main(["verify", str(copy.path), "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["breaks"]
    assert (found["code"], found["meter"], found["at_ms"]) == ("CLOSING", "well-3", at_ms)
    assert (Decimal(found["expected"]), found["found"]) == (Decimal(honest), "1")


def test_an_id_of_another_file_is_no_reading_of_this_one(books: Books, capsys) -> None:
    assert main(["explain", "00000000-1", "-c", str(books.config), "--lang", "en"]) == 1
    assert "00000000-1" in capsys.readouterr().err


def test_an_export_whose_end_is_not_after_its_beginning_is_refused(books: Books, tmp_path: Path, capsys) -> None:
    words = ["--since", "2026-07-02", "--until", "2026-07-01", "--out", str(tmp_path / "x"), "--lang", "en"]
    assert main(["report", "export", "-c", str(books.config), *words]) == 2
    assert "2026-07-02" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
