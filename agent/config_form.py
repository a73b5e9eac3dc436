"""The YAML of a station's configuration, as pydantic models: the single source of validation, schema and reference."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, Strict

from agent.form.fields import ClockTime, DurationMs, HostPort, Name, Section, SizeBytes, Switch, Text, Timezone
from agent.profile_form import Parity, Quantity

Baud = Annotated[int, Strict(), Field(ge=300, le=921600)]


class StationForm(Section):
    """Who we are."""

    locale_name: ClassVar[str] = "station"
    id: Name
    name: Text | None = None
    timezone: Timezone = "Asia/Shanghai"
    day_start: ClockTime = Field(default="00:00", validate_default=True)


class StoreForm(Section):
    """Where readings are kept and how long."""

    locale_name: ClassVar[str] = "store"
    path: Text = "/var/lib/qushui/qushui.db"
    keep: Annotated[int, DurationMs("1h", "36500d")] = Field(default="800d", validate_default=True)
    max_size: Annotated[int, SizeBytes("1MB", "100TB")] = Field(default="4GB", validate_default=True)
    free_disk: Annotated[int, SizeBytes("1MB", "100TB")] = Field(default="500MB", validate_default=True)


class ClockForm(Section):
    """Whose word on the time is taken."""

    locale_name: ClassVar[str] = "clock"
    trust: Literal["ntp", "rtc", "host"] = "ntp"


class LineForm(Section):
    """One serial port or one TCP endpoint."""

    locale_name: ClassVar[str] = "line"
    port: Text | None = None
    tcp: HostPort | None = None
    framing: Literal["rtu", "tcp"] | None = None
    baud: Baud | None = None
    parity: Parity | None = None
    stop_bits: Literal[1, 2] | None = None
    echo: Switch = False
    rs485: Switch = False
    timeout: Annotated[int, DurationMs("50ms", "60s")] = Field(default="1s", validate_default=True)
    silence: Annotated[int, DurationMs("0ms", "10s")] = Field(default="0ms", validate_default=True)


class MeterForm(Section):
    """One meter on a line."""

    locale_name: ClassVar[str] = "meter"
    line: Name
    profile: Name
    address: Text
    poll: Annotated[int, DurationMs("10ms", "8h")]
    baud: Baud | None = None
    parity: Parity | None = None
    stop_bits: Literal[1, 2] | None = None
    quantities: list[Quantity] | None = Field(default=None, min_length=1)


class ConfigForm(Section):
    """The whole file."""

    locale_name: ClassVar[str] = "config"
    station: StationForm
    store: StoreForm = StoreForm()
    clock: ClockForm = ClockForm()
    lines: dict[Name, LineForm] = Field(min_length=1)
    meters: dict[Name, MeterForm] = Field(min_length=1)
    uplinks: dict[Name, Any] = Field(default_factory=dict)
