"""The section of an SL 651 centre in the configuration."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator
from pydantic_core.core_schema import ValidationInfo

from agent.form.fields import DurationMs, Kind, Section, Switch, duration_text, refusal, text_of
from agent.form.nodes import shown
from agent.profile_form import Quantity
from agent.report.content import Kind as ReportKind
from agent.report.options import CentreOptions
from agent.report.settings import Channel, HexText, Place, ReportSection
from agent.uplinks.sl651.options import TOTAL, ElementForm, WireOptions
from agent.uplinks.sl651_wire.codes import Encoding

_IDENTIFIER_SIZES = (2, 4)
_MINUTE_MS, _HOUR_MS = 60_000, 3_600_000
_KINDS = {
    "timed": ReportKind.TIMED,
    "hourly": ReportKind.HOURLY,
    "uniform": ReportKind.UNIFORM,
    "test": ReportKind.TEST,
    "manual": ReportKind.MANUAL,
}


class _Identifier(Kind):
    word = "element"

    def read(self, value: object) -> bytes:
        text = text_of(value, "element")
        is_extended = text[:2].upper() == "FF"
        if len(text) != _IDENTIFIER_SIZES[is_extended] or not all(digit in "0123456789abcdefABCDEF" for digit in text):
            raise refusal("element", value=shown(value))
        return bytes.fromhex(text)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": "^([0-9A-Fa-f]{2}|[Ff]{2}[0-9A-Fa-f]{2})$"}


class ElementSection(Section):
    """The element in which a quantity is sent."""

    locale_name: ClassVar[str] = "sl651-element"
    element: Annotated[bytes, _Identifier()]
    digits: Annotated[int, Field(strict=True, ge=1, le=40)]
    decimals: Annotated[int, Field(strict=True, ge=0, le=7)]

    def form(self) -> ElementForm:
        """The section as plain data."""
        return ElementForm(identifier=self.element, digits=self.digits, decimals=self.decimals)


class Sl651Settings(ReportSection):
    """A centre that speaks SL 651-2014."""

    locale_name: ClassVar[str] = "uplink-sl651"

    type: Literal["sl651"] = "sl651"
    station: Annotated[str, HexText(10)]
    centre: Annotated[int, Field(strict=True, ge=1, le=255)] = 1
    password: Annotated[str, HexText(4)] = "0000"  # noqa: S105 - what most centres leave it at
    encoding: Literal["binary", "ascii"] = "binary"
    mode: Literal["m1", "m2", "m4"] = "m2"
    station_class: Annotated[str, HexText(2)] = "49"
    reports: list[Literal["timed", "hourly", "uniform", "test", "manual"]] = Field(default=["timed"], min_length=1)
    uniform_step: Annotated[int, DurationMs("1m", "1d")] = Field(default="5m", validate_default=True)
    flow_decimals: Annotated[int, Field(strict=True, ge=0, le=7)] = 6
    totals: dict[Channel, ElementSection] = Field(default_factory=dict)
    elements: dict[Place, dict[Quantity, ElementSection]] = Field(default_factory=dict)
    sign_counted: Switch = True
    text: Literal["gbk", "utf-8", "ascii"] = "gbk"
    timeout: Annotated[int, DurationMs("1s", "10m")] = Field(default="20s", validate_default=True)
    keepalive: Annotated[int, DurationMs("1s", "255s")] = Field(default="40s", validate_default=True)
    packet: Annotated[int, Field(strict=True, ge=16, le=4000)] = 256
    packet_numbers: Literal["hex", "decimal"] = "hex"
    check_password: Switch = True
    answer_broadcast: Switch = False

    @field_validator("uniform_step")
    @classmethod
    def _is_a_step(cls, step_ms: int, info: ValidationInfo) -> int:
        """One that the standard can write (6.6.2.9): minutes to 59, hours to 23, a day; and that fills the interval."""
        every_ms = info.data.get("every", step_ms)
        is_written = step_ms % _HOUR_MS == 0 or (step_ms < _HOUR_MS and step_ms % _MINUTE_MS == 0)
        if "uniform" in info.data.get("reports", ()) and (not is_written or every_ms % step_ms):
            raise refusal("uniform-step", value=duration_text(step_ms), every=duration_text(every_ms))
        return step_ms

    def options(self) -> CentreOptions:
        """What the uplink is told."""
        wire = WireOptions(
            station=self.station,
            centre=self.centre,
            password=self.password,
            encoding=Encoding.ASCII if self.encoding == "ascii" else Encoding.BINARY,
            mode=int(self.mode[1]),
            station_class=int(self.station_class, 16),
            flow_decimals=self.flow_decimals,
            totals={1: TOTAL} | {channel: each.form() for channel, each in self.totals.items()},
            extras={
                (place, quantity): each.form()
                for place, quantities in self.elements.items()
                for quantity, each in quantities.items()
            },
            is_sign_counted=self.sign_counted,
            text_encoding=self.text,
            timeout_s=self.timeout / 1000,
            keepalive_s=self.keepalive / 1000,
            packet_bytes=self.packet,
            checks_password=self.check_password,
            answers_broadcast=self.answer_broadcast,
            packet_base=16 if self.packet_numbers == "hex" else 10,
            offset_min=self.utc_offset,
        )
        kinds = () if self.mode == "m4" else tuple(_KINDS[name] for name in self.reports)
        return self.common(self.station, kinds, wire, uniform_step_ms=self.uniform_step)
