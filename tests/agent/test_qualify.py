"""Judging a round: flags are added, values never changed; a counter that fell keeps its old baseline."""

from __future__ import annotations

from decimal import Decimal

from agent.entries import Entry
from agent.faults import FaultCode
from agent.model import Layout, Round
from agent.qualify import Anew, Judge, qualify
from tests.fakes import KeptFaults

ENTRIES = (
    Entry(quantity="volume_forward"),
    Entry(quantity="flow_rate", low=Decimal(-10), high=Decimal(100)),
    Entry(quantity="volume_net"),
)
LAYOUT = Layout(
    meter="main", profile="p", version="1", protocol="modbus", address="1", period_ms=1000, flags=(), requests=(),
    quantities=("volume_forward", "flow_rate", "volume_net"),
)  # fmt: skip


def polled(volume, flow="1", net="0", **quality):
    values = tuple(None if text is None else Decimal(text) for text in (volume, flow, net))
    return Round(layout=LAYOUT, boot_ms=0, values=values, quality=quality, raw=())


def test_a_value_out_of_range_keeps_its_number_and_gets_the_flag():
    judged, _ = qualify(ENTRIES, polled("5", flow="100.01"), {})
    assert judged.values[1] == Decimal("100.01")
    assert judged.quality == {"flow_rate": ("OUT_OF_RANGE",)}
    assert qualify(ENTRIES, polled("5", flow="100"), {})[0].quality == {}


def test_a_counter_that_fell_is_flagged_until_it_passes_its_last_good_value():
    _, baseline = qualify(ENTRIES, polled("100"), {})
    judged, baseline = qualify(ENTRIES, polled("99.999"), baseline)
    assert judged.quality == {"volume_forward": ("NEGATIVE_DELTA",)}
    assert judged.values[0] == Decimal("99.999")
    judged, baseline = qualify(ENTRIES, polled("99.9995"), baseline)
    assert judged.quality == {"volume_forward": ("NEGATIVE_DELTA",)}
    judged, baseline = qualify(ENTRIES, polled("100"), baseline)
    assert judged.quality == {}


def test_a_missing_counter_is_a_gap_and_changes_no_baseline():
    _, baseline = qualify(ENTRIES, polled("100"), {})
    judged, after = qualify(ENTRIES, polled(None, volume_forward=("NO_REPLY",)), baseline)
    assert judged.quality == {"volume_forward": ("NO_REPLY",)}
    assert after == baseline


def test_a_net_volume_may_fall():
    _, baseline = qualify(ENTRIES, polled("1", net="5"), {})
    assert qualify(ENTRIES, polled("1", net="-5"), baseline)[0].quality == {}


def test_the_judge_begins_with_what_is_on_disk_and_says_each_condition_once():
    faults = KeptFaults()
    judge = Judge(faults=faults, baseline=lambda meter: {"volume_forward": "200"} if meter == "main" else {})
    judge.knows("main", "1", ENTRIES)
    assert judge(polled("150")).quality == {"volume_forward": ("NEGATIVE_DELTA",)}
    judge(polled("151"))
    evidence = faults.open[FaultCode.METER_NEGATIVE_DELTA, "meter/main"]
    assert evidence == {"quantity": "volume_forward", "value": Decimal(151), "last": Decimal(200)}
    assert judge(polled("201")).quality == {}
    assert faults.edges == [
        ("raised", FaultCode.METER_NEGATIVE_DELTA, "meter/main"),
        ("cleared", FaultCode.METER_NEGATIVE_DELTA, "meter/main"),
    ]


def test_after_a_replacement_was_said_the_new_register_is_the_measure_and_the_fault_ends():
    faults, said = KeptFaults(), [("volume_forward", Anew())]
    judge = Judge(
        faults=faults,
        baseline=lambda _: {"volume_forward": "200"},
        begun=lambda _: [said.pop()] if faults.open and said else [],
    )
    judge.knows("main", "1", ENTRIES)
    assert judge(polled("150")).quality == {"volume_forward": ("NEGATIVE_DELTA",)}
    assert judge(polled("150.5")).quality == {}
    assert not faults.open
    assert judge(polled("150.4")).quality == {"volume_forward": ("NEGATIVE_DELTA",)}, "and is watched like the old one"


def test_a_round_of_an_unknown_layout_passes_untouched():
    judge = Judge(faults=KeptFaults(), baseline=lambda _: {})
    found = polled("1", flow="1000")
    assert judge(found) is found
