"""The YAML of a station's configuration, as pydantic models: the single source of validation, schema and reference."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, Strict, Tag, field_validator

from agent.dtu import Pattern, PatternError, pattern_of
from agent.form.fields import (
    ClockTime,
    DurationMs,
    HostPort,
    Kind,
    Name,
    Section,
    SizeBytes,
    Switch,
    Text,
    Timezone,
    Whole,
    refusal,
    text_of,
)
from agent.form.nodes import shown
from agent.form.variants import told_by
from agent.profile_form import Parity, Quantity
from agent.settings import TcpAddress

Baud = Annotated[int, Strict(), Field(ge=300, le=921600)]


_LONGEST_PATTERN = 200
_MOST_DAYS = 90  # of a quarter


class PatternKind(Kind):
    """A packet that a DTU sends on its own account: text, or bytes after `hex:`."""

    word = "pattern"
    is_open: ClassVar[bool] = False  # `*` may stand at an end
    is_exact: ClassVar[bool] = False  # every byte is given

    def read(self, value: object) -> Pattern:
        """The pattern."""
        text = text_of(value, "text")
        if len(text) > _LONGEST_PATTERN:
            raise refusal("too-long", limit=str(_LONGEST_PATTERN))
        try:
            return pattern_of(text, is_open=self.is_open, is_exact=self.is_exact)
        except PatternError as error:
            raise refusal(error.code, value=shown(text)) from error

    def schema(self) -> dict[str, Any]:
        """Text that is not too long."""
        return {"type": "string", "minLength": 1, "maxLength": _LONGEST_PATTERN}


class _RegistrationKind(PatternKind):
    word = "registration"
    is_open = True


class _PacketKind(PatternKind):
    word = "packet"
    is_exact = True


Registration = Annotated[Pattern, _RegistrationKind()]
Heartbeat = Annotated[Pattern, PatternKind()]
Packet = Annotated[Pattern, _PacketKind()]


class StationForm(Section):
    """Who we are."""

    locale_name: ClassVar[str] = "station"
    id: Name
    name: Text | None = None
    timezone: Timezone = "Asia/Shanghai"
    day_start: ClockTime = Field(default="00:00", validate_default=True)
    quarter_verify_days: Annotated[Whole, Field(ge=1, le=_MOST_DAYS)] = 15
    quarter_remind_days: list[Annotated[Whole, Field(ge=1, le=_MOST_DAYS)]] = Field(default=[10, 13])


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


class DialInForm(Section):
    """A DTU that connects to us."""

    locale_name: ClassVar[str] = "line-dial-in"
    listen: HostPort
    registration: Registration | None = None
    registration_answer: Packet | None = None
    heartbeat: Heartbeat | None = None
    heartbeat_answer: Packet | None = None

    @field_validator("listen")
    @classmethod
    def _only_numbers(cls, listen: TcpAddress) -> TcpAddress:
        """Names would have to be looked up, which nobody can bound."""
        try:
            ip_address(listen.host)
        except ValueError as error:
            raise refusal("listen", value=shown(str(listen))) from error
        return listen


class LineForm(Section):
    """One serial port, one TCP endpoint, or one DTU that dials in."""

    locale_name: ClassVar[str] = "line"
    port: Text | None = None
    tcp: HostPort | None = None
    dial_in: DialInForm | None = None
    framing: Literal["rtu", "tcp"] | None = None
    baud: Baud | None = None
    parity: Parity | None = None
    stop_bits: Literal[1, 2] | None = None
    echo: Switch = False
    rs485: Switch = False
    timeout: Annotated[int, DurationMs("50ms", "60s")] | None = None
    silence: Annotated[int, DurationMs("0ms", "10s")] = Field(default="0ms", validate_default=True)


class MeterForm(Section):
    """One meter on a line."""

    locale_name: ClassVar[str] = "meter"
    line: Name
    profile: Name
    address: Text
    poll: Annotated[int, DurationMs("1ms", "8h")]
    baud: Baud | None = None
    parity: Parity | None = None
    stop_bits: Literal[1, 2] | None = None
    quantities: list[Quantity] | None = Field(default=None, min_length=1)


class ManualForm(Section):
    """One meter that people read."""

    locale_name: ClassVar[str] = "manual-meter"
    manual: list[Quantity] = Field(min_length=1)
    period: Annotated[int, DurationMs("1h", "366d")] = Field(default="30d", validate_default=True)


AnyMeterForm = Annotated[
    Annotated[MeterForm, Tag("polled")] | Annotated[ManualForm, Tag("manual")], told_by("polled", manual="manual")
]


class ConfigForm(Section):
    """The whole file. What is inside intakes and uplinks has models of its own, loaded where there are some."""

    locale_name: ClassVar[str] = "config"
    station: StationForm
    store: StoreForm = StoreForm()
    clock: ClockForm = ClockForm()
    lines: dict[Name, LineForm] = Field(min_length=1)
    meters: dict[Name, AnyMeterForm] = Field(min_length=1)
    intakes: dict[Name, Any] = Field(default_factory=dict)
    uplinks: dict[Name, Any] = Field(default_factory=dict)
