"""Water quality: a map of the parameters that follow, and each of them as bytes. Pure.

Source: SZY206, water quality item; bit 24 (faecal coliform) has 5 bytes there and 4 in SL/T 427-2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.uplinks.szy206_wire.codecs import Bits, Content, Unread, hex_bytes
from agent.uplinks.szy206_wire.names import ContentError

_MAP = 5
_PARAMETER = 4
_COLIFORM = 24


@dataclass(frozen=True, slots=True)
class Quality:
    """`quality_bits`, and `quality_hex`: one text a parameter. Length and map together say how long bit 24 is."""

    def takes(self, size: int) -> bool:
        """Whether so many bytes can be a map and its parameters."""
        return size >= _MAP and (size - _MAP) % _PARAMETER in {0, 1}

    def read(self, data: bytes, unread: Unread) -> Content | None:
        """Both keys; None where the map announces another number of bytes."""
        bits = Bits(_MAP).read(data[:_MAP], unread)
        longer = len(data) - _MAP - _PARAMETER * len(bits)
        if longer not in ({0, 1} if _COLIFORM in bits else {0}):
            return None
        texts, at = [], _MAP
        for bit in bits:
            size = _PARAMETER + (longer if bit == _COLIFORM else 0)
            texts.append(data[at : at + size].hex().upper())
            at += size
        return {"quality_bits": bits, "quality_hex": texts}

    def write(self, value: Mapping[str, Any]) -> bytes:
        """The map and the parameters."""
        bits, texts = sorted(value["quality_bits"]), value["quality_hex"]
        if len(bits) != len(texts):
            raise ContentError(f"{len(bits)} parameters in the map, {len(texts)} follow")
        sent = Bits(_MAP).write(bits)
        for bit, text in zip(bits, texts, strict=True):
            is_long = bit == _COLIFORM and len(text) == 2 * _PARAMETER + 2
            sent += hex_bytes(text, _PARAMETER + (1 if is_long else 0))
        return sent
