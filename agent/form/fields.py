"""The kinds of values a configuration has: each says what it accepts, why it refuses, and its JSON Schema.

A refusal is a `PydanticCustomError` whose type is `form.CODE`: the sentence of that name in locale/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Strict,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError, core_schema

from agent.form.nodes import NOTHING, Bare, is_name, shown
from agent.form.problems import near
from agent.settings import TcpAddress

_DURATION = re.compile(r"([0-9]{1,9})(\.[0-9]{1,3})?(ms|s|m|h|d)")
_DURATION_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZE = re.compile(r"([0-9]{1,9})(\.[0-9]{1,3})?(kB|MB|GB|TB|KiB|MiB|GiB|TiB)")
_SIZE_BYTES = {
    "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,2})?")
_NAME_PATTERN = "^[a-z0-9-]{1,32}$"
_ISO_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_CLOCK_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253}):([0-9]{1,5})")
_LAST_PORT = 65535

FROM_FILE = {"from": "file"}
"""The validation context of what was written in a file."""


class Section(BaseModel):
    """A part of a file with documented keys: unknown keys are errors, nothing is converted silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_nothing(cls, data: Any, info: ValidationInfo) -> Any:
        """In a file a key without a value is a slip, even where the key may be left out."""
        if info.context is not FROM_FILE or not isinstance(data, dict):
            return data
        known = {field.alias or name for name, field in cls.model_fields.items()}
        return {key: NOTHING if value is None and key in known else value for key, value in data.items()}


class UplinkSection(Section):
    """The section of one uplink."""

    def options(self) -> Any:
        """The section as the plain data that the uplink is made with; each kind of uplink has its own."""
        return self.model_dump()


def refusal(code: str, **arguments: str) -> PydanticCustomError:
    """The error a field of ours raises: `form.CODE` in locale/ says it, `arguments` fill it."""
    return PydanticCustomError(f"form.{code}", "{code}", {"code": code, **arguments})


