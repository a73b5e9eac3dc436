"""Which profiles fit what a meter answers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from agent.decode import bundles
from agent.model import Reason
from agent.profiles import Library
from agent.scan.identify import Confidence, candidate, confidence, is_hopeless, ranked
from agent.settings import Profile
from drivers.contract import NoValue
from drivers.registry import DRIVERS

HEAD = "title: {zh: x, en: x}\nsource: made for tests\nprotocol: modbus\n"
ITEM = "{quantity: flow_rate, table: holding, register: 0, type: f32, range: [-1000, 1000]}"
FLOAT = f"profile: float\n{HEAD}items: [{ITEM}]\n"
SWAPPED = FLOAT.replace("profile: float", "profile: swapped").replace("type: f32", "type: f32, order: cdab")
MARK = "identify: [{table: holding, register: 100, type: u16, among: [7]}]\n"
MARKED = FLOAT.replace("profile: float", "profile: marked") + MARK
TEXTS = {"float": FLOAT, "swapped": SWAPPED, "marked": MARKED}


def profile(name: str) -> Profile:
    return Library(drivers=DRIVERS, texts=TEXTS).load(name)


def read(profile: Profile, words: dict[int, int]) -> dict[Any, Any]:
    """What a meter with these holding registers gives; others refuse."""
    raws = {}
    items = [item for bundle in bundles(profile.entries) for item in bundle]
    for item in [*items, *(mark.item for mark in profile.identify)]:
        registers = range(item.register, item.end)
        data = b"".join(words.get(at, 0).to_bytes(2, "big") for at in registers)
        raws[item] = item.decode(data) if set(registers) <= set(words) else Reason.REFUSED
    return raws


TWELVE_AND_A_HALF = {0: 0x4148, 1: 0x0000}  # 12.5 as IEEE 754 binary32, most significant word first


def test_a_float_in_its_word_order_beats_the_same_in_another() -> None:
    right = candidate(profile("float"), read(profile("float"), TWELVE_AND_A_HALF), address="1")
    assert right is not None
    assert right.values == {"flow_rate": Decimal("12.5")}
    assert candidate(profile("swapped"), read(profile("swapped"), TWELVE_AND_A_HALF), address="1") is None


def test_a_meter_that_refuses_everything_fits_no_profile() -> None:
    assert candidate(profile("float"), read(profile("float"), {}), address="1") is None


@pytest.mark.parametrize(("code", "fits"), [(7, True), (8, False)])
def test_marks_decide(code: int, fits: bool) -> None:
    raws = read(profile("marked"), {**TWELVE_AND_A_HALF, 100: code})
    assert (candidate(profile("marked"), raws, address="1") is not None) is fits


def test_a_profile_whose_marks_are_there_leaves_those_without_marks_behind() -> None:
    words = {**TWELVE_AND_A_HALF, 100: 7}
    found = [candidate(profile(name), read(profile(name), words), address="1") for name in ("float", "marked")]
    order = ranked([each for each in found if each is not None])
    assert [each.profile for each in order] == ["marked"]
    assert confidence(order) is Confidence.SURE


def test_two_profiles_that_fit_alike_are_to_be_compared_with_the_display() -> None:
    twin = TEXTS | {"twin": TEXTS["float"].replace("profile: float", "profile: twin")}
    library = Library(drivers=DRIVERS, texts=twin)
    profiles = [library.load(name) for name in ("float", "twin")]
    found = [candidate(each, read(each, TWELVE_AND_A_HALF), address="1") for each in profiles]
    assert confidence(ranked([each for each in found if each is not None])) is Confidence.POSSIBLE


def test_values_that_make_no_sense_end_the_reading() -> None:
    three = Library(drivers=DRIVERS).load("tuf2000")
    items = [item for bundle in bundles(three.entries) for item in bundle]
    assert is_hopeless(three, dict.fromkeys(items, NoValue.NOT_A_NUMBER))
    assert not is_hopeless(three, {})
