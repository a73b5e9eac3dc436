"""Tables of calibration runs as people write them: found by their headings, mistakes named at their place."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.calibration.runs import Table, table_of
from agent.form.problems import FormErrors

CHINESE = """序号,开始时间,结束时间,电量(kWh),水量(m³),动水位埋深(m),压力(kPa),输水方式
1,2026-05-12 08:00,2026-05-12 09:30,22.10,48.62,31.2,250,管灌
2,2026/5/12 10:00,2026/5/12 11:30,22.05,48.30,31.4,251,低压管道
"""
ENGLISH = """run,minutes,energy_kwh,volume_m3
a,90,22.10,48.62
b,90,22.05,48.30
"""


def read(text: str, encoding: str = "utf-8", **more: Decimal) -> Table:
    return table_of(text.encode(encoding), "runs.csv", **more)


def wrong(text: str) -> list[tuple[int, int, str, str]]:
    with pytest.raises(FormErrors) as caught:
        read(text)
    return [(each.line, each.column, each.path, each.code) for each in caught.value.problems]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_table_is_read_in_the_encodings_of_spreadsheets(encoding: str) -> None:
    table = read(CHINESE, encoding)
    assert [(run.label, run.energy_kwh, run.volume_m3, run.minutes) for run in table.runs] == [
        ("1", Decimal("22.10"), Decimal("48.62"), 90), ("2", Decimal("22.05"), Decimal("48.30"), 90),
    ]  # fmt: skip
    assert str(table.last_day) == "2026-05-12"


def test_a_plain_gbk_table_is_read() -> None:
    table = read(CHINESE.replace("m³", "m3"), "gbk")
    assert table.runs[1].depth_m == Decimal("31.4")


@pytest.mark.parametrize("separator", [",", ";", "\t", "，"])
def test_commas_semicolons_and_tabs_separate(separator: str) -> None:
    table = read(ENGLISH.replace(",", separator))
    assert [run.label for run in table.runs] == ["a", "b"]
    assert table.step_kwh == Decimal("0.01")


def test_units_are_taken_from_the_headings() -> None:
    table = read("电量(MWh),水量/L,历时(h),压力(kPa)\n0.022,48620,1.5,250\n")
    (run,) = table.runs
    assert (run.energy_kwh, run.volume_m3, run.minutes, run.pressure_mpa) == (
        Decimal(22), Decimal("48.62"), 90, Decimal("0.25"),
    )  # fmt: skip


def test_a_unit_that_could_be_either_has_to_be_said() -> None:
    assert wrong("电量,水量,压力\n22,48,0.2\n") == [(1, 7, "压力", "csv-unit")]
    assert wrong("电量,水量,历时\n22,48,90\n") == [(1, 7, "历时", "csv-unit")]


def test_registers_become_differences_with_the_multiplier() -> None:
    text = "电表起码,电表止码,水表起码,水表止码\n100.00,101.10,5000,5048.5\n"
    table = read(text, multiplier=Decimal(20))
    assert (table.runs[0].energy_kwh, table.runs[0].volume_m3) == (Decimal("22.00"), Decimal("48.5"))
    assert table.step_kwh == Decimal("0.20")


def test_every_mistake_is_named_at_once_at_its_place() -> None:
    text = (
        "run,start,end,energy_kwh,volume_m3\n"
        "1,2026-05-12 08:00,2026-05-12 07:00,22.1,48.6\n"
        "2,2026-05-12 08:00,2026-05-12 09:00,x,48.6\n"
        '3,yesterday,2026-05-12 09:00,22.1,"48,6"\n'
        "4,2026-05-12 08:00,2026-05-12 09:00,-1,\n"
    )
    assert wrong(text) == [
        (2, 20, "end", "csv-order"),
        (3, 37, "energy_kwh", "csv-number"),
        (4, 3, "start", "csv-time"),
        (4, 35, "volume_m3", "csv-comma"),
        (5, 37, "energy_kwh", "csv-not-positive"),
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "csv-empty"),
        ("energy_kwh,volume_m3\n", "csv-empty"),
        ("energy_kwh,minutes\n1,2\n", "csv-needs-volume"),
        ("volume_m3,minutes\n1,2\n", "csv-needs-energy"),
        ("电量,用电量,水量\n1,2,3\n", "csv-column-twice"),
        ("电量,水量\n1,2,3\n", "csv-too-many-cells"),
        ("电量,水量\n1,\n", "csv-missing"),
        ('电量,水量\n"1,2\n', "csv-quote"),
        ("电表起码,电表止码,水量\n5,5,2\n", "csv-register"),
        ("电量,水量,起日\n1,2,13-40\n", "csv-season"),
        ("电量,水量,输水方式\n1,2,喷灌\n1,2,滴灌\n", "csv-modes"),
        ("电量,水量,输水方式\n1,2,飞机\n", "choice"),
        ("start,end,minutes,电量,水量\n08:00,09:00,30,1,2\n", "csv-minutes"),
    ],
)
def test_what_is_no_run_is_refused(text: str, code: str) -> None:
    assert wrong(text)[0][3] == code


def test_a_spreadsheet_is_told_from_a_table() -> None:
    with pytest.raises(FormErrors) as caught:
        table_of(b"PK\x03\x04rest", "runs.xlsx")
    assert caught.value.problems[0].code == "csv-workbook"


def test_headings_that_mean_nothing_are_told_and_remarks_skipped() -> None:
    table = read("# first try\nenergy,volume,weather\n\n# cloudy\n22,48,rain\n")
    assert table.unread == ("weather",)
    assert len(table.runs) == 1


def test_a_day_of_its_own_dates_a_run_and_its_times() -> None:
    table = read("日期,开始,结束,电量,水量\n2026年5月12日,08:00,09:30,22,48\n2026/5/13 0:00:00,,,22,48\n")
    assert [str(run.day) for run in table.runs] == ["2026-05-12", "2026-05-13"]
    assert str(table.runs[0].start) == "2026-05-12 08:00:00"
    assert (table.unread, table.runs[0].minutes) == ((), 90)
    assert wrong("日期,电量,水量\n5-12,22,48\n") == [(2, 1, "日期", "csv-date")]


def test_runs_of_one_day_that_overlap_are_refused_by_their_dates_column() -> None:
    head, row = "日期,开始,结束,电量,水量\n", "2026-05-12,08:00,09:30,22,48\n"
    assert wrong(head + row + row)[0][3] == "csv-overlap"
    assert len(read(head + row + row.replace("05-12", "05-13")).runs) == 2


def test_a_mistake_names_the_heading_that_the_table_has() -> None:
    assert wrong("电量（kWh）,水量(m³)\n-1,48\n2,\n") == [
        (2, 1, "电量（kWh）", "csv-not-positive"),
        (3, 1, "水量(m³)", "csv-missing"),
    ]


def test_a_table_without_a_needed_column_is_told_which_headings_it_has() -> None:
    with pytest.raises(FormErrors) as caught:
        read("energy_kwh,minutes\n1,2\n")
    assert caught.value.problems[0].arguments["found"] == "energy_kwh minutes"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "ignore")))
def test_any_bytes_are_a_table_or_named_mistakes(data: bytes) -> None:
    for content in (data, b"energy_kwh,volume_m3,start,end\n" + data):
        with suppress(FormErrors):
            table = table_of(content, "runs.csv")
            assert all(run.energy_kwh > 0 and run.volume_m3 > 0 for run in table.runs)


@pytest.mark.parametrize(
    ("begin", "end", "well", "is_wrong"),
    [
        ("2026-05-12 08:00", "2026-05-12 09:30", "A", True),
        ("2026-05-12 09:29", "2026-05-12 11:00", "A", True),
        ("2026-05-12 07:00", "2026-05-12 12:00", "A", True),
        ("2026-05-12 09:30", "2026-05-12 11:00", "A", False),
        ("2026-05-12 08:00", "2026-05-12 09:30", "B", False),
        ("2026-05-13 08:00", "2026-05-13 09:30", "A", False),
    ],
)
def test_a_run_counts_once(begin: str, end: str, well: str, is_wrong: bool) -> None:
    """The same time at the same well twice would make the spread, and so the stated error, smaller than it is."""
    head = "run,start,end,energy_kwh,volume_m3,well\n"
    text = f"{head}2,{begin},{end},22,48,{well}\n1,2026-05-12 08:00,2026-05-12 09:30,22.1,48.6,A\n"
    if is_wrong:
        assert {code for *_, code in wrong(text)} == {"csv-overlap"}
    else:
        assert len(read(text).runs) == 2


def test_all_that_overlaps_a_long_run_is_named() -> None:
    text = "run,start,end,energy_kwh,volume_m3\n1,2026-05-12 08:00,2026-05-12 18:00,22,48\n"
    text += "2,2026-05-12 09:00,2026-05-12 10:00,22,48\n3,2026-05-12 11:00,2026-05-12 12:00,22,48\n"
    assert [line for line, *_ in wrong(text)] == [3, 4]
