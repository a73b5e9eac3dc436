"""What an SZY206 or SL/T 427 uplink is told, once judged: plain data. The keys that say so are in settings.py."""

from __future__ import annotations

from dataclasses import dataclass

from agent.uplinks.szy206_wire.names import AlarmOrder, ByteOrder, Dialect, Edition, FlowBlock
from agent.uplinks.szy206_wire.words import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class WireOptions:
    """One station towards one centre.

    `station` are the 5 address bytes as sent, 10 hex digits; `password` 4 hex digits, None: not checked. `edition` is
    SZY206 (5-byte time tag) or SLT427 (7 bytes). `offset_min` is the zone of all times, minutes east of UTC.
    `wants_login_answer`: nothing is sent before the centre answered the login, or `timeout_s` passed. The next frame
    waits `confirm_pause_s` after a confirm, so that a second one is not taken for its own. `obeys_confirms`: the
    byte of a confirm sets the work mode.
    """

    station: str
    password: str | None = None
    edition: Edition = Edition.SZY206
    byte_order: ByteOrder = ByteOrder.LOW
    flow_block: FlowBlock = FlowBlock.A
    alarm_order: AlarmOrder = AlarmOrder.FIRST
    flow_unit: str = "m3/h"
    is_without_seconds: bool = False
    mode: int = Mode.SELF_REPORT
    offset_min: int = 480
    timeout_s: float = 10.0
    keepalive_s: float = 60.0
    wants_login_answer: bool = True
    splits_long_answers: bool = True
    confirm_pause_s: float = 0.0
    obeys_confirms: bool = False

    @property
    def address(self) -> bytes:
        """The 5 address bytes."""
        return bytes.fromhex(self.station)

    @property
    def dialect(self) -> Dialect:
        """What the codec has to know of this platform."""
        return Dialect(self.edition, self.byte_order, self.flow_block, self.alarm_order)
