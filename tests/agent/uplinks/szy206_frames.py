"""SZY206 frames for tests: the vectors, and frames put together by hand with a check byte of their own."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "szy206.json").read_text(encoding="utf-8"), parse_float=Decimal
)
FOR_THE_READER = ("profile", "origin", "note")
ADDRESS = "5303810D00"


def name_of(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def check(data: bytes) -> int:
    """The check byte bit by bit, as the standard words it: long division by x8+x7+x6+x5+x2+1."""
    register = int.from_bytes(data + b"\0", "big")
    for bit in range(8 * len(data) + 7, 7, -1):
        if register >> bit & 1:
            register ^= 0x1E5 << (bit - 8)
    return register


def framed(control: int, afn: int, body: str = "", *, address: str = ADDRESS) -> bytes:
    data = bytes([control]) + bytes.fromhex(address) + bytes([afn]) + bytes.fromhex(body)
    return bytes([0x68, len(data), 0x68]) + data + bytes([check(data), 0x16])


def image(size: int, *, afn: int = 0x61, control: int = 0xF0, divs: str = "2A") -> bytes:
    """An image frame whose data is made of start bytes of frames."""
    block = (b"\x68\x08\x68\xb0" * size)[:size]
    head = bytes([control]) + bytes.fromhex(divs + ADDRESS) + bytes([afn])
    data = head + size.to_bytes(2, "little") + block
    return bytes([0x68, -(-size // 1024), 0x68]) + data + bytes([check(data), 0x16])


TAG = "3015141200"  # day 12, 14:15:30
LONG_TAG = "30151412052600"  # 2026-05-12 14:15:30
SHORT = {"sec": 30, "min": 15, "hour": 14, "day": 12, "delay_min": 0}
LONG = {"time": "2026-05-12T14:15:30", "delay_min": 0}
CALM = "00006000"  # no alarm; door closed, on battery
