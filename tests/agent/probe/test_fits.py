"""Which readings of some bytes could be the number on a display."""

from __future__ import annotations

import struct
from decimal import Decimal
from typing import Any

import pytest

from agent.probe.fits import Row, fitting, rows_of, shown_of
from drivers.registry import DRIVERS
from drivers.views import VIEWS


def rows(data: bytes, shows: str | None, *, first: int = 0, protocol: str = "modbus") -> list[Row]:
    words = {first + at // 2: int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)}
    image = {"holding": words}
    shown = None if shows is None else shown_of(shows)
    return rows_of(VIEWS[protocol].specs(image), image, DRIVERS[protocol](), shown)


def best(data: bytes, shows: str) -> tuple[list[Any], Decimal]:
    row = fitting(rows(data, shows))[0]
    assert row.fit is not None
    return [(spec["register"], spec["type"], spec["order"]) for spec in row.specs], row.fit


def swapped(data: bytes) -> bytes:
    return b"".join(data[at : at + 2] for at in range(len(data) - 2, -1, -2))


@pytest.mark.parametrize(
    ("data", "shows", "found", "scale"),
    [
        (struct.pack(">f", 12.5), "12.5", [(0, "f32", "abcd")], "1"),
        (swapped(struct.pack(">f", 1234.56)), "1234.56", [(0, "f32", "cdab")], "1"),
        (struct.pack(">d", 123456.789), "123456.78", [(0, "f64", "abcd")], "1"),
        (struct.pack(">I", 123456), "1234.56", [(0, "u32", "abcd")], "0.01"),
        (struct.pack("<I", 123456), "1234.56", [(0, "u32", "dcba")], "0.01"),
        (struct.pack(">H", 2305), "230.5", [(0, "u16", "abcd")], "0.1"),
        (struct.pack(">h", -625), "-62.5", [(0, "i16", "abcd")], "0.1"),
        (bytes.fromhex("00123456"), "1234.56", [(0, "bcd32", "abcd")], "0.01"),
        (struct.pack(">f", 0.00347), "12.49", [(0, "f32", "abcd")], "3600"),  # m3/s
        (struct.pack(">f", 45.0), "12.50", [(0, "f32", "abcd")], "0.277777777778"),  # m3/h shown as L/s
        (struct.pack(">If", 1234, 0.5), "1234.5", [(0, "u32", "abcd"), (2, "f32", "abcd")], "1"),
        (swapped(struct.pack(">I", 1234)) + swapped(struct.pack(">f", 0.56)), "1234.56",
         [(0, "u32", "cdab"), (2, "f32", "cdab")], "1"),
        (struct.pack(">IH", 1234, 567), "1234.567", [(0, "u32", "abcd"), (2, "u16", "abcd")], "1"),
    ],
)  # fmt: skip
def test_the_number_on_the_display_is_found(data: bytes, shows: str, found: list[Any], scale: str) -> None:
    assert best(data, shows) == (found, Decimal(scale))


@pytest.mark.parametrize(("shows", "fits"), [("1234.5", True), ("1234.6", True), ("1234.4", False), ("1234.7", False)])
def test_it_fits_cut_or_rounded_within_its_last_digit(shows: str, fits: bool) -> None:
    data = struct.pack(">f", 1234.56)
    assert any(row.specs[0]["type"] == "f32" for row in fitting(rows(data, shows))) is fits


def test_only_rows_that_make_sense_are_plausible() -> None:
    plausible = {(row.specs[0]["type"], row.specs[0]["order"]) for row in rows(struct.pack(">f", 12.5), None)
                 if row.is_plausible and row.specs[0]["register"] == 0}  # fmt: skip
    assert ("f32", "abcd") in plausible
    assert ("f32", "cdab") not in plausible, "a number below any resolution"
    assert ("i32", "abcd") not in plausible, "what is not negative reads the same as u32"
    every = rows(struct.pack(">f", float("nan")), None)
    assert not any(
        row.is_plausible for row in every if row.specs[0]["type"] == "f32" and row.specs[0]["order"] == "abcd"
    )


def test_without_a_number_nothing_is_marked() -> None:
    assert fitting(rows(struct.pack(">f", 12.5), None)) == []


@pytest.mark.parametrize("text", ["x", "", "1e3", "nan", "1,5"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        shown_of(text)


def test_digits_are_counted_without_leading_zeros() -> None:
    assert [shown_of(text).digits for text in ("0", "0.05", "12.5", "100")] == [0, 1, 3, 3]


def test_data_identifiers_are_read_in_every_size() -> None:
    driver = DRIVERS["dlt645"]()
    image = {"00010000": bytes.fromhex("56341200")}  # 1234.56 kWh, lowest byte first
    found = fitting(rows_of(VIEWS["dlt645"].specs(image), image, driver, shown_of("1234.56")))
    assert (found[0].specs[0]["id"], found[0].specs[0]["size"], found[0].fit) == ("00010000", 4, Decimal("0.01"))


def test_water_records_are_read_as_totals_and_by_place() -> None:
    driver = DRIVERS["cjt188"]()
    record = bytes.fromhex("002301002C 000000002C 00000000000000 0000".replace(" ", ""))  # 123.00 m3 (sheet, frame 2)
    image = {"meter_type": "10", "901F": record}
    found = fitting(rows_of(VIEWS["cjt188"].specs(image), image, driver, shown_of("123.00")))
    assert (found[0].specs[0]["field"], found[0].fit) == ("total", Decimal(1))
