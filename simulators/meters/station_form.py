"""The YAML of simulated meters, as pydantic models: lines, the meters on them, what they show and do wrong."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, Strict, field_validator

from agent.config_form import Packet
from agent.form.fields import DurationMs, Kind, Name, NumberKind, Section, Switch, Text, Whole, refusal, text_of
from agent.form.nodes import shown
from agent.profile_form import Parity
from agent.settings import TcpAddress
from drivers.modbus_item import BIT_TABLES, WORD_TABLES
from simulators.mischief import Mischief
from simulators.plant_form import PlantForm

_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253}):([0-9]{1,5})")
_LAST_PORT = 65535
_LAST_WORD = 0xFFFF
_TABLES = (*WORD_TABLES, *BIT_TABLES)


class _Endpoint(Kind):
    """`HOST:PORT` to listen on; port 0 is any free one."""

    def read(self, value: object) -> TcpAddress:
        match = _HOST_PORT.fullmatch(text_of(value, "host-port"))
        if match is None or int(match[2]) > _LAST_PORT:
            raise refusal("host-port", value=shown(value))
        return TcpAddress(match[1].strip("[]"), int(match[2]))

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_HOST_PORT.pattern}$"}


class Shown(Kind):
    """What a quantity shows: a number, or a list of flags."""

    def read(self, value: object) -> Decimal | tuple[str, ...]:
        """The number, or the flags."""
        if isinstance(value, list):
            return tuple(text_of(flag, "flag", allowed="-") for flag in value)
        return NumberKind().read(value)

    def schema(self) -> dict[str, Any]:
        """A number, or a list of names."""
        return {"anyOf": [*NumberKind().schema()["anyOf"], {"type": "array", "items": {"type": "string"}}]}


class _Registers(Kind):
    """`{1438: 3}`: register and the word in it."""

    def read(self, value: object) -> dict[int, int]:
        if not isinstance(value, dict):
            raise refusal("mapping", value=shown(value))
        words = {}
        for register, word in value.items():
            if not register.isdecimal() or int(register) > _LAST_WORD:
                raise refusal("sim-register", value=shown(register))
            if isinstance(word, bool) or not isinstance(word, int) or not 0 <= word <= _LAST_WORD:
                raise refusal("sim-register", value=shown(word))
            words[int(register)] = word
        return words

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0, "maximum": _LAST_WORD}}


Baud = Annotated[int, Strict(), Field(ge=300, le=921600)]
StopBits = Literal[1, 2]
Latency = Annotated[int, DurationMs("0ms", "60s")]
Words = Annotated[dict[int, int], _Registers()]


Behaviour = Literal[
    "duplicate", "heartbeat_inside", "heartbeat_glued", "registration_glued", "registration_slow",
    "registration_garbage", "registration_oversize", "registration_never",
]  # fmt: skip


class SimulatedDtuForm(Section):
    """A DTU that dials in."""

    locale_name: ClassVar[str] = "sim-dtu"
    server: Annotated[TcpAddress, _Endpoint()] = Field(description="HOST:PORT that it dials")
    registration: Packet | None = Field(None, description="what it sends first")
    heartbeat: Packet | None = Field(None, description="what it sends to show that it lives")
    every: Annotated[int, DurationMs("10ms", "1d")] = Field(30_000, description="how often it does")
    redial: Annotated[int, DurationMs("0ms", "1d")] = Field(1000, description="the pause before it dials again")
    air: Annotated[int, DurationMs("0ms", "60s")] = Field(50, description="how long anything is in the air, each way")
    drop: Annotated[int, DurationMs("10ms", "1d")] | None = Field(None, description="how often its connection breaks")
    behaviour: list[Behaviour] = Field([], description="what else it does")


class SimulatedLineForm(Section):
    """One pseudo-terminal, one TCP endpoint, or one DTU that dials in."""

    locale_name: ClassVar[str] = "sim-line"
    pty: Text | None = Field(None, description="where the link to the pseudo-terminal is put")
    tcp: Annotated[TcpAddress, _Endpoint()] | None = Field(None, description="HOST:PORT to listen on; port 0: any free")
    dial_in: SimulatedDtuForm | None = Field(None, description="a DTU that dials in")
    framing: Literal["rtu", "tcp"] | None = Field(None, description="default tcp on TCP, else rtu")
    baud: Baud | None = Field(None, description="default as the meter's profile says")
    parity: Parity | None = Field(None, description="default as the meter's profile says")
    stop_bits: StopBits | None = Field(None, description="default as the meter's profile says")
    latency: Latency = Field(default=5, description="from the end of a request to the answer")
    usb_timer: Annotated[int, DurationMs("1ms", "255ms")] | None = Field(
        None, description="a USB adapter's latency timer"
    )
    echo: Switch = Field(default=False, description="the adapter hears what it sends")
    strict: Switch = Field(default=False, description="requests before 3.5 characters of silence are dropped")
    max_connections: Annotated[Whole, Field(ge=1)] | None = Field(None, description="further ones are closed at once")


class SimulatedMeterForm(Section):
    """One meter on a line."""

    locale_name: ClassVar[str] = "sim-meter"
    line: Name = Field(description="the line it hangs on")
    profile: Name = Field(description="what it is")
    address: Text = Field(description="its address, quoted")
    values: dict[str, Annotated[Any, Shown()]] = Field({}, description="what it shows; the rest is 0")
    mischief: list[Mischief] = Field([], description="what it does wrong")
    registers: dict[str, Words] = Field({}, description="words of registers, by table")
    gaps: Literal["refuse", "zero"] = Field("refuse", description="registers between those of the profile")
    latency: Latency | None = Field(None, description="default the line's")
    baud: Baud | None = Field(None, description="default the line's")
    parity: Parity | None = Field(None, description="default the line's")
    stop_bits: StopBits | None = Field(None, description="default the line's")

    @field_validator("registers")
    @classmethod
    def _only_tables(cls, registers: dict[str, dict[int, int]]) -> dict[str, dict[int, int]]:
        for table in registers:
            if table not in _TABLES:
                raise refusal("choice", value=table, allowed=" ".join(_TABLES))
        return registers


class SimulatedStationForm(Section):
    """The whole file."""

    locale_name: ClassVar[str] = "sim-station"
    lines: dict[Name, SimulatedLineForm] = Field(min_length=1)
    meters: dict[Name, SimulatedMeterForm] = Field(min_length=1)
    plant: PlantForm | None = Field(None, description="the pump house that `qushui-sim plant` drives them from")
