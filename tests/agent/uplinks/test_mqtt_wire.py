"""The payload against its schema and against the description it was built from."""

from __future__ import annotations

import json
import random
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from agent.model import Layout, Outcome, StoredRound
from agent.uplinks.contract import Trouble
from agent.uplinks.mqtt_wire import Composer, outcome_of, rounds_topic, state_payload, state_topic, trouble_of
from tests.forwarding import LAYOUT

SCHEMA = Path(__file__).parents[3] / "docs/reference/mqtt-payload.schema.json"
AT_MS = 1_795_219_207_412  # 2026-11-21T00:00:07.412Z


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    description = json.loads(SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(description)
    return Draft202012Validator(description)


def published(rounds: list[StoredRound], resent: list[bool] | None = None, timezone: str = "Asia/Shanghai") -> list:
    payload = Composer(timezone, "json").payload(rounds, resent or [False] * len(rounds))
    found = json.loads(payload)
    assert isinstance(found, list)
    return found


def test_a_reading_of_an_intake_says_what_it_rests_on(schema: Draft202012Validator):
    layout = Layout(
        meter="well-3",
        profile="intake",
        version="0",
        protocol="intake",
        address="4302810001",
        quantities=("flow_rate", "volume_withdrawn"),
        flags=(),
        period_ms=60_000,
        requests=(b"",),
    )
    proof = '{"coefficient":"W7@4","form":1,"from":"9f3c2a71-1","origin":"derived","qc":1,"to":"9f3c2a71-3","u":"0.21"}'
    found = published([StoredRound(4, "9f3c2a71-4", layout, AT_MS, ("22", "7.3"), None, proof)])
    schema.validate(found)
    assert found[0]["origin"] == "derived"
    assert found[0]["coefficient"] == "W7@4"
    assert (found[0]["from"], found[0]["to"], found[0]["u"], found[0]["qc"]) == ("9f3c2a71-1", "9f3c2a71-3", "0.21", 1)
    assert "form" not in found[0]


def test_the_example_of_the_description_is_published_to_the_letter(schema: Draft202012Validator):
    layout = Layout(
        meter="main-flow",
        profile="p",
        version="0",
        protocol="modbus",
        address="1",
        quantities=("volume_forward", "flow_rate"),
        flags=(),
        period_ms=60_000,
        requests=(),
    )
    found = published(
        [StoredRound(184467, "9f3c2a71-184467", layout, AT_MS, ("1234.56", None), {"flow_rate": ("NO_REPLY",)})]
    )
    schema.validate(found)
    assert found == [
        {
            "id": "9f3c2a71-184467",
            "meter": "main-flow",
            "at": "2026-11-21T08:00:07.412+08:00",
            "slot": "2026-11-21T08:00:00+08:00",
            "resent": False,
            "values": {"volume_forward": "1234.56", "flow_rate": None},
            "quality": {"flow_rate": ["NO_REPLY"]},
        }
    ]


def test_a_good_round_takes_the_short_way_to_the_same_json(schema: Draft202012Validator):
    good = StoredRound(1, "9f3c2a71-1", LAYOUT, AT_MS, ("1", "2.5", "3"), None)
    long_way = good._replace(quality={})
    both = published([good, long_way], [True, True])
    schema.validate(both)
    assert both[0] == both[1]
    assert both[0]["values"] == {"volume_forward": "1", "flow_rate": "2.5", "status": ["empty_pipe", "no_signal"]}
    assert both[0]["resent"] is True


def test_a_missing_status_is_null_and_an_empty_one_is_an_empty_list():
    found = published(
        [
            StoredRound(1, "9f3c2a71-1", LAYOUT, AT_MS, ("1", "2", None), {"status": ("NO_REPLY",)}),
            StoredRound(2, "9f3c2a71-2", LAYOUT, AT_MS, ("1", "2", "0"), None),
        ]
    )
    assert [each["values"]["status"] for each in found] == [None, []]


@pytest.mark.parametrize(
    ("timezone", "at_ms", "at", "slot"),
    [
        ("Asia/Shanghai", AT_MS, "2026-11-21T08:00:07.412+08:00", "2026-11-21T08:00:00+08:00"),
        ("UTC", AT_MS, "2026-11-21T00:00:07.412+00:00", "2026-11-21T00:00:00+00:00"),
        ("Asia/Kathmandu", AT_MS, "2026-11-21T05:45:07.412+05:45", "2026-11-21T05:45:00+05:45"),
        ("America/New_York", AT_MS, "2026-11-20T19:00:07.412-05:00", "2026-11-20T19:00:00-05:00"),
        ("Asia/Shanghai", 1_793_459_999_999, "2026-10-31T23:19:59.999+08:00", "2026-10-31T23:19:00+08:00"),
    ],
)
def test_dates_are_written_in_the_time_zone_of_the_station(timezone: str, at_ms: int, at: str, slot: str):
    (found,) = published([StoredRound(1, "9f3c2a71-1", LAYOUT, at_ms, ("1", "2", "0"), None)], timezone=timezone)
    assert (found["at"], found["slot"]) == (at, slot)


def test_a_slot_between_seconds_keeps_its_milliseconds():
    layout = Layout(
        meter="m",
        profile="p",
        version="0",
        protocol="modbus",
        address="1",
        quantities=("flow_rate",),
        flags=(),
        period_ms=500,
        requests=(),
    )
    (found,) = published([StoredRound(1, "9f3c2a71-1", layout, AT_MS + 100, ("1",), None)])
    assert found["slot"] == "2026-11-21T08:00:07.500+08:00"


def test_a_compressed_payload_is_one_zlib_stream_of_the_same_json():
    rounds = [
        StoredRound(number, f"9f3c2a71-{number}", LAYOUT, AT_MS, ("1", "2", "0"), None) for number in range(1, 200)
    ]
    marks = [False] * len(rounds)
    plain = Composer("Asia/Shanghai", "json").payload(rounds, marks)
    packed = Composer("Asia/Shanghai", "json+zlib").payload(rounds, marks)
    assert zlib.decompress(packed) == plain
    assert plain[:1] == b"["
    assert packed[:1] == b"\x78"
    assert len(packed) < len(plain) / 5


numbers = st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9).map(str)


