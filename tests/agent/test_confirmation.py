"""What a profile leaves open is UNCONFIRMED until a number from the display has agreed."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from agent.comparing import Keep, compared
from agent.confirmation import doubts, is_shown, shown_number
from agent.control import ControlError
from agent.entries import Entry
from agent.faults import FaultCode
from agent.model import Layout, Round
from agent.profiles import Library
from agent.qualify import Judge, qualify
from agent.store.confirmations import Confirmation
from drivers.registry import DRIVERS
from tests.fakes import KeptFaults

TUF = Library(drivers=DRIVERS).load("tuf2000")
TOTALS = frozenset({"volume_forward", "volume_reverse", "volume_net"})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("1234.5", "1234.5"),
        ("1234.567", "1234.5"),  # cut
        ("1234.567", "1234.6"),  # rounded
        ("1234.567", "1234"),
        ("1234.567", "1234.567"),
        ("1234.567", "0001234.56"),
        ("-0.126", "-0.12"),
        ("-0.126", "-0.13"),
        ("0.54499996", "0.545"),
        ("12", "12.0"),
    ],
)
def test_a_display_rounds_or_cuts_at_its_last_digit(value: str, shown: str) -> None:
    number = shown_number(shown)
    assert number is not None
    assert is_shown(Decimal(value), number)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("1234.567", "1234.4"),
        ("1234.567", "1234.7"),
        ("1234.6", "1234.5"),
        ("12345.67", "1234.567"),
        ("-1234.5", "1234.5"),
        ("0", "0.1"),
        ("1234.4", "1234.5"),
    ],
)
def test_another_number_is_not_what_the_display_shows(value: str, shown: str) -> None:
    number = shown_number(shown)
    assert number is not None
    assert not is_shown(Decimal(value), number)


@pytest.mark.parametrize("text", ["0", "0.000", "-0", "", "12,5", "1e3", "NaN", "1234.5 m3", "12.", ".5", "9" * 30])
def test_a_zero_or_no_number_proves_nothing(text: str) -> None:
    assert shown_number(text) is None


def test_one_comparison_settles_its_unit_and_nothing_else() -> None:
    doubtful = ("volume_forward", "volume_reverse", "flow_rate")
    assert doubts(doubtful, ()) == set(doubtful)
    assert doubts(doubtful, ["volume_net"]) == {"flow_rate"}
    assert doubts(doubtful, ["flow_rate"]) == {"volume_forward", "volume_reverse"}
    assert doubts(doubtful, ["velocity"]) == set(doubtful)


def keeper(kept: list[Confirmation]) -> Keep:
    """Keeps what it is given, on a disk that takes it."""

    def keep(new: Sequence[Confirmation]) -> bool:
        kept.extend(new)
        return True

    return keep


def result(**values: Any) -> dict[str, Any]:
    return {"meter": "main", "values": {"flow_rate": "12.5", **values}, "quality": {}}


def test_a_read_without_a_display_says_what_is_unconfirmed() -> None:
    told = compared(
        result(volume_forward="1234.567", volume_net=None, status=["empty_pipe"]),
        TUF,
        {},
        settled=lambda *_: frozenset(),
        keep=lambda _: True,
    )
    assert told["quality"] == {"volume_forward": ["UNCONFIRMED"]}
    assert "comparison" not in told


def test_a_number_that_agrees_is_recorded_with_all_that_proves_it() -> None:
    kept: list[Confirmation] = []
    arguments = {"shows": "1234.5", "who": "li"}
    told = compared(
        result(volume_forward="1234.567", volume_reverse="0.25"),
        TUF,
        arguments,
        settled=lambda *_: frozenset(),
        keep=keeper(kept),
    )
    assert kept == [Confirmation("main", "tuf2000", TUF.version, "volume_forward", "1234.5", "1234.567", "li")]
    assert told["quality"] == {}
    assert told["comparison"] == {
        "shows": "1234.5",
        "matched": ["volume_forward"],
        "confirmed": ["volume_forward"],
        "recorded": True,
        "unconfirmed": [],
    }


def test_a_number_that_does_not_agree_confirms_nothing() -> None:
    kept: list[Confirmation] = []
    values = result(volume_forward="1234.567")
    told = compared(values, TUF, {"shows": "123.4"}, settled=lambda *_: frozenset(), keep=keeper(kept))
    assert kept == []
    assert told["comparison"]["matched"] == []
    assert told["quality"] == {"volume_forward": ["UNCONFIRMED"]}


def test_what_agrees_but_was_never_in_doubt_is_told_and_not_recorded() -> None:
    kept: list[Confirmation] = []
    values = result(volume_forward="1234.567")
    told = compared(values, TUF, {"shows": "12.5"}, settled=lambda *_: frozenset(), keep=keeper(kept))
    assert kept == []
    assert told["comparison"]["matched"] == ["flow_rate"]
    assert told["comparison"]["unconfirmed"] == sorted(TOTALS)


@pytest.mark.parametrize("shows", ["0", "abc", 10**40, []])
def test_what_is_no_number_from_a_display_is_refused(shows: object) -> None:
    with pytest.raises(ControlError, match="BAD_SHOWN"):
        compared(result(), TUF, {"shows": shows}, settled=lambda *_: frozenset(), keep=lambda _: True)


def polled(total: str, version: str = "1") -> Round:
    layout = Layout(
        meter="main",
        profile="p",
        version=version,
        protocol="modbus",
        address="1",
        quantities=("volume_forward",),
        flags=(),
        period_ms=60_000,
        requests=(),
    )
    return Round(layout=layout, boot_ms=0, values=(Decimal(total),), quality={}, raw=())


ENTRIES = (Entry(quantity="volume_forward", low=Decimal(0), high=Decimal(1000)),)


def test_an_unconfirmed_reading_keeps_its_number_and_its_other_flags() -> None:
    judged, after = qualify(ENTRIES, polled("2000"), {}, {"volume_forward"})
    assert judged.values == (Decimal(2000),)
    assert judged.quality == {"volume_forward": ("OUT_OF_RANGE", "UNCONFIRMED")}
    assert after == {}


def test_an_unconfirmed_counter_that_falls_is_seen_to_fall() -> None:
    _, after = qualify(ENTRIES, polled("200"), {}, {"volume_forward"})
    judged, _ = qualify(ENTRIES, polled("199"), after, {"volume_forward"})
    assert judged.quality == {"volume_forward": ("NEGATIVE_DELTA", "UNCONFIRMED")}


def test_a_missing_value_is_not_also_unconfirmed() -> None:
    layout = polled("1").layout
    missing = Round(layout=layout, boot_ms=0, values=(None,), quality={"volume_forward": ("NO_REPLY",)}, raw=())
    assert qualify(ENTRIES, missing, {}, {"volume_forward"})[0].quality == {"volume_forward": ("NO_REPLY",)}


def test_rounds_are_flagged_until_the_display_has_agreed_and_again_under_another_version() -> None:
    faults = KeptFaults()
    judge = Judge(faults=faults, baseline=lambda _: {})
    doubted = frozenset({"volume_forward"})
    judge.knows("main", "1", ENTRIES, doubts=doubted)
    assert judge(polled("100")).quality == {"volume_forward": ("UNCONFIRMED",)}
    judge.doubts("main", "1", frozenset())
    assert judge(polled("101")).quality == {}
    judge.knows("main", "2", ENTRIES, doubts=doubted)
    assert judge(polled("10.1", version="2")).quality == {"volume_forward": ("UNCONFIRMED",)}
    assert not [edge for edge in faults.edges if edge[1] is FaultCode.METER_NEGATIVE_DELTA and edge[0] == "raised"]
