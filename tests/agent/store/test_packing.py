from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import Layout
from agent.store.packing import (
    layout_of,
    layout_row,
    pack,
    pack_quality,
    pack_raw,
    pack_texts,
    unpack,
    unpack_quality,
    unpack_raw,
)


def layout(*quantities: str, flags: tuple[str, ...] = ()) -> Layout:
    return Layout(
        meter="m",
        profile="p",
        version="01234567",
        protocol="modbus",
        address="1",
        quantities=quantities,
        flags=flags,
        period_ms=1000,
        requests=(b"\x01\x03", b"", bytes(300)),
    )


THREE = layout("volume_forward", "flow_rate", "power")
finite = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**18), max_value=10**18)


@given(st.lists(finite | st.none(), min_size=1, max_size=30))
def test_every_decimal_comes_back_exactly(values):
    names = layout(*(f"q{number}" for number in range(len(values))))
    texts = unpack(pack(names, values))
    assert [None if text is None else Decimal(text) for text in texts] == values
    assert texts == tuple(None if value is None else format(value, "f") for value in values)


@given(st.lists(st.from_regex(r"-?[0-9]{1,12}(\.[0-9]{1,6})?", fullmatch=True) | st.none(), min_size=1))
def test_every_decimal_text_comes_back_as_it_was(texts):
    assert unpack(pack_texts(texts)) == tuple(texts)


def test_a_body_can_be_read_in_hexadecimal():
    assert pack(THREE, (Decimal("1234.5"), None, Decimal("-0.7"))).hex().upper() == "1234D5CACB0D7F"


def test_a_body_takes_half_a_byte_for_each_character():
    assert (
        len(pack(THREE, (Decimal("1234567.89"), Decimal("0.123"), Decimal("50.01"))))
        == len("1234567.89,0.123,50.01") / 2
    )


@pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_never_stored(value):
    with pytest.raises(ValueError):
        pack(THREE, (Decimal(1), Decimal(value), Decimal(2)))


@pytest.mark.parametrize("text", ["1e5", "ab", "1;2", "十"])
def test_a_text_of_other_characters_is_refused(text):
    with pytest.raises(ValueError):
        pack_texts((text, "1"))


def test_as_many_values_as_quantities_or_none_at_all():
    with pytest.raises(ValueError):
        pack(THREE, (Decimal(1),))


def test_a_status_is_stored_as_a_mask_over_the_flags_of_its_layout():
    names = layout("flow_rate", "status", flags=("empty_pipe", "no_signal", "meter_fault"))
    body = pack(names, (Decimal("2.5"), frozenset({"empty_pipe", "meter_fault"})))
    assert unpack(body) == ("2.5", "5")
    assert unpack(pack(names, (None, frozenset()))) == (None, "0")
    assert unpack(pack(names, (None, None))) == (None, None)


def test_a_flag_that_the_layout_does_not_have_is_refused():
    with pytest.raises(ValueError):
        pack(layout("status", flags=("empty_pipe",)), (frozenset({"no_signal"}),))


reasons = st.lists(st.sampled_from(["NO_REPLY", "OUT_OF_RANGE", "NEGATIVE_DELTA", "NOT_BCD"]), min_size=1, unique=True)


@given(st.dictionaries(st.sampled_from(THREE.quantities), reasons.map(tuple), min_size=1))
def test_every_quality_comes_back(quality):
    assert unpack_quality(THREE, pack_quality(THREE, quality)) == quality


def test_a_round_that_is_good_has_no_quality_text_and_a_dead_meter_a_short_one():
    assert pack_quality(THREE, {}) is None
    assert pack_quality(THREE, {"power": ()}) is None
    assert pack_quality(THREE, dict.fromkeys(THREE.quantities, ("NO_REPLY",))) == "NO_REPLY:*"


@given(st.lists(st.builds(bytes, st.integers(0, 20_000)) | st.binary(max_size=300)))
def test_every_raw_reply_comes_back(replies):
    assert unpack_raw(pack_raw(replies)) == tuple(replies)


def test_a_layout_comes_back_from_its_row():
    for each in (THREE, layout("status", flags=("empty_pipe", "no_signal"))):
        assert layout_of(layout_row(each)) == each
