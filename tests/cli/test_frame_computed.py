"""Frames that nobody published: put together, with their fields, from the rules of the protocols' pages alone.

The encoder that made them knows nothing of the product; where the product and it agree, both have read the same rules
alike. Each frame goes through the verb as a vendor types it, and back to its bytes where the product writes frames.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agent.cli.main import main
from agent.uplinks.sl651_wire import body
from agent.uplinks.sl651_wire.codes import Encoding
from agent.uplinks.sl651_wire.receiver import only_frame
from agent.uplinks.szy206_wire.fields import frame_of
from agent.uplinks.szy206_wire.names import AlarmOrder, ByteOrder, Dialect, Edition, FlowBlock

VECTORS = Path(__file__).parents[1] / "vectors"
FOR_THE_READER = {"function_name"}  # a label; the page leaves its words open


def computed(protocol: str) -> list[Any]:
    text = (VECTORS / f"{protocol}_computed.json").read_text(encoding="utf-8")
    return [pytest.param(protocol, vector, id=f"{protocol}-{vector['name']}") for vector in json.loads(text)]


def words_of(options: dict[str, str]) -> list[str]:
    return [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]


@pytest.mark.parametrize(
    ("protocol", "vector"), [each for name in ("sl651", "szy206", "dlt645", "cjt188") for each in computed(name)]
)
def test_a_computed_frame_prints_its_fields_and_no_others(
    protocol: str, vector: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["frame", protocol, vector["hex"], "--json", *words_of(vector.get("options", {}))]) == 0
    output = capsys.readouterr()
    shown = json.loads(output.out, parse_float=Decimal)
    wanted = json.loads(json.dumps(vector["fields"]), parse_float=Decimal)
    assert {key: value for key, value in shown.items() if key not in FOR_THE_READER} == wanted
    assert output.err == ""


@pytest.mark.parametrize(("_", "vector"), computed("sl651"))
def test_a_computed_sl651_frame_is_written_again_to_its_bytes(_: str, vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    frame = only_frame(data)
    assert frame.encode() == data
    if frame.encoding is Encoding.BINARY:
        assert body.decode(frame).encode() == frame.payload


@pytest.mark.parametrize(("_", "vector"), computed("szy206"))
def test_a_computed_szy206_frame_follows_from_its_fields(_: str, vector: dict[str, Any]) -> None:
    options = vector.get("options", {})
    dialect = Dialect(
        edition=Edition(options.get("edition", "auto")),
        byte_order=ByteOrder(options.get("byte_order", "low")),
        flow_block=FlowBlock(options.get("flow_block", "A")),
        alarm_order=AlarmOrder(options.get("alarm_order", "first")),
    )
    assert frame_of(vector["fields"], dialect).to_bytes() == bytes.fromhex(vector["hex"])
