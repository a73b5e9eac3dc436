"""The section of an SZY206 or SL/T 427 centre in the configuration."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator
from pydantic_core.core_schema import ValidationInfo

from agent.form.fields import DurationMs, Switch, refusal
from agent.report.content import Kind as ReportKind
from agent.report.options import CentreOptions
from agent.report.settings import HexText, ReportSection
from agent.uplinks.szy206.options import WireOptions
from agent.uplinks.szy206_wire.names import AlarmOrder, ByteOrder, Edition, FlowBlock

_EDITIONS = {"206": Edition.SZY206, "2021": Edition.SLT427}
_LAST_STATION = 60_000


class Szy206Settings(ReportSection):
    """A centre that speaks SZY206-2016 or SL/T 427-2021."""

    locale_name: ClassVar[str] = "uplink-szy206"

    type: Literal["szy206"] = "szy206"
    address: Literal["hex", "number", "number-high"] = "hex"
    station: Annotated[str, HexText(10)]
    edition: Literal["206", "2021"] = "206"
    reports: list[Literal["timed", "manual"]] = Field(default=["timed"], min_length=1)
    password: Annotated[str, HexText(4)] | None = None
    byte_order: Literal["low", "high"] = "low"
    flow_block: Literal["A", "B", "C", "D"] = "A"
    flow_unit: Literal["m3/h", "m3/s"] = "m3/h"
    alarm_order: Literal["first", "last"] = "first"
    zero_seconds: Switch = False
    mode: Literal[0, 1, 2, 3] = 1
    login_answer: Switch = True
    long_answers: Switch = True
    confirm_pause: Annotated[int, DurationMs("0s", "10m")] = Field(default="2s", validate_default=True)
    confirm_mode: Switch = False
    storage_interval: Annotated[int, DurationMs("1m", "255m")] = Field(default="5m", validate_default=True)
    timeout: Annotated[int, DurationMs("1s", "10m")] = Field(default="10s", validate_default=True)
    keepalive: Annotated[int, DurationMs("1s", "1h")] = Field(default="60s", validate_default=True)

    @field_validator("station")
    @classmethod
    def _is_a_number(cls, station: str, info: ValidationInfo) -> str:
        """As a number: six digits of the division, four of the station."""
        if info.data.get("address", "hex") == "hex":
            return station
        if not station.isdecimal() or not 1 <= int(station[6:]) <= _LAST_STATION:
            raise refusal("szy206-station", value=station)
        return station

    def options(self) -> CentreOptions:
        """What the uplink is told."""
        wire = WireOptions(
            station=self._wire_station(),
            password=self.password,
            edition=_EDITIONS[self.edition],
            byte_order=ByteOrder(self.byte_order),
            flow_block=FlowBlock(self.flow_block),
            alarm_order=AlarmOrder(self.alarm_order),
            flow_unit=self.flow_unit,
            is_without_seconds=self.zero_seconds,
            mode=self.mode,
            timeout_s=self.timeout / 1000,
            keepalive_s=self.keepalive / 1000,
            wants_login_answer=self.login_answer,
            splits_long_answers=self.long_answers,
            confirm_pause_s=self.confirm_pause / 1000,
            obeys_confirms=self.confirm_mode and self.sets,
            offset_min=self.utc_offset,
        )
        kinds = tuple(ReportKind(name) for name in self.reports)
        return self.common(self.station, kinds, wire, stored_ms=self.storage_interval, enters_values=True)

    def _wire_station(self) -> str:
        """The five bytes as sent."""
        if self.address == "hex":
            return self.station
        order: Literal["big", "little"] = "big" if self.address == "number-high" else "little"
        return self.station[:6] + int(self.station[6:]).to_bytes(2, order).hex().upper()