@settings(max_examples=200, deadline=None)
@given(
    texts=st.tuples(st.none() | numbers, st.none() | numbers, st.none() | st.integers(0, 3).map(str)),
    at_ms=st.integers(946_684_800_000, 4_102_444_800_000),
    resent=st.booleans(),
    reasons=st.sampled_from([None, {"flow_rate": ("OUT_OF_RANGE", "NEGATIVE_DELTA")}]),
)
def test_every_round_that_can_be_stored_is_published_as_the_schema_says(
    schema: Draft202012Validator, texts: tuple[str | None, ...], at_ms: int, resent: bool, reasons: dict | None
):
    stored = StoredRound(7, "9f3c2a71-7", LAYOUT, at_ms, texts, reasons)
    found = published([stored], [resent])
    schema.validate(found)
    assert found[0]["values"]["volume_forward"] == texts[0]
    assert found[0]["quality"] == {key: list(value) for key, value in (reasons or {}).items()}


def test_many_layouts_and_dates_do_not_mix():
    chance = random.Random(1)
    layouts = [LAYOUT] + [
        Layout(
            meter=f"m-{number}",
            profile="p",
            version="0",
            protocol="modbus",
            address="1",
            quantities=tuple(f"q{place}" for place in range(number)),
            flags=(),
            period_ms=1000,
            requests=(),
        )
        for number in range(1, 30)
    ]
    composer = Composer("Asia/Shanghai", "json")
    for _ in range(20):
        rounds = []
        for number in range(1, 60):
            layout = chance.choice(layouts)
            rounds.append(
                StoredRound(number, f"9f3c2a71-{number}", layout, AT_MS + number, ("1",) * len(layout.quantities), None)
            )
        found = json.loads(composer.payload(rounds, [False] * len(rounds)))
        for each, one in zip(rounds, found, strict=True):
            assert one["meter"] == each.layout.meter
            assert tuple(one["values"]) == each.layout.quantities


def test_topics_and_state_are_as_described():
    assert rounds_topic("qushui", "pumphouse-12") == "qushui/pumphouse-12/rounds"
    assert state_topic("qushui", "pumphouse-12") == "qushui/pumphouse-12/state"
    assert json.loads(state_payload("pumphouse-12", online=True)) == {"station": "pumphouse-12", "state": "online"}
    assert json.loads(state_payload("pumphouse-12", online=False)) == {"station": "pumphouse-12", "state": "offline"}


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (0x00, Outcome.ACCEPTED),  # Success
        (0x10, Outcome.ACCEPTED),  # No matching subscribers
        (0x80, Outcome.RETRY),  # Unspecified error
        (0x83, Outcome.RETRY),  # Implementation specific error
        (0x87, Outcome.RETRY),  # Not authorized
        (0x90, Outcome.REJECTED),  # Topic Name invalid
        (0x91, Outcome.RETRY),  # Packet identifier in use
        (0x97, Outcome.RETRY),  # Quota exceeded
        (0x99, Outcome.REJECTED),  # Payload format invalid
        (0x95, Outcome.REJECTED),  # Packet too large: not of PUBACK by the standard, but Mosquitto sends it
    ],
)
def test_every_reason_code_of_puback_is_a_matter_of_ours_or_of_the_message(code: int, outcome: Outcome):
    assert outcome_of(code) is outcome


def test_unknown_reason_codes_say_refused():
    assert trouble_of(0xA2) is Trouble.REFUSED
    assert trouble_of(0x8D, otherwise=Trouble.CLOSED) is Trouble.CLOSED
