"""The forms that ThingsBoard's public documentation gives for telemetry over MQTT."""

from __future__ import annotations

import json

from agent.model import Layout, StoredRound
from agent.uplinks.thingsboard_wire import DEVICE, GATEWAY, TELEMETRY, ThingsBoardComposer, connect_payload

AT_MS = 1_451_649_600_512  # the documentation's own example


def layout(meter: str, *quantities: str, protocol: str = "modbus") -> Layout:
    return Layout(
        meter=meter,
        profile="p",
        version="0",
        protocol=protocol,
        address="1",
        quantities=quantities,
        flags=("empty_pipe", "no_signal"),
        period_ms=60_000,
        requests=(),
    )


FLOW = layout("main-flow", "volume_forward", "flow_rate", "status")
GOOD = StoredRound(1, "9f3c2a71-1", FLOW, AT_MS, ("1234.560", "42", "1"), None)
MISSING = StoredRound(2, "9f3c2a71-2", FLOW, AT_MS + 1000, ("1234.560", None, "0"), {"flow_rate": ("NO_REPLY",)})
OTHER = StoredRound(3, "9f3c2a71-3", layout("pump-kwh", "energy_import"), AT_MS, ("5.0",), None)


def payload(form: str, *rounds: StoredRound) -> str:
    return ThingsBoardComposer("pumphouse-12", form).payload(rounds, [False] * len(rounds)).decode("ascii")


def test_the_gateway_form_lists_each_device_with_its_timed_values():
    found = json.loads(payload(GATEWAY, GOOD, OTHER, MISSING))
    assert TELEMETRY[GATEWAY] == "v1/gateway/telemetry"
    assert list(found) == ["pumphouse-12/main-flow", "pumphouse-12/pump-kwh"]
    first, second = found["pumphouse-12/main-flow"]
    assert first == {
        "ts": 1451649600512,
        "values": {"id": "9f3c2a71-1", "volume_forward": 1234.56, "flow_rate": 42, "status": ["empty_pipe"]},
    }
    assert second["ts"] == 1451649601512
    assert found["pumphouse-12/pump-kwh"] == [{"ts": AT_MS, "values": {"id": "9f3c2a71-3", "energy_import": 5.0}}]


def test_a_missing_value_is_left_out_and_its_reason_is_told():
    values = json.loads(payload(GATEWAY, MISSING))["pumphouse-12/main-flow"][0]["values"]
    assert "flow_rate" not in values
    assert values["flow_rate_quality"] == "NO_REPLY"


def test_every_digit_of_a_reading_is_in_the_message():
    assert '"volume_forward":1234.560,' in payload(GATEWAY, GOOD)


def test_the_device_form_is_a_list_of_timed_values_under_the_meters_names():
    found = json.loads(payload(DEVICE, GOOD, OTHER))
    assert TELEMETRY[DEVICE] == "v1/devices/me/telemetry"
    assert [set(each) for each in found] == [{"ts", "values"}] * 2
    assert found[0]["values"]["main-flow_volume_forward"] == 1234.56
    assert found[1]["values"] == {"pump-kwh_id": "9f3c2a71-3", "pump-kwh_energy_import": 5.0}


def test_an_intakes_reading_carries_origin_and_coefficient():
    intake = layout("well-3", "volume_withdrawn", protocol="intake")
    proof = '{"coefficient":"W7@4","form":1,"origin":"derived"}'
    found = json.loads(payload(GATEWAY, StoredRound(9, "9f3c2a71-9", intake, AT_MS, ("7.3",), None, proof)))
    values = found["pumphouse-12/well-3"][0]["values"]
    assert values == {"id": "9f3c2a71-9", "volume_withdrawn": 7.3, "origin": "derived", "coefficient": "W7@4"}


def test_devices_are_announced_by_name_in_the_gateway_form_only():
    assert ThingsBoardComposer("pumphouse-12", GATEWAY).devices([GOOD, OTHER, MISSING]) == [
        "pumphouse-12/main-flow",
        "pumphouse-12/pump-kwh",
    ]
    assert ThingsBoardComposer("pumphouse-12", DEVICE).devices([GOOD]) == []
    assert json.loads(connect_payload("Device A")) == {"device": "Device A"}