class Kind:
    """A value read by `read` and described by `schema`; metadata of an Annotated type. `word` names it in locale/."""

    word: ClassVar[str] = "text"

    def read(self, value: object) -> object:
        """The value as the agent uses it. Raises a refusal."""
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        """Its JSON Schema."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(
        self, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return self.schema()


def text_of(value: object, code: str, **arguments: str) -> str:
    """`value` when it is text. Raises the refusal `code` when it is something else."""
    if isinstance(value, str):
        return value
    raise refusal("nothing") if value is None else refusal(code, value=shown(value), **arguments)


@dataclass(frozen=True)
class DurationMs(Kind):
    """A duration with its unit (`500ms` `15s` `15m` `1h` `800d`) from `low` to `high`, as whole milliseconds."""

    word: ClassVar[str] = "duration"

    low: str
    high: str

    def read(self, value: object) -> int:
        """Milliseconds."""
        limits = {"low": self.low, "high": self.high}
        amount_ms = duration_ms(text_of(value, "duration", **limits))
        if amount_ms is None:
            raise refusal("duration", value=shown(value), **limits)
        low_ms, high_ms = duration_ms(self.low), duration_ms(self.high)
        assert low_ms is not None
        assert high_ms is not None
        if not low_ms <= amount_ms <= high_ms:
            raise refusal("out-of-range", value=shown(value), **limits)
        return amount_ms

    def schema(self) -> dict[str, Any]:
        """Text with a unit."""
        return {"type": "string", "pattern": f"^{_DURATION.pattern}$", "examples": [self.low, self.high]}


def duration_ms(text: str) -> int | None:
    """Milliseconds of `15s`, `1.5h` …; None when it is no duration, or no whole number of milliseconds."""
    return _scaled(_DURATION.fullmatch(text), _DURATION_MS)


def duration_text(amount_ms: int) -> str:
    """The shortest duration text of so many milliseconds: 60000 gives `1m`."""
    unit, size = max(
        ((unit, size) for unit, size in _DURATION_MS.items() if amount_ms % size == 0), key=lambda each: each[1]
    )
    return f"{amount_ms // size}{unit}" if amount_ms else "0s"


def _scaled(match: re.Match[str] | None, factors: dict[str, int]) -> int | None:
    if match is None:
        return None
    amount = Decimal(match[1] + (match[2] or "")) * factors[match[3]]
    return int(amount) if amount == int(amount) else None


@dataclass(frozen=True)
class SizeBytes(Kind):
    """An amount of storage with its unit (`500MB` `4GB` `2GiB`) from `low` to `high`, as bytes."""

    word: ClassVar[str] = "size"

    low: str
    high: str

    def read(self, value: object) -> int:
        """Bytes."""
        limits = {"low": self.low, "high": self.high}
        amount = size_bytes(text_of(value, "size", **limits))
        if amount is None:
            raise refusal("size", value=shown(value), **limits)
        low, high = size_bytes(self.low), size_bytes(self.high)
        assert low is not None
        assert high is not None
        if not low <= amount <= high:
            raise refusal("out-of-range", value=shown(value), **limits)
        return amount

    def schema(self) -> dict[str, Any]:
        """Text with a unit."""
        return {"type": "string", "pattern": f"^{_SIZE.pattern}$", "examples": [self.low, self.high]}


def size_text(amount: int) -> str:
    """The shortest size text of so many bytes: 4000000000 gives `4GB`."""
    unit, size = max(
        ((unit, size) for unit, size in _SIZE_BYTES.items() if amount % size == 0), key=lambda each: each[1]
    )
    return f"{amount // size}{unit}"


def size_bytes(text: str) -> int | None:
    """Bytes of `500MB`, `2GiB` …; None when it is no amount of storage."""
    return _scaled(_SIZE.fullmatch(text), _SIZE_BYTES)


class _Name(Kind):
    word = "name"

    def read(self, value: object) -> str:
        text = text_of(value, "name")
        if not is_name(text):
            raise refusal("name", value=shown(text))
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": _NAME_PATTERN}


class NumberKind(Kind):
    """An exact number, bare or quoted."""

    word: ClassVar[str] = "number"

    def read(self, value: object) -> Decimal:
        """The number, digit for digit."""
        if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
            raise refusal("nothing") if value is None else refusal("number", value=shown(value))
        if isinstance(value, str) and not _NUMBER.fullmatch(value):
            raise refusal("number", value=shown(value))
        return Decimal(value)

    def schema(self) -> dict[str, Any]:
        """A number, or text that holds one."""
        return {"anyOf": [{"type": "number"}, {"type": "string", "pattern": f"^{_NUMBER.pattern}$"}]}


@dataclass(frozen=True)
class Amount(NumberKind):
    """An exact number from `low` to `high`."""

    word: ClassVar[str] = "amount"

    low: str
    high: str

    def read(self, value: object) -> Decimal:
        """The number, digit for digit."""
        amount = super().read(value)
        if not Decimal(self.low) <= amount <= Decimal(self.high):
            raise refusal("out-of-range", value=shown(value), low=self.low, high=self.high)
        return amount


class _Day(Kind):
    """A calendar day; a bare one is as good as a quoted one, since nobody reads it in another way."""

    word = "date"

    def read(self, value: object) -> date:
        text = value.text if isinstance(value, Bare) else text_of(value, "date")
        match = _ISO_DAY.fullmatch(text)
        if match is None:
            raise refusal("date", value=shown(text))
        try:
            return date(int(match[1]), int(match[2]), int(match[3]))
        except ValueError as error:
            raise refusal("date", value=shown(text)) from error

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "date"}


class _ClockTime(Kind):
    word = "clock-time"

    def read(self, value: object) -> time:
        match = _CLOCK_TIME.fullmatch(text_of(value, "clock-time"))
        if match is None:
            raise refusal("clock-time", value=shown(value))
        return time(int(match[1]), int(match[2]))

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_CLOCK_TIME.pattern}$"}


class _Timezone(Kind):
    word = "timezone"

    def read(self, value: object) -> str:
        text = text_of(value, "timezone")
        try:
            ZoneInfo(text)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise refusal("timezone", value=shown(text), **near(text, sorted(available_timezones()))) from error
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "examples": ["Asia/Shanghai"]}


class _HostPort(Kind):
    word = "host-port"

    def read(self, value: object) -> TcpAddress:
        match = _HOST_PORT.fullmatch(text_of(value, "host-port"))
        if match is None or not 0 < int(match[2]) <= _LAST_PORT:
            raise refusal("host-port", value=shown(value))
        return TcpAddress(match[1].strip("[]"), int(match[2]))

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_HOST_PORT.pattern}$"}


Text = Annotated[str, Strict(), Field(min_length=1, max_length=200)]
Whole = Annotated[int, Strict()]
Switch = Annotated[bool, Strict()]
Name = Annotated[str, _Name()]
Number = Annotated[Decimal, NumberKind()]
Day = Annotated[date, _Day()]
ClockTime = Annotated[time, _ClockTime()]
Timezone = Annotated[str, _Timezone()]
HostPort = Annotated[TcpAddress, _HostPort()]
