"""Questions and records of CJ/T 188 for the tests, by the standard's own words."""

from __future__ import annotations

import json
from pathlib import Path

from drivers.cjt188 import CjtDriver
from drivers.contract import (
    Reply,
)
from tests import wire

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "cjt188.json").read_text(encoding="utf-8"))
DRIVER = CjtDriver()
ADDRESS = "00000805000001"
TOTAL = {"id": "901F", "field": "total"}
STATUS = {"id": "901F", "field": "status"}
REPLY = bytes.fromhex(
    "68 10 01 00 00 05 08 00 00 81 16 90 1F 00 00 23 01 00 2C 00 00 00 00 2C 00 00 00 00 00 00 00 00 00 48 16"
)  # the sheet's second example: 123.00 m3


def summed(text: str) -> bytes:
    """The frame of `text` (from 68 to the last byte of data) with sum and end byte, by the standard's own words."""
    body = bytes.fromhex(text)
    return body + bytes([sum(body) % 256, 0x16])


def ask_of(*specs, address=ADDRESS, limits=None, **more):
    items = [DRIVER.item({**spec, **more}) for spec in specs]
    (ask,) = DRIVER.plan(address, [(item,) for item in items], limits or {})
    return ask


def record(total="00 23 01 00 2C", settlement="00 00 00 00 2C", clock="00 " * 7, status="00 00", head="90 1F 00"):
    return summed(f"68 10 01 00 00 05 08 00 00 81 16 {head} {total} {settlement} {clock} {status}")


def value_of(reply: bytes, spec=None, **more):
    outcome = wire.fed(ask_of(spec or TOTAL, **more).begin(0), [reply])
    assert isinstance(outcome, Reply), outcome
    return outcome.values[0]
