"""Frames of one station and one centre. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.uplinks.sl651_wire.codes import Control, Direction, Encoding
from agent.uplinks.sl651_wire.frame import Frame
from agent.uplinks.sl651_wire.parts import Body, Header, Part
from agent.uplinks.sl651_wire.text import payload_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What every frame between a station and a centre repeats.

    `centre` 0…255, `station` 10 and `password` 4 hex digits.
    """

    centre: int
    station: str
    password: str
    encoding: Encoding = Encoding.BINARY

    def report(
        self, function: int, *, serial: int, sent: str, parts: Sequence[Part] = (), end: Control = Control.ETX
    ) -> Frame:
        """What the station sends. `sent`: 12 digits; `end`: ETB where more follows."""
        return self._frame(Direction.UP, function, Body(Header(serial, sent), tuple(parts)), end)

    def command(
        self, function: int, *, sent: str, parts: Sequence[Part] = (), serial: int = 0, end: Control = Control.ENQ
    ) -> Frame:
        """What the centre asks or orders: serial number 0 (6.6.2.4), ENQ."""
        return self._frame(Direction.DOWN, function, Body(Header(serial, sent), tuple(parts)), end)

    def _frame(self, direction: Direction, function: int, body: Body, end: Control) -> Frame:
        return Frame(
            direction=direction,
            centre=self.centre,
            station=self.station,
            password=self.password,
            function=function,
            end=end,
            payload=payload_of(body, self.encoding, function),
            encoding=self.encoding,
        )
