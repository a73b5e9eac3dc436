"""SL 651 frames made by hand for tests: the layout of the sheet and a check sum of its own, nothing of the product."""

from __future__ import annotations

import json
from pathlib import Path

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "sl651.json").read_text(encoding="utf-8"))
STATION, HEADER = "3301060001", "0007 250102080005"
REPORT = f"F1F1 {STATION} 49 F0F0 2501020800"


def witness(data: bytes) -> int:
    """x16+x15+x2+1 bit by bit as the standard writes it, on mirrored bytes."""
    register = 0xFFFF
    for byte in data:
        register ^= int(f"{byte:08b}"[::-1], 2) << 8
        for _ in range(8):
            register = (register << 1 ^ (0x8005 if register & 0x8000 else 0)) & 0xFFFF
    return int(f"{register:016b}"[::-1], 2)


def sealed(data: bytes) -> bytes:
    return data + witness(data).to_bytes(2, "big")


def up(function: str, *body: str, end: str = "03", packet: str = "", header: str = HEADER) -> bytes:
    payload = bytes.fromhex(packet + header + "".join(body))
    start = "16" if packet else "02"
    head = bytes.fromhex(f"7E7E 01 {STATION} 1234 {function}") + len(payload).to_bytes(2, "big") + bytes.fromhex(start)
    return sealed(head + payload + bytes.fromhex(end))


def down(function: str, *body: str, end: str = "05", packet: str = "", header: str = HEADER) -> bytes:
    payload = bytes.fromhex(packet + header + "".join(body))
    start = "16" if packet else "02"
    length = (0x8000 | len(payload)).to_bytes(2, "big")
    return sealed(
        bytes.fromhex(f"7E7E {STATION} 01 1234 {function}")
        + length
        + bytes.fromhex(start)
        + payload
        + bytes.fromhex(end)
    )


def ascii_up(function: str, text: str, end: int = 3, packet: str = "", header: str = HEADER) -> bytes:
    payload = packet.encode() + header.replace(" ", "").encode() + text.encode("gbk")
    start = 0x16 if packet else 0x02
    data = f"\x0101{STATION}1234{function}{len(payload):04X}".encode() + bytes([start]) + payload + bytes([end])
    return data + b"%04X" % witness(data)


def ascii_down(function: str, text: str, end: int = 5) -> bytes:
    payload = HEADER.replace(" ", "").encode() + text.encode()
    data = f"\x01{STATION}011234{function}{0x8000 | len(payload):04X}".encode() + b"\x02" + payload + bytes([end])
    return data + b"%04X" % witness(data)
