"""SL 651-2014: numbers, parameters, times, addresses, links.

Expected values come from the published frames, the sheet's worked examples and frames made by hand.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.uplinks.sl651_wire.addresses import channel, ipv4_channel, is_for, number_channel, station_address
from agent.uplinks.sl651_wire.codes import (
    Control,
    Dialect,
    Encoding,
)
from agent.uplinks.sl651_wire.elements import (
    IDENTIFIERS,
    RAIN_ARRAY,
    Fill,
    array,
    default_definition,
    number,
    number_of,
    number_text,
)
from agent.uplinks.sl651_wire.fields import fields_of
from agent.uplinks.sl651_wire.link import Link
from agent.uplinks.sl651_wire.packets import confirmation, confirms
from agent.uplinks.sl651_wire.parameters import basic_parameter, run_parameter, wanted
from agent.uplinks.sl651_wire.parts import (
    Header,
    Step,
    Wanted,
    digits_of,
    following,
    moment_of,
    series,
)
from tests.agent.uplinks.sl651_checks import compact
from tests.agent.uplinks.sl651_frames import REPORT, STATION, ascii_down, ascii_up, down, up

# --- numbers


@pytest.mark.parametrize(
    ("value", "decimals", "sent"),
    [
        ("0.125999", 3, "0000000125"), ("-0.345999", 3, "FF0000000345"), ("0.0009", 3, "0000000000"),
        ("-0.0009", 3, "0000000000"), ("99999999.999", 3, "099999999999"), ("1E+3", 0, "0000001000"),
        ("1E-999999", 3, "0000000000"), ("0E+999999", 3, "0000000000"), ("123456789012345678901234567890.5", 1, None),
    ],
)  # fmt: skip
def test_a_number_is_cut_never_rounded_and_takes_the_bytes_it_needs(value, decimals, sent):
    element = number(b"\x27", Decimal(value), digits=9, decimals=decimals)
    if sent is not None:
        assert element.data.hex().upper() == sent
    assert element.definition == len(element.data) << 3 | decimals
    assert abs(element.value) <= abs(Decimal(value))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1E+62", "1E+999999"])
def test_a_number_that_cannot_be_sent_is_refused(value):
    with pytest.raises(ValueError, match=r"fit|most"):
        number(b"\x27", Decimal(value))


@given(value=st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**20), max_value=10**20))
def test_every_number_comes_back_exactly(value):
    element = number(b"\x39", value)
    assert element.value == value
    assert number_text(element.value) == f"{value or abs(value):f}"


def test_a_sign_that_one_platform_does_not_count():
    lone = Dialect(sign_counted=False)
    element = number(IDENTIFIERS["Z1"], Decimal("-0.345"), dialect=lone)
    assert (element.definition, element.data.hex().upper()) == (0x23, "FF00000345")
    data = up("32", REPORT, element.encode().hex(), "38 12 1265")
    values = [each["value"] for each in fields_of(data, dialect=lone)["groups"][0]["elements"]]
    assert values == ["-0.345", "12.65"]


def test_missing_values_are_told_from_negative_ones():
    assert number_of(b"\xff\xff", 0) is Fill.FF
    assert number_of(b"\xaa", 0) is Fill.AA
    assert number_of(b"\xff\x01", 0) == -1
    assert number_of(b"\xff\xf1", 0) is None
    assert number_of(b"", 0) is None
    assert number(IDENTIFIERS["Z"], None).encode() == compact("39 23 FFFFFFFF")


def test_samples_of_one_series_are_of_one_length():
    found = series(IDENTIFIERS["Z1"], [Decimal("-0.345"), Decimal("12.3456"), None])
    assert found.encode() == compact("3C 2B FF00000345 0000012345 FFFFFFFFFF")
    assert series(IDENTIFIERS["Z1"], []).encode() == compact("3C 23")


def test_default_definitions_are_those_of_the_table():
    for name, defined in {
        "NS": 0x08, "AI": 0x11, "VTA": 0x11, "VT": 0x12, "FL": 0x18, "PT": 0x19, "WP8": 0x1A, "VA": 0x1B, "ZT": 0x20,
        "AC": 0x22, "Z8": 0x23, "SBL8": 0x2A, "Q8": 0x2B, "SYL8": 0x33, "DRP": 0x60, "DRZ8": 0xC0, "H": 0x1A,
    }.items():  # fmt: skip
        assert default_definition(IDENTIFIERS[name]) == defined, name
    assert (IDENTIFIERS["Q1"], IDENTIFIERS["SBL8"], IDENTIFIERS["WP1"]) == (b"\x28", b"\x6f", b"\x58")


def test_arrays_hold_what_fits_and_nothing_else():
    assert array(RAIN_ARRAY, (Decimal("25.49"), None, *[Decimal(0)] * 10)).data.hex() == "feff" + "00" * 10
    for values in ((Decimal("25.5"),) * 12, (Decimal(-1),) * 12, (Decimal(1),) * 11):
        with pytest.raises(ValueError, match=r"steps|hour"):
            array(RAIN_ARRAY, values)


# --- parameters, links


def test_parameters_are_made_by_their_forms():
    for words, made in {
        "20 08 01": run_parameter(b"\x20", Decimal(1)), "23 10 0300": run_parameter(b"\x23", Decimal(300)),
        "25 09 10": run_parameter(b"\x25", Decimal("1.09")), "28 23 00010000": run_parameter(b"\x28", Decimal(10)),
        "28 2B FF00000345": run_parameter(b"\x28", Decimal("-0.345")),
        "30 1B 000200": run_parameter(b"\x30", Decimal("0.2")), "42 1B 000500": run_parameter(b"\x42", Decimal("0.5")),
        "A0 33 000000123456": run_parameter(b"\xa0", Decimal("123.456")),
        "01 20 01000000": basic_parameter(b"\x01", bytes((1, 0, 0, 0))),
        "03 10 1234": basic_parameter(b"\x03", b"\x12\x34"), "0E 04 00010002": basic_parameter(b"\x0e", b"\0\1\0\2"),
        "04 50 02218094153172009708": basic_parameter(b"\x04", ipv4_channel(IPv4Address("218.94.153.172"), 9708)),
        "01 20": wanted(b"\x01", is_basic=True), "04 00": wanted(b"\x04", is_basic=True),
        "0F 00": wanted(b"\x0f", is_basic=True), "28 23": wanted(b"\x28", is_basic=False),
        "97 00": wanted(b"\x97", is_basic=False),
    }.items():  # fmt: skip
        assert made.encode() == compact(words), words
    with pytest.raises(ValueError, match="4 wanted"):
        basic_parameter(b"\x01", b"\0")


def test_a_link_makes_the_frames_of_both_sides():
    link = Link(centre=1, station=STATION, password="1234")
    sent = "250102080005"
    assert link.report(0x2F, serial=7, sent=sent).encode() == up("2F")
    assert link.command(0x37, sent=sent).encode() == down("37", header="0000 250102080005")
    wants = [Wanted(b"\x28", 0x36)]
    assert link.command(0x3A, sent=sent, parts=wants, serial=7).encode() == down("3A", "28 36")
    words = replace(link, encoding=Encoding.ASCII)
    assert words.command(0x3A, sent=sent, parts=wants, serial=7).encode() == ascii_down("3A", "Q1 ")
    assert words.command(0x43, sent=sent, parts=[Wanted(b"\x20", 8)], serial=7).encode() == ascii_down("43", "20 ")
    assert words.report(0x32, serial=7, sent=sent, end=Control.ETB).encode() == ascii_up("32", "", end=0x17)
    answer = confirmation(words.report(0x32, serial=7, sent=sent), sent=sent)
    assert answer.encode() == ascii_down("32", "", end=0x1B)
    assert confirms(answer, words.report(0x32, serial=7, sent=sent))
    assert not confirms(answer, words.report(0x32, serial=8, sent=sent))


def test_serial_numbers_go_round_without_zero():
    assert (following(1), following(65534), following(65535)) == (2, 65535, 1)
    with pytest.raises(ValueError, match="65536"):
        Header(65536, "250102080005").encode()


# --- times, addresses


def test_times_are_sent_in_the_stations_zone():
    at = datetime(2025, 1, 1, 16, 0, 5, tzinfo=UTC)
    assert digits_of(at, "%y%m%d%H%M%S") == "250102000005"
    assert moment_of("250102000005") == at
    for wrong in ("250230000000", "25010200", "AAAAAAAAAAAA", "2501", "٢٥٠١٠٢٠٠٠٠٠٥"):
        assert (moment_of(wrong) is None) == (wrong != "25010200")


@pytest.mark.parametrize(
    ("interval", "digits"),
    [(timedelta(minutes=5), "000005"), (timedelta(hours=1), "000100"), (timedelta(days=31), "310000")],
)
def test_a_step_is_whole_minutes_hours_or_days(interval, digits):
    assert Step.of(interval) == Step(digits)
    assert Step(digits).interval == interval
    for wrong in (timedelta(minutes=90), timedelta(seconds=30), timedelta(0), timedelta(days=32)):
        with pytest.raises(ValueError, match="whole"):
            Step.of(wrong)


def test_addresses_are_made_and_matched():
    assert station_address("330106", 12345) == "3301063039"
    assert is_for("3301063039", "3301063039")
    assert is_for("330106FFFF", "3301063039")
    assert not is_for("3301063038", "3301063039")
    for wrong in (("33010", 1), ("330106", 0), ("330106", 60001)):
        with pytest.raises(ValueError, match="digits"):
            station_address(*wrong)


def test_channels_are_made_and_read():
    data = ipv4_channel(IPv4Address("218.94.153.172"), 9708)
    assert data == compact("02 218094153172 009708")
    assert channel(data) == (2, "218.94.153.172:9708")
    assert number_channel(1, "13900001111") == compact("01 A13900001111")
    assert channel(b"") is None
