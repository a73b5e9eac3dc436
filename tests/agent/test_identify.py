"""What gives a meter away, what its profile leaves open: how a profile says it, and what is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agent import fingerprint
from agent.entries import Mark
from agent.form.nodes import read_text
from agent.form.problems import FormErrors
from agent.messages import LANGUAGES, Messages, problem_lines
from agent.profiles import read_profile
from agent.settings import Profile
from drivers.contract import NoValue
from drivers.registry import DRIVERS

HEAD = """\
profile: own
title: {zh: 自有, en: own}
source: own manual
protocol: modbus
items:
  - {quantity: volume_forward, table: holding, register: 0, type: u32}
  - {quantity: flow_rate, table: holding, register: 2, type: f32}
  - {quantity: velocity, table: holding, register: 4, type: f32}
"""


def profile(text: str) -> Profile:
    return read_profile(read_text(HEAD + text, "own.yaml"), "own", DRIVERS)


def found(text: str) -> list[tuple[str, str]]:
    with pytest.raises(FormErrors) as caught:
        profile(text)
    for lang in LANGUAGES:
        assert all(line for line in problem_lines(Messages(lang), caught.value.problems))
    return [(each.path, each.code) for each in caught.value.problems]


MARKS = """\
identify:
  - {table: holding, register: 1441, type: u16, own_address: true}
  - {table: holding, register: 7, type: u16, among: [0x55, 0xAA]}
  - {table: input, register: 70, type: f32, range: [45, null]}
"""


def test_marks_compile_to_items_and_tests() -> None:
    item = DRIVERS["modbus"]().item
    assert profile(MARKS).identify == (
        Mark(item=item({"table": "holding", "register": 1441, "type": "u16"}), own_address=True),
        Mark(item=item({"table": "holding", "register": 7, "type": "u16"}), among=frozenset({0x55, 0xAA})),
        Mark(item=item({"table": "input", "register": 70, "type": "f32"}), low=Decimal(45)),
    )
    assert profile("").identify == ()


@pytest.mark.parametrize(
    ("address", "state", "frequency", "fits"),
    [
        ("12", 0x55, "50", True),
        ("12", 0xAA, "45", True),
        ("13", 0x55, "50", False),
        ("12", 0x56, "50", False),
        ("12", 0x55, "44.9", False),
        ("000000000012", 0x55, "50", True),
        ("AAAAAAAAAAAA", 0x55, "50", False),
    ],
)
def test_all_marks_must_hold(address: str, state: int, frequency: str, fits: bool) -> None:
    marks = profile(MARKS).identify
    raws = dict(zip((mark.item for mark in marks), (Decimal(12), Decimal(state), Decimal(frequency)), strict=True))
    assert fingerprint.fits(marks, raws, address=address) is fits


def test_what_is_not_there_or_no_number_is_no_mark() -> None:
    marks = profile(MARKS).identify
    raws = {marks[0].item: Decimal(12), marks[1].item: Decimal(0x55)}
    assert not fingerprint.fits(marks, raws, address="12")
    assert not fingerprint.fits(marks, raws | {marks[2].item: NoValue.NOT_A_NUMBER}, address="12")
    assert fingerprint.reads(marks) == [(mark.item,) for mark in marks]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("identify: [{table: holding, register: 7, type: u16}]", ("identify[0]", "mark-test")),
        (
            "identify: [{table: holding, register: 7, type: u16, among: [1], range: [0, 1]}]",
            ("identify[0]", "mark-test"),
        ),
        ("identify: [{table: holding, register: 7, type: u16, range: [1, 1]}]", ("identify[0].range", "range-order")),
        ("identify: [{table: holding, type: u16, among: [1]}]", ("identify[0].register", "spec.register")),
        ("identify: [{table: holding, register: 7, type: u16, among: [x]}]", ("identify[0].among[0]", "whole")),
        ("identify: [{table: holding, register: 7, typ: u16, among: [1]}]", ("identify[0].typ", "spec.unknown-key")),
        ("unconfirmed: {zh: 单位, en: unit, quantities: [power]}", ("unconfirmed.quantities[0]", "test-quantity")),
        ("unconfirmed: {zh: 单位, en: unit, quantities: [water]}", ("unconfirmed.quantities[0]", "quantity")),
        ("unconfirmed: {en: unit}", ("unconfirmed.zh", "missing")),
    ],
)
def test_a_wrong_mark_or_doubt_is_shown_at_its_place(text: str, expected: tuple[str, str]) -> None:
    assert expected in found(text + "\n")


def test_left_out_the_doubt_is_about_totals_and_flows() -> None:
    assert profile("unconfirmed: {zh: 单位, en: unit}\n").doubtful == ("volume_forward", "flow_rate")
    named = profile("unconfirmed: {zh: 单位, en: unit, quantities: [velocity]}\n")
    assert named.doubtful == ("velocity",)
    assert dict(named.unconfirmed) == {"zh": "单位", "en": "unit"}
    assert profile("").doubtful == ()
