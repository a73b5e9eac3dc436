"""What every section of a centre that takes composed reports may say; each protocol adds its own keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator

from agent.form.fields import (
    DurationMs,
    HostPort,
    Kind,
    Name,
    Number,
    Section,
    Switch,
    Text,
    UplinkSection,
    refusal,
    text_of,
)
from agent.form.nodes import shown
from agent.profile_form import Quantity
from agent.report.compose import Limit
from agent.report.content import Kind as ReportKind
from agent.report.options import QUANTITIES, CentreOptions
from agent.settings import TcpAddress

_CHANNELS = range(1, 9)
_HEX = re.compile(r"[0-9A-F]+")
_OFFSET = re.compile(r"([+-])(\d\d):([0-5]\d)")
_MOST_OFFSET_MIN = 14 * 60


class _Channel(Kind):
    word = "channel"
    first: ClassVar[int] = 1

    def read(self, value: object) -> int:
        text = text_of(value, "channel")
        if not (text.isascii() and text.isdecimal() and self.first <= int(text) <= _CHANNELS[-1]):
            raise refusal("channel", value=shown(value), low=str(self.first), high=str(_CHANNELS[-1]))
        return int(text)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^[{self.first}-8]$"}


class _Place(_Channel):
    first: ClassVar[int] = 0


class _UtcOffset(Kind):
    """Minutes east of UTC, from text such as `+08:00`."""

    word: ClassVar[str] = "utc-offset"

    def read(self, value: object) -> int:
        text = text_of(value, "utc-offset")
        match = _OFFSET.fullmatch(text)
        minutes = None if match is None else int(match[2]) * 60 + int(match[3])
        if match is None or minutes is None or minutes > _MOST_OFFSET_MIN:
            raise refusal("utc-offset", value=shown(value))
        return -minutes if match[1] == "-" else minutes

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_OFFSET.pattern}$", "examples": ["+08:00"]}


class HexText(Kind):
    """Exactly so many hex digits, upper case."""

    word: ClassVar[str] = "hex-digits"

    def __init__(self, digits: int) -> None:
        self._digits = digits

    def read(self, value: object) -> str:
        """The digits."""
        text = text_of(value, "hex-digits", digits=str(self._digits)).upper()
        if len(text) != self._digits or _HEX.fullmatch(text) is None:
            raise refusal("hex-digits", value=shown(value), digits=str(self._digits))
        return text

    def schema(self) -> dict[str, Any]:
        """Text of that length."""
        return {"type": "string", "pattern": f"^[0-9A-Fa-f]{{{self._digits}}}$"}


Channel = Annotated[int, _Channel()]
Place = Annotated[int, _Place()]
UtcOffset = Annotated[int, _UtcOffset()]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]


class LimitSection(Section):
    """When a value is reported at once."""

    locale_name: ClassVar[str] = "report-limit"
    low: Number | None = None
    high: Number | None = None
    change: Number | None = None


class ReportSection(UplinkSection):
    """A centre that takes composed reports."""

    host: Text
    port: Port
    backup: HostPort | None = None
    intakes: dict[Channel, Name] = Field(min_length=1)
    quantities: list[Quantity] = Field(default=list(QUANTITIES), min_length=1)
    every: Annotated[int, DurationMs("1m", "1d")] = Field(default="1h", validate_default=True)
    jitter: Annotated[int, DurationMs("0ms", "30m")] = Field(default="5m", validate_default=True)
    late: Annotated[int, DurationMs("1m", "1d")] = Field(default="10m", validate_default=True)
    backlog: Annotated[int, Field(strict=True, ge=1, le=6000)] = 30
    derived: Switch = False
    sets: Switch = False
    clock: Switch = False
    additional: dict[Channel, dict[Quantity, LimitSection]] = Field(default_factory=dict)
    supply: Name | None = None
    utc_offset: UtcOffset = Field(default="+08:00", validate_default=True)
    reconnect_max: Annotated[int, DurationMs("1s", "1h")] = Field(default="60s", validate_default=True)

    @field_validator("every")
    @classmethod
    def _divides_the_day(cls, every: int) -> int:
        """Slots lie on the wall clock: the same ones each day."""
        if 86_400_000 % every:
            raise refusal("report-every", value=f"{every // 60_000}m")
        return every

    def common(self, station: str, kinds: tuple[ReportKind, ...], wire: Any, **own: Any) -> CentreOptions:
        """The section as plain data, with the protocol's own part; `own` are further fields of it."""
        backup: TcpAddress | None = self.backup
        return CentreOptions(
            type=str(getattr(self, "type", "")),
            host=self.host,
            port=self.port,
            backup=None if backup is None else (backup.host, backup.port),
            station=station,
            intakes=dict(self.intakes),
            every_ms=self.every,
            kinds=kinds,
            jitter_ms=min(self.jitter, self.every // 2),
            backlog_per_min=self.backlog,
            sends_derived=self.derived,
            allows_sets=self.sets,
            trusts_clock=self.clock,
            reconnect_max_ms=self.reconnect_max,
            late_ms=self.late + min(self.jitter, self.every // 2),
            wire=wire,
            limits=_limits(self.additional),
            supply=self.supply,
            quantities=tuple(self.quantities),
            **own,
        )


def _limits(sections: Mapping[int, Mapping[str, LimitSection]]) -> dict[tuple[int, str], Limit]:
    return {
        (channel, quantity): Limit(low=each.low, high=each.high, change=each.change)
        for channel, quantities in sections.items()
        for quantity, each in quantities.items()
    }
