"""The files of a report: complete in both languages, the same bytes each time, harmless to spreadsheets."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import zipfile
from dataclasses import replace
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from openpyxl import load_workbook

from agent.messages import LANGUAGES, Messages
from agent.reports.package import package
from agent.reports.report import Anomaly, Declaration, Photo, Report, Status
from agent.reports.voucher import Sealing
from agent.reports.wording import grouped, number, stated
from tests.agent.reports.made import DAY_MS, SETTINGS, W7, facts_of, month, report, standing

BEGIN, END = month().begin_ms, month().end_ms
SEALING = Sealing("5a" * 32, "aaaa-bbbb-cccc-dddd", "0f" * 64)
ANOMALY = Anomaly(
    rule="R3", version="1", subject="meter/pump-kwh", quantity="energy_import", level=3, began_ms=BEGIN, ended_ms=None,
    first="9f3c2a71-1", last="9f3c2a71-2",
)  # fmt: skip
SWAP = Declaration(
    id=7, kind="replacement", subject="pump-kwh", at_ms=BEGIN, who="<Li & Wei>",
    facts={"quantity": "energy_import", "old_final": "1", "new_initial": "0", "reason": "=cmd|' /C calc'!A0"},
)  # fmt: skip
GIVEN = facts_of(
    [standing(BEGIN, "0"), standing(BEGIN + DAY_MS, "10", doubt="0.5"), standing(END, "36432.000001")],
    settings=replace(SETTINGS, title="=1+1"),
    coefficients=(replace(W7, valid_to=date(2026, 9, 2)),),
    anomalies=(ANOMALY,),
    declarations=(SWAP,),
    photos=(Photo(sha256="cd" * 32, file="swap.jpg", bytes=1, about="replacement pump-kwh"),),
)


def made(status: Status = Status.FROZEN) -> Report:
    return replace(report(GIVEN), status=status, version=1, who="Li Wei", reason="late data")


def files(lang: str = "zh", *, is_old: bool = False) -> dict[str, bytes]:
    return {each.name: each.content for each in package(made(), SEALING, Messages(lang), is_old=is_old)}


def of(ending: str, lang: str = "zh", **options: bool) -> bytes:
    (content,) = (content for name, content in files(lang, **options).items() if name.endswith(ending))
    return content


class Page(HTMLParser):
    """Collects what a page refers to and what it says; complains of tags that do not match."""

    VOID = ("meta", "br", "line", "rect")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.said: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in {"src", "href", "data", "xlink:href"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag in self.VOID or self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.said.append(data)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_voucher_is_one_whole_file_that_needs_no_other(lang: str) -> None:
    text = of(f".{lang}.html", lang).decode()
    page = Page(text)
    assert page.open == []
    assert page.links == []
    assert "url(" not in text.replace("url(#hatch)", "")
    assert "@import" not in text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_word_of_a_voucher_is_in_its_language(lang: str) -> None:
    said = " ".join(Page(of(f".{lang}.html", lang).decode()).said)
    assert re.findall(r"\breport\.[a-z_.]+|\{[a-z]+\}", said) == []
    for shown in ("D1", "4302810001", "W7@1", "<Li & Wei>", "late data", "V = 10.00", *SEALING):
        assert shown in said


def test_a_voucher_says_what_the_gateway_stands_for_and_leaves_room_to_sign() -> None:
    said = " ".join(Page(of(".zh.html").decode()).said)
    for words in ("填报人", "审核人", "日期", "未计入过期系数折算的", "第 1 版", "换表", "R3 异常大数"):
        assert words in said


def test_the_page_with_the_signatures_says_whose_voucher_it_is() -> None:
    """On A4 it may be the second one, without the head of the first."""
    evidence = of(".zh.html").decode().split("<h2>证据</h2>")[1]
    assert "2026-09 · =1+1 · 4302810001" in evidence


@pytest.mark.parametrize(("run_h", "words"), [(None, "读数间隔太长"), ("0", "没有结束的运行")])
def test_a_voucher_states_no_running_hours_that_nobody_knows(run_h: str | None, words: str) -> None:
    counts = {"expected": 0, "good": 0, "flags": {}, "qc": {}, "runs": 0, "run_h": "0"}
    ends = [standing(BEGIN, "0"), standing(END, "10", counts={**counts, **({"unseen": 2} if run_h is None else {})})]
    found = {each.name: each.content.decode() for each in package(
        report(facts_of(ends)), SEALING, Messages("zh"), formats=("html", "csv")
    )}  # fmt: skip
    (page,) = (text for name, text in found.items() if name.endswith(".html"))
    assert words in page
    assert "0 小时" not in page
    (table,) = (text for name, text in found.items() if name.endswith("-intakes.csv"))
    (row,) = csv.DictReader(io.StringIO(table.removeprefix("\ufeff")))
    assert (row["运行小时"], row["开泵次数"]) == ("", "")


def test_the_stamp_and_the_times_of_a_voucher_are_never_broken() -> None:
    text = of(".zh.html").decode()
    for place in (".stamp", ".t"):
        rule = re.search(rf"^\{place} \{{([^}}]*)\}}", text, re.MULTILINE)
        assert rule is not None
        assert "white-space: nowrap" in rule[1]


def test_a_superseded_voucher_says_so() -> None:
    assert "已被替代" in of(".zh.html", is_old=True).decode()
    assert "已被替代" not in of(".zh.html").decode()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_same_report_gives_the_same_bytes(lang: str) -> None:
    assert files(lang) == files(lang)


def test_a_later_run_into_the_same_directory_forgets_nothing_that_is_still_there() -> None:
    there: dict[str, bytes] = {}
    for lang, formats in (("zh", ("html",)), ("en", ("csv", "html")), ("en", ("json",))):
        there |= dict(package(made(), SEALING, Messages(lang), formats=formats, reads=there.get))
    listed = json.loads(there.pop("pumphouse-12-2026-09-v1-manifest.json"))["files"]
    assert listed == {name: hashlib.sha256(content).hexdigest() for name, content in there.items()}
    assert len(listed) == 5


def test_what_was_changed_or_is_of_another_report_is_not_listed_again() -> None:
    name = "pumphouse-12-2026-09-v1-manifest.json"
    there = dict(package(made(), SEALING, Messages("zh"), formats=("html", "json")))
    there["pumphouse-12-2026-09-v1.zh.html"] += b" "
    listed = json.loads(dict(package(made(), SEALING, Messages("en"), formats=("html",), reads=there.get))[name])[
        "files"
    ]
    assert set(listed) == {"pumphouse-12-2026-09-v1.json", "pumphouse-12-2026-09-v1.en.html"}
    other = SEALING._replace(sha256="11" * 32)
    listed = json.loads(dict(package(made(), other, Messages("en"), formats=("html",), reads=there.get))[name])["files"]
    assert set(listed) == {"pumphouse-12-2026-09-v1.en.html"}
    for odd in (b"[]", b"{", b'{"files": 3}'):
        assert package(made(), SEALING, Messages("en"), formats=("html",), reads={name: odd}.get)


def test_the_manifest_lists_what_each_file_hashes_to() -> None:
    found = files()
    manifest = json.loads(found.pop("pumphouse-12-2026-09-v1-manifest.json"))
    assert manifest["files"] == {name: hashlib.sha256(content).hexdigest() for name, content in found.items()}
    assert (manifest["report_sha256"], manifest["key"]) == (SEALING.sha256, SEALING.key)
    assert hashlib.sha256(of("v1.json")).hexdigest() == made().sha256


def test_a_workbook_holds_numbers_as_numbers_and_formulas_as_text() -> None:
    book = load_workbook(io.BytesIO(of(".xlsx")))
    sheet = book.worksheets[0]
    cells = {cell.value: sheet.cell(2, cell.column) for cell in sheet[1]}
    assert (cells["水量 m³"].value, cells["水量 m³"].data_type) == (pytest.approx(36432.000001), "n")
    assert (cells["名称"].value, cells["名称"].data_type) == ("=1+1", "s")
    assert [each.max_row for each in book.worksheets] == [2, 3, 3, 3]


def test_a_workbook_carries_no_time_but_the_reports() -> None:
    with zipfile.ZipFile(io.BytesIO(of(".xlsx"))) as packed:
        assert {each.date_time for each in packed.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert set(re.findall(rb"W3CDTF\">([^<]*)<", packed.read("docProps/core.xml"))) == {b"2026-09-21T14:13:20Z"}


def test_a_table_for_the_platform_has_its_mark_exact_figures_and_no_formula() -> None:
    content = of("-intakes.csv")
    assert content.startswith(b"\xef\xbb\xbf")
    assert b"\r\n" in content
    line = content.decode("utf-8-sig").splitlines()[1].split(",")
    assert "36432.000001" in line
    assert "'=1+1" in line


@pytest.mark.parametrize(
    ("value", "plain", "shown"),
    [("0E-6", "0", "0"), ("1E+3", "1000", "1\u202f000"), ("-12345.600", "-12345.6", "−12\u202f345.6")],
)
def test_a_number_is_written_as_it_is(value: str, plain: str, shown: str) -> None:
    assert (number(Decimal(value)), grouped(Decimal(value))) == (plain, shown)


@pytest.mark.parametrize(
    ("value", "u", "shown"),
    [
        ("7920", "519.2", ("7\u202f920", "520")),
        ("7920.4", "0.1234", ("7\u202f920.40", "0.13")),
        ("36432", "2702.1", ("36\u202f400", "2\u202f800")),
        ("5", "0", ("5", "0")),
    ],
)
def test_a_volume_is_stated_to_the_place_of_its_uncertainty(value: str, u: str, shown: tuple[str, str]) -> None:
    assert stated(Decimal(value), Decimal(u)) == shown
